"""What a conversion costs: the integers against the module they are made of."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gen.errors import ConversionError, DataError
from gen.ir.layers import INPUT
from gen.ir.network import Network

from .fidelity import beside
from .images import Images
from .lowered import Lowered
from .quantised import QuantisedModel

__all__ = ["AGREEMENT", "Cost", "cost", "judge", "layer_errors"]

log = logging.getLogger(__name__)

AGREEMENT = 0.97
"""Share of images for which the integers should name the same class as the module. A lower share
is a warning."""

_LOSS = 0.01
"""Accuracy that may be lost without a warning."""

_ERROR = 0.2
"""Relative error of scores above which there is a warning, where no classes are compared."""

_FEW = 10
"""Images with which an agreement says something."""

_ADVICE = ("more --levels, --bits or --input-levels, or more calibration images bring them closer; "
           "so does python -m gen tune")


@dataclass(frozen=True)
class Cost:
    """What is lost from the module to the integers.

    Members
    -------
    agreement : share of images, or of the positions of their maps, that both classify alike
    error : of the scores, relative to how much the module's vary
    before, after : accuracy of the module and of the integers; None without labels
    """

    agreement: float
    error: float
    before: float | None = None
    after: float | None = None

    @property
    def facts(self) -> dict[str, float]:
        """For reports."""
        facts = {"agreement": self.agreement, "scores_error": self.error}
        if self.before is not None and self.after is not None:
            facts |= {"accuracy_module": self.before, "accuracy": self.after}
        return facts


def cost(network: Network, step: float, pixels: np.ndarray, scores: torch.Tensor,
         labels: np.ndarray | None = None) -> Cost:
    """Compare a network with the module's scores.

    Parameters
    ----------
    step : value of a unit of a logit
    pixels : images as integers
    scores : the module's for the images, in the shape of the logits
    labels : ``(N,)`` classes

    Raises
    ------
    DataError
        If there are other labels than images.
    """
    logits = network.predict(pixels)
    theirs = scores.double().numpy()
    spread = np.linalg.norm(theirs - theirs.mean(axis=0)) or np.linalg.norm(theirs) or 1.0
    agreement = float((theirs.argmax(1) == logits.argmax(1)).mean())
    error = float(np.linalg.norm(logits * step - theirs) / spread)
    if labels is None:
        return Cost(agreement, error)
    if labels.shape != (len(pixels),) or logits.ndim != 2:
        raise DataError(f"labels must be one class for each of {len(pixels)} images, not an array "
                        f"of {labels.shape}")
    return Cost(agreement, error, float((theirs.argmax(1) == labels).mean()),
                float((logits.argmax(1) == labels).mean()))


@torch.no_grad()
def layer_errors(module: nn.Module, lowered: Lowered, quantised: QuantisedModel,
                 images: Images) -> dict[str, float]:
    """For each layer with weights how far its values are from the module's, relative to their
    size, ``|ours - theirs| / |theirs|``: with all that the layers before it have lost.

    Parameters
    ----------
    images : as the module takes them
    """
    missed: dict[str, float] = {}
    size: dict[str, float] = {}
    for made, _ in beside(module, lowered, images):
        counts = (made[INPUT] * quantised.input_levels + 0.5).floor()
        for k in range(len(counts)):  # one by one, because float64 takes much memory
            ours = quantised.values(counts[k:k + 1])
            for layer in lowered.charged:
                theirs = made[layer.name][k:k + 1].double()
                miss = (ours[layer.name] - theirs).square().sum()
                missed[layer.name] = missed.get(layer.name, 0.0) + float(miss)
                size[layer.name] = size.get(layer.name, 0.0) + float(theirs.square().sum())
    return {name: (missed[name] / size[name]) ** 0.5 if size[name] else 0.0 for name in missed}


def judge(found: Cost, images: int, classes: int, errors: Mapping[str, float],
          required: float | None) -> None:
    """Refuse a network that agrees with its module too seldom, or warn.

    Parameters
    ----------
    images : their number
    classes : of the scores
    errors : of the layers
    required : least agreement

    Raises
    ------
    ConversionError
        If the agreement is less than what is required.
    """
    share = (f"the integers classify {found.agreement:.2%} of the {images} calibration images as "
             f"the module does")
    if required is not None and not found.agreement >= required:
        raise ConversionError(f"{share}, less than the {required:.2%} required; {_ADVICE}")
    if images < _FEW:
        log.warning("warning: %d calibration image%s, so the ranges and the agreement say little; "
                    "give some hundreds", images, "s are few" if images > 1 else " is few")
    worst = max(errors, key=lambda name: errors[name], default="")
    where = f" (the worst layer is {worst}: {errors[worst]:.0%})" if worst else ""
    if found.before is not None and found.after is not None:
        if found.before - found.after > _LOSS:
            log.warning("warning: the integers classify %.2f %% of the images rightly, the module "
                        "%.2f %%%s; %s", 100 * found.after, 100 * found.before, where, _ADVICE)
    elif classes > 1 and required is None and found.agreement < AGREEMENT:
        log.warning("warning: %s%s; %s", share, where, _ADVICE)
    elif classes == 1 and found.error > _ERROR:
        log.warning("warning: the results differ by %.0f %% of what they vary%s; %s",
                    100 * found.error, where, _ADVICE)
