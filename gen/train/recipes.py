"""Settings with which models are trained on data sets, and those of the authors of methods."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from gen.convert.qcfs import ClipQuan, Qcfs

__all__ = ["METHODS", "RECIPES", "Method", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Settings with which a model is trained on a data set.

    Parameters
    ----------
    epochs, tuning : passes over the data in the first and the second phase
    rate, tuning_rate : greatest learning rates of AdamW, which fall to zero along a cosine
    decay : weight decay of the first phase; biases, batch norms and steps have none
    smoothing : label smoothing, the share of the target that is spread over all classes
    batch : images in a step
    bits : widths of the weights (:func:`gen.convert.widths.layer_bits`)
    levels, input_levels : greatest spike counts of a neuron and of a pixel
    shift : greatest number of pixels by which images are moved in each direction
    flip : whether half of the images are mirrored
    cutout : side of the square, centred anywhere in an image, that is made black; 0 for none
    bare : the share of the authors' rate with which a network without batch norms is trained
    penalty : weight of the mean spike count in the loss of the second phase
    clip : greatest norm of a step's gradient; 0 for any
    fast : whether steps are compiled and convolve in bfloat16, which halves the time on processors
        that have it; for networks whose training takes an hour. Evaluation stays exact
    threads : processor threads of the training; the bits of the result depend on their number
    model : further arguments of the architecture (:mod:`gen.train.models`)
    """

    epochs: int
    tuning: int
    bits: str
    levels: int
    input_levels: int
    rate: float = 4e-3
    tuning_rate: float = 1e-3
    decay: float = 0.0
    smoothing: float = 0.0
    batch: int = 128
    shift: int = 0
    flip: bool = False
    cutout: int = 0
    bare: float = 1.0
    penalty: float = 0.0
    clip: float = 0.0
    fast: bool = False
    threads: int = 2
    model: Mapping[str, Any] = field(default_factory=dict)


RECIPES: dict[tuple[str, str], Recipe] = {
    ("digits", "cnn"): Recipe(60, 40, "4", 3, 15, batch=64, shift=1, penalty=0.02,
                              model={"channels": ((8,), (16,)), "hidden": (32,)}),
    ("digits", "mlp"): Recipe(60, 40, "6", 3, 15, batch=64, shift=1, model={"hidden": (64,)}),
    ("mnist", "cnn"): Recipe(8, 6, "4", 3, 15, shift=2, penalty=0.02,
                             model={"channels": ((16,), (32,)), "hidden": (64,)}),
    ("mnist", "cnn-8"): Recipe(6, 4, "4", 3, 15, shift=2, penalty=0.02, threads=1,
                               model={"channels": ((8,), (16,)), "hidden": (32,)}),
    ("mnist", "mlp"): Recipe(20, 12, "4,readout=8", 3, 3, shift=1, penalty=0.02,
                             model={"hidden": (192,), "dropout": 0.1}),
    ("mnist", "mlp-128"): Recipe(15, 8, "4", 3, 1, batch=512, shift=1, penalty=0.02, threads=1,
                                 model={"hidden": (128,)}),
    ("fashion-mnist", "cnn"): Recipe(14, 8, "4", 3, 7, shift=1, flip=True, penalty=0.05, fast=True,
                                     threads=1, model={"channels": ((16,), (32,)),
                                                       "hidden": (64,)}),
    ("fashion-mnist", "mlp"): Recipe(16, 10, "4,readout=8", 3, 15, flip=True,
                                     model={"hidden": (192,), "dropout": 0.1}),
    ("cifar-10", "cnn"): Recipe(20, 1, "4,conv1=8,readout=8", 3, 15, tuning_rate=5e-4, shift=3,
                                flip=True, bare=0.3, penalty=0.05, fast=True, threads=1,
                                model={"channels": ((32,), (64, 64), (128, 128)), "hidden": (),
                                       "pool": "max"}),
    ("cifar-10", "resnet"): Recipe(155, 18, "4,conv=8,readout=8", 3, 15, tuning_rate=5e-4,
                                   decay=0.05, smoothing=0.1, batch=256, shift=4, flip=True,
                                   cutout=8, penalty=0.05, fast=True,
                                   model={"channels": ((32, 32), (64, 64), (128, 128))}),
    ("digits-rows", "rnn"): Recipe(60, 40, "6", 31, 15, rate=2e-3, batch=64, penalty=0.02, clip=1.0,
                                   threads=1, model={"hidden": (32,)}),
    ("platooning", "rnn"): Recipe(100, 50, "8", 63, 255, rate=3e-3, decay=0.05, clip=1.0,
                                  threads=1, model={"hidden": (96, 96)}),
    ("mnist-rows", "rnn"): Recipe(16, 8, "6", 15, 15, rate=1e-3, tuning_rate=3e-4, penalty=0.02,
                                  clip=1.0, threads=1, model={"hidden": (128,)}),
    ("mnist-pixels", "crnn"): Recipe(36, 14, "6", 15, 15, rate=1e-3, tuning_rate=2e-4, batch=256,
                                     shift=1, penalty=0.02, clip=1.0, threads=1,
                                     model={"front": ((32, 8, 4), (64, 28, 7)), "hidden": (128,)}),
    ("mnist-permuted", "crnn"): Recipe(11, 4, "6", 15, 15, rate=2e-3, tuning_rate=6e-4, batch=256,
                                       shift=1, penalty=0.02, clip=1.0, threads=1,
                                       model={"front": ((64, 16, 8), (128, 14, 7)),
                                              "hidden": (128,)}),
}
"""The recipes by data set and model. A model's name is an architecture, with an optional variant
after a dash."""


@dataclass(frozen=True)
class Method:
    """How the authors of a method train, with SGD and a momentum of 0.9 (docs/methods.md, 8).

    Parameters
    ----------
    activation : makes one, from the levels
    levels : greatest spike count of a neuron
    rate : greatest learning rate
    rates : its share, from the share of the training that is done, 0 to 1, and the epochs in all
    decay : weight decay, of all parameters
    smoothing : label smoothing
    norm : whether there are batch norms
    average : whether every pooling takes the average
    """

    activation: Callable[[int], nn.Module]
    levels: int
    rate: float
    rates: Callable[[float, int], float]
    decay: float
    smoothing: float = 0.0
    norm: bool = True
    average: bool = True

    def adapted(self, recipe: Recipe) -> Recipe:
        """A recipe as the authors have it: the epochs of both phases in the first one, without
        rounded weights, which get 8 bits afterwards. One thread trains, on any machine alike."""
        model = dict(recipe.model)
        if self.average and "pool" in model:
            model["pool"] = "average"
        return replace(recipe, epochs=recipe.epochs + recipe.tuning, tuning=0, bits="8",
                       levels=self.levels, decay=self.decay,
                       rate=self.rate * (1.0 if self.norm else recipe.bare),
                       smoothing=self.smoothing, penalty=0.0, fast=False, threads=1, model=model)


def _cosine(done: float, epochs: int) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def _steps(done: float, epochs: int) -> float:
    """A tenth of the rate after a half, and again after seven tenths."""
    return 0.1 ** ((done >= 0.5) + (done >= 0.7))


def _warm(done: float, epochs: int) -> float:
    """A rise over five epochs, or a quarter of all if that is less, and then a cosine."""
    rise = min(5 / epochs, 0.25)
    return done / rise if done < rise else _cosine((done - rise) / (1 - rise), epochs)


_FIRST_RANGE = 8.0
_CAP = 1.0

METHODS: dict[str, Method] = {
    "qcfs": Method(lambda levels: Qcfs(levels, _FIRST_RANGE / levels), 4, 0.1, _cosine, 5e-4),
    "threshold-balance": Method(lambda levels: nn.Hardtanh(0.0, _CAP), 32, 0.1, _steps, 5e-4,
                                norm=False),
    "casc": Method(ClipQuan, 8, 0.1, _warm, 1e-4, smoothing=0.1, average=False),
}
"""The methods by name: Bu et al. [1], Deng, Gu [2], Li et al. [5]. The rate of Deng and Gu, 1e-3 by
default, suits their 200 epochs; trainings of a few epochs need more."""
