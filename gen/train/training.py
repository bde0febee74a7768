"""Training from scratch, in two phases that end in integers.

1. The network with :class:`~gen.convert.qcfs.Qcfs` activations, batch norm and real weights; or
   with the activations and settings of the authors of a method.
2. Batch norm is folded, thresholds are fixed, and the
   :class:`~gen.convert.quantised.QuantisedModel` is trained through the rounding of its weights.
   With a method this phase is left out.

Both phases quantise the input to ``input_levels``. They run on a GPU if PyTorch has one; accuracies
are those on the processor. On one machine without a GPU, the same seed gives the same bits. The
kernels of a GPU add in no fixed order.
"""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.calibration import calibrate
from gen.convert.firing import CALIBRATED, Firing
from gen.convert.lower import lower
from gen.convert.qcfs import Qcfs
from gen.convert.quantised import QuantisedModel
from gen.convert.recurrent import warn_if_coarse
from gen.data import datasets, sequences
from gen.errors import ConversionError, DataError, unknown
from gen.ir import artifact
from gen.ir.exact import encode, require_name
from gen.ir.logits import accuracy
from gen.ir.network import Network
from gen.system.files import require_output
from gen.system.progress import bar

from .models import MODELS
from .optimisers import Phase
from .recipes import METHODS, RECIPES, Method, Recipe

__all__ = ["train"]

_BATCH = 1000

# Training images that ranges are taken from.
_CALIBRATION = 10_000

# Test images that travel with the network.
_SAMPLES = 32


def train(dataset: str, model: str, *, out: str | Path | None = None,
          name: str | None = None, data_dir: str | Path | None = None,
          epochs: int | None = None, bits: str | None = None, levels: int | None = None,
          input_levels: int | None = None, seed: int = 0, progress: bool = True,
          method: str | None = None, schedule: str | None = None, timesteps: int | None = None,
          sleep: int | None = None, until_quiet: bool = False) -> dict[str, Any]:
    """Train, convert and save a network.

    Parameters
    ----------
    dataset, model : a key of :data:`RECIPES`
    out : where the network goes; by default ``NAME.npz``
    name : of the network; by default ``DATASET-MODEL``, without ``-MODEL`` for the model ``cnn``,
        and with ``-METHOD`` at the end if neurons fire in every time-step
    data_dir : see :func:`gen.data.datasets.load`
    epochs : of the first phase; those of the second phase are scaled alike
    bits, levels, input_levels : replace those of the recipe
    seed : of initial weights, order and augmentation
    progress : show a bar on standard error
    method : one of :data:`.recipes.METHODS`, for its authors' activations and settings
    schedule, timesteps, sleep, until_quiet : see :class:`gen.convert.firing.Firing`; the images
        that calibrate are training images

    Returns
    -------
    dict
        ``accuracy_float`` (first phase), ``accuracy_quantised`` and ``accuracy_integer`` (second,
        as PyTorch module and as :class:`Network`: without time-steps they are equal), ``network``
        (the path), ``epochs`` (of both phases), ``spikes`` (mean count of a neuron), ``weights``,
        ``digest``; with a method also what :meth:`gen.convert.firing.Firing.applied` says

    Raises
    ------
    ConversionError, DataError
        If the recipe or data set does not exist, or the options can't be met.
    NetworkError, OutputError
        If the network can't have that name or can't be written. This is checked before training.
    """
    if (dataset, model) not in RECIPES:
        raise DataError(unknown("recipe for data set and model", f"{dataset} {model}",
                                map(" ".join, RECIPES)))
    plan = _plan(RECIPES[dataset, model], _firing(method, schedule, timesteps, sleep, until_quiet),
                 epochs, bits, levels, input_levels)
    name = require_name(name or _name(dataset, model, plan.firing))
    out = Path(out or f"{name}.npz")
    require_output(out)
    samples = datasets.load(dataset, data_dir)
    device = _device()
    with _deterministic(seed, plan.recipe.threads, device) as generator:
        network, result = _train(samples, model, plan, name, generator, progress)
    command = _command(dataset, model, name, seed, epochs=epochs, bits=bits, levels=levels,
                       input_levels=input_levels, method=method, schedule=schedule,
                       timesteps=timesteps, sleep=sleep, until_quiet=until_quiet or None)
    metadata = _metadata(dataset, model, command, seed, plan.recipe, device, result)
    network = replace(network, metadata={**metadata, **network.metadata},
                      samples=samples.test_images[:_SAMPLES])
    artifact.save(network, out)
    return {**result, "network": str(out), "weights": network.weight_count,
            "digest": network.digest}


def _firing(method: str | None, schedule: str | None, timesteps: int | None, sleep: int | None,
            until_quiet: bool) -> Firing:
    """How the network fires. An error names only methods that can be trained."""
    if until_quiet and schedule != "settle" and method != "casc":
        raise ConversionError("--until-quiet needs --method casc")
    return Firing(method, schedule, timesteps, sleep, until_quiet)


def _name(dataset: str, model: str, firing: Firing) -> str:
    """That of a network to which none is given."""
    return "-".join([dataset, *([] if model == "cnn" else [model]),
                     *([str(firing.method)] if firing.steps else [])])


@dataclass(frozen=True)
class _Plan:
    """A recipe, how the network fires, and the method whose authors' settings the recipe has."""

    recipe: Recipe
    firing: Firing
    authors: Method | None

    def model(self, name: str, shape: tuple[int, ...], classes: int) -> "_Real":
        """An architecture, for the first phase."""
        recipe, authors = self.recipe, self.authors
        architecture = MODELS[name.partition("-")[0]]
        return _Real(architecture(
            shape, classes, norm=authors is None or authors.norm,
            activation=partial(Qcfs if authors is None else authors.activation, recipe.levels),
            **recipe.model), recipe.input_levels)

    def phases(self) -> tuple[Phase, Phase]:
        """Of training."""
        recipe = self.recipe
        return (Phase("float", recipe.epochs, recipe.rate, recipe.decay,
                      None if self.authors is None else self.authors.rates),
                Phase("integers", recipe.tuning, recipe.tuning_rate))


def _plan(recipe: Recipe, firing: Firing, epochs: int | None, bits: str | None,
          levels: int | None, input_levels: int | None) -> _Plan:
    if firing.method is None:
        return _Plan(_override(recipe, epochs, bits, levels, input_levels), firing, None)
    if firing.method not in METHODS:
        raise DataError(unknown("method to train with", firing.method, METHODS))
    authors = METHODS[firing.method]
    return _Plan(_override(authors.adapted(recipe), epochs, bits,
                           firing.levels(levels, authors.levels), input_levels), firing, authors)


def _override(recipe: Recipe, epochs: int | None, bits: str | None, levels: int | None,
              input_levels: int | None) -> Recipe:
    changes: dict[str, Any] = {"bits": bits, "levels": levels, "input_levels": input_levels}
    if epochs is not None:
        changes["epochs"] = epochs
        changes["tuning"] = max(min(1, recipe.tuning),
                                round(epochs * recipe.tuning / recipe.epochs))
    return replace(recipe, **{key: value for key, value in changes.items() if value is not None})


def _train(samples: datasets.Dataset, model: str, plan: _Plan, name: str,
           generator: torch.Generator, progress: bool) -> tuple[Network, dict[str, Any]]:
    """The network, and what it achieves."""
    recipe = plan.recipe
    shape = samples.train_images.shape[1:]
    classes = int(samples.train_labels.max()) + 1
    images = _encode(samples.train_images, samples.pixel_max, recipe.input_levels)
    if len(images) < recipe.batch:
        raise DataError(f"{samples.name} has {len(images):,} training images; a step of its recipe "
                        f"takes {recipe.batch:,}")
    examples = _Examples(images, torch.from_numpy(samples.train_labels), samples.reading)
    test_images = _encode(samples.test_images, samples.pixel_max, recipe.input_levels)
    test_labels = torch.from_numpy(samples.test_labels)

    real = plan.model(model, shape, classes)
    # What can't be quantised, or can't fire so, is refused before the long work.
    plan.firing.check(_quantised(real, shape, plan).to_network(name, pixel_max=samples.pixel_max))
    first, second = plan.phases()
    _fit(real, examples, recipe, first, generator, progress)
    result: dict[str, Any] = {"accuracy_float": _accuracy(real, test_images, test_labels)}
    quantised = _quantised(real, shape, plan, images[:_CALIBRATION])
    _fit(quantised, examples, recipe, second, generator, progress)
    result["accuracy_quantised"] = _accuracy(quantised, test_images, test_labels)
    network, told = plan.firing.applied(
        quantised.to_network(name, pixel_max=samples.pixel_max),
        samples.train_images[:CALIBRATED], quantised.floor)
    result["accuracy_integer"] = accuracy(network.predict(samples.test_images),
                                          samples.test_labels)
    result["spikes"] = _spikes(network, samples.test_images[:_BATCH])
    result["epochs"] = [recipe.epochs, recipe.tuning]
    return network, result | told


def _quantised(real: "_Real", shape: tuple[int, ...], plan: _Plan,
               images: torch.Tensor | None = None) -> QuantisedModel:
    """The module in integers.

    Parameters
    ----------
    images : counts from which ReLUs get their ranges; ``None`` gives them any
    """
    recipe, firing, lowered = plan.recipe, plan.firing, lower(real.module, shape)
    if lowered.relus and images is None:
        lowered = lowered.calibrated({layer.name: 1.0 for layer in lowered.relus}, recipe.levels,
                                     firing.floor)
    elif lowered.relus and images is not None:
        values = images.numpy() / np.float32(recipe.input_levels)
        lowered, _ = calibrate(real.module, lowered, values, recipe.levels, firing)
    if images is None:
        warn_if_coarse(lowered)
    return QuantisedModel(lowered, input_levels=recipe.input_levels, bits=recipe.bits)


class _Real(nn.Module):
    """The module of the first phase, which takes counts like that of the second phase."""

    neurons: tuple[str, ...] = ()

    def __init__(self, module: nn.Module, input_levels: int) -> None:
        super().__init__()
        self.module, self.input_levels = module, input_levels

    def trace(self, counts: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"": self.module(counts / self.input_levels)}

    def scores(self, trace: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return trace[""]

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        return self.module(counts / self.input_levels)


@dataclass(frozen=True, eq=False)
class _Examples:
    """Counts of images, or of sequences and how they were read, and labels."""

    images: torch.Tensor
    labels: torch.Tensor
    reading: sequences.Reading | None

    def batches(self, recipe: Recipe, epochs: int, generator: torch.Generator
                ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Augmented, in random order, on the device of ``generator``."""
        images, labels = self.images.to(generator.device), self.labels.to(generator.device)
        for _ in range(epochs):
            order = torch.randperm(len(images), generator=generator, device=generator.device)
            for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
                chosen = order[start:start + recipe.batch]
                x = images[chosen].float()
                yield _augment(x, recipe, generator, self.reading), labels[chosen]


def _fit(model: _Real | QuantisedModel, examples: _Examples, recipe: Recipe, phase: Phase,
         generator: torch.Generator, progress: bool) -> None:
    """Train on the device of ``generator``. The model is left in evaluation mode, on the
    processor."""
    device = generator.device
    model.to(device)
    steps = phase.epochs * (len(examples.images) // recipe.batch)
    optimiser, schedule = phase.optimiser(model, steps)
    objective = torch.compile(_loss) if recipe.fast else _loss
    model.train()
    batches = examples.batches(recipe, phase.epochs, generator)
    with bar(batches, total=steps, desc=phase.name, unit="step", disable=not progress,
             mininterval=1.0) as shown:
        for k, (x, y) in enumerate(shown):
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.fast):
                loss = objective(model, x, y, recipe.penalty, recipe.smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimiser.step()
            schedule.step()
            if k % 50 == 0:
                shown.set_postfix_str(f"loss {loss.item():.3f}")
    model.eval().cpu()


def _loss(model: _Real | QuantisedModel, x: torch.Tensor, y: torch.Tensor, penalty: float,
          smoothing: float) -> torch.Tensor:
    trace = model.trace(x)
    error = F.cross_entropy(model.scores(trace), y, label_smoothing=smoothing)
    return error + penalty * _mean_count(model, trace)


def _mean_count(model: _Real | QuantisedModel, trace: Mapping[str, torch.Tensor]
                ) -> torch.Tensor | float:
    """Mean spike count of the neurons; 0 in the first phase, which counts none."""
    counts = [trace[name] for name in model.neurons]
    return sum(c.sum() for c in counts) / max(1, sum(c.numel() for c in counts))


def _augment(x: torch.Tensor, recipe: Recipe, generator: torch.Generator,
             reading: sequences.Reading | None = None) -> torch.Tensor:
    """Images, each moved by a few random pixels, mirrored at random and without a random square; or
    sequences of such images."""
    if reading is not None and (recipe.shift or recipe.flip or recipe.cutout):
        return reading.read(_augment(reading.images(x), recipe, generator))
    n, channels, height, width = x.shape
    device = x.device
    y_axis, x_axis = torch.arange(height, device=device), torch.arange(width, device=device)
    if recipe.shift:
        move = torch.randint(2 * recipe.shift + 1, (2, n), generator=generator, device=device)
        x = F.pad(x, [recipe.shift] * 4)
        rows = (move[0, :, None] + y_axis)[:, None, :, None]
        columns = (move[1, :, None] + x_axis)[:, None, None, :]
        planes = torch.arange(channels, device=device)[None, :, None, None]
        x = x[torch.arange(n, device=device)[:, None, None, None], planes, rows, columns]
    if recipe.flip:
        mirrored = torch.rand(n, generator=generator, device=device) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    if recipe.cutout:
        top = torch.randint(height, (n, 1), generator=generator, device=device) - recipe.cutout // 2
        left = torch.randint(width, (n, 1), generator=generator, device=device) - recipe.cutout // 2
        rows = (y_axis >= top) & (y_axis < top + recipe.cutout)
        columns = (x_axis >= left) & (x_axis < left + recipe.cutout)
        x = x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)
    return x


def _encode(images: np.ndarray, pixel_max: int, levels: int) -> torch.Tensor:
    """Counts as in :meth:`Network.encode`."""
    table = encode(np.arange(pixel_max + 1), input_levels=levels, pixel_max=pixel_max)
    return torch.from_numpy(table.astype(np.uint8 if levels < 256 else np.int32)[images])


@torch.no_grad()
def _accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    right = sum(int((model(images[k:k + _BATCH].float()).argmax(1) == labels[k:k + _BATCH]).sum())
                for k in range(0, len(images), _BATCH))
    return right / len(images)


def _spikes(network: Network, images: np.ndarray) -> float:
    """Mean spike count of a neuron."""
    counts = network.run(network.encode(images)).counts
    fired = [counts[layer.name] for layer in network.neurons]
    return round(float(sum(c.sum() for c in fired) / sum(c.size for c in fired)), 4)


def _metadata(dataset: str, model: str, command: str, seed: int, recipe: Recipe,
              device: torch.device, result: dict[str, Any]) -> dict[str, object]:
    return {"dataset": dataset, "model": model, "command": command, "seed": seed,
            "device": device.type, "threads": recipe.threads,
            "accuracy": result["accuracy_integer"], "accuracy_float": result["accuracy_float"],
            "spikes": result["spikes"],
            "versions": {"python": platform.python_version(), "numpy": np.__version__,
                         "torch": torch.__version__}}


def _command(dataset: str, model: str, name: str, seed: int, **options: object) -> str:
    words = ["python -m gen train --dataset", dataset, "--model", model, "--name", name,
             "--seed", str(seed)]
    for option, value in options.items():
        if value is not None:
            words += [f"--{option.replace('_', '-')}", *([] if value is True else [str(value)])]
    return " ".join([*words, "-o", f"{name}.npz"])


def _device() -> torch.device:
    """Where to train."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _deterministic(seed: int, count: int, device: torch.device) -> Iterator[torch.Generator]:
    """Fix seed, threads and, on the processor, algorithms; yield the generator of order and
    augmentation, which is on ``device``."""
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(count)
        torch.use_deterministic_algorithms(str(device) == "cpu")
        try:
            yield torch.Generator(device).manual_seed(seed)
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(before)
