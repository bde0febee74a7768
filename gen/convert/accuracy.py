"""What a conversion costs: the integers against the module they are made of."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
from .results import Result

__all__ = ["AGREEMENT", "Cost", "costs", "facts", "judge", "layer_errors", "require_classes"]

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
_TUNED_ADVICE = "more --levels, --bits, --input-levels, --epochs or images bring them closer"


@dataclass(frozen=True)
class Cost:
    """What one of the module's results loses in integers.

    Members
    -------
    result : which
    error : of its scores, relative to how much the module's vary
    agreement : share of images, or of the positions of their maps, that both classify alike; None
        of a result that names no classes
    before, after : accuracy of the module and of the integers; None without labels
    one_class : whether the module names one class for all images
    """

    result: Result
    error: float
    agreement: float | None = None
    before: float | None = None
    after: float | None = None
    one_class: bool = False

    @property
    def facts(self) -> dict[str, float]:
        """For reports."""
        told = {"agreement": self.agreement, "scores_error": self.error,
                "accuracy_module": self.before, "accuracy": self.after}
        return {name: value for name, value in told.items() if value is not None}


def require_classes(results: Sequence[Result], labels: np.ndarray | None,
                    required: float | None) -> None:
    """Refuse labels, or an agreement, that mean nothing for the results of a module.

    Parameters
    ----------
    labels : ``(N, ...)`` integers from 0 on
    required : least agreement

    Raises
    ------
    ConversionError
        If an agreement is required where no result names classes.
    DataError
        If labels are not classes of the only result.
    """
    if required is not None and not any(result.has_classes for result in results):
        raise ConversionError(f"--require-agreement: {_no_classes(results[0])}; leave it out")
    if labels is None:
        return
    if len(results) > 1:
        raise DataError(f"labels: the module has {len(results)} results ("
                        f"{', '.join(result.name for result in results)}), and labels are those of "
                        f"one; leave them out")
    (result,) = results
    if not result.has_classes:
        raise DataError(f"labels: {_no_classes(result)}; leave them out")
    wanted = (len(labels), *(result.positions if result.shape[1:] != (1, 1) else ()))
    if labels.shape != wanted:
        each = f"position of {result.label}" if len(wanted) > 1 else "image"
        raise DataError(f"labels must be a class for each {each}, {wanted}, not {labels.shape}")
    if labels.max() >= result.shape[0]:
        raise DataError(f"labels must lie in 0..{result.shape[0] - 1}, because {result.label} has "
                        f"{result.shape[0]} classes, not {labels.min()}..{labels.max()}")


def _no_classes(result: Result) -> str:
    what = "is a flattened map" if result.shape[0] > 1 else "has one channel"
    return f"{result.label} of the module {what}, which names no classes"


def costs(lowered: Lowered, network: Network, step: float, pixels: np.ndarray,
          scores: torch.Tensor, labels: np.ndarray | None = None, *, classes: bool = False
          ) -> tuple[Cost, ...]:
    """Compare a network with each of the module's results.

    Parameters
    ----------
    step : value of a unit of a logit
    pixels : images as integers
    scores : the module's for the images, in the shape of the logits
    labels : classes, see :func:`require_classes`
    classes : whether all results name classes that can
    """
    logits = torch.from_numpy(network.predict(pixels))
    return tuple(
        _cost(result, ours, theirs, step, labels, classes or labels is not None)
        for (result, ours), (_, theirs) in zip(
            lowered.parted(logits), lowered.parted(scores.double()), strict=True))


def _cost(result: Result, ours: torch.Tensor, theirs: torch.Tensor, step: float,
          labels: np.ndarray | None, classes: bool) -> Cost:
    """The cost of a result for integers and scores ``(N, C, H, W)``."""
    spread = (theirs - theirs.mean(dim=0)).norm() or theirs.norm() or 1.0
    error = float((ours * step - theirs).norm() / spread)
    if not (result.names_classes or (classes and result.has_classes)):
        return Cost(result, error)
    said, own = theirs.argmax(1), ours.argmax(1)
    agreement, one = float((said == own).double().mean()), len(said) > 1 == len(said.unique())
    if labels is None:
        return Cost(result, error, agreement, one_class=one)
    wanted = torch.from_numpy(labels.astype(np.int64)).reshape(said.shape)
    return Cost(result, error, agreement, float((said == wanted).double().mean()),
                float((own == wanted).double().mean()), one)


def facts(found: Sequence[Cost]) -> dict[str, Any]:
    """What is told of the results: of one alone ``agreement`` (if it names classes),
    ``scores_error`` and with labels ``accuracy_module`` and ``accuracy``, of several that of each
    by its name, in ``results``."""
    if len(found) == 1:
        return dict(found[0].facts)
    return {"results": {cost.result.name: cost.facts for cost in found}}


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


def judge(found: Sequence[Cost], images: int, errors: Mapping[str, float],
          required: float | None, tuned: bool = False) -> None:
    """Refuse a network that agrees with its module too seldom, or warn.

    Parameters
    ----------
    found : of each result
    images : their number
    errors : of the layers
    required : least agreement
    tuned : whether the network has been tuned

    Raises
    ------
    ConversionError
        If an agreement is less than what is required.
    """
    advice = _TUNED_ADVICE if tuned else _ADVICE
    for cost in found:
        if required is not None and cost.agreement is not None and not cost.agreement >= required:
            raise ConversionError(f"{_share(cost, images)}, less than the {required:.2%} required; "
                                  f"{advice}")
    if images < _FEW:
        log.warning("warning: %d calibration image%s, so the ranges and the agreement say little; "
                    "give some hundreds", images, "s are few" if images > 1 else " is few")
    worst = max(errors, key=lambda name: errors[name], default="")
    where = f" (the worst layer is {worst}: {errors[worst]:.0%})" if worst else ""
    for cost in found:
        if lost := _lost(cost, images, required):
            log.warning("warning: %s%s; %s", lost, where, advice)
        if cost.one_class:
            log.warning("warning: %sthe module names one class for all calibration images, so the "
                        "agreement of the integers says little", _of(cost))


def _lost(cost: Cost, images: int, required: float | None) -> str:
    """What is lost, if it is much."""
    if cost.before is not None and cost.after is not None:
        much = cost.before - cost.after > _LOSS
        return (f"{_of(cost)}the integers classify {100 * cost.after:.2f} % of the images rightly, "
                f"the module {100 * cost.before:.2f} %") if much else ""
    if cost.agreement is not None:
        return _share(cost, images) if required is None and cost.agreement < AGREEMENT else ""
    return (f"{_of(cost)}the results differ by {100 * cost.error:.0f} % of what they vary"
            if cost.error > _ERROR else "")


def _share(cost: Cost, images: int) -> str:
    of = "" if cost.result.shape[1:] == (1, 1) else "the positions of "
    return (f"{_of(cost)}the integers classify {cost.agreement:.2%} of {of}the {images} "
            f"calibration images as the module does")


def _of(cost: Cost) -> str:
    return f"{cost.result.label}: " if cost.result.name else ""
