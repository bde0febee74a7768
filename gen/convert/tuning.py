"""Winning back what a conversion costs, with images of the user's.

Three steps, each of which keeps what it has only if it is better:

1. Bias correction, layer by layer: the mean of a channel's sums becomes the module's (Nagel et al.,
   "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2).
2. Adaptive rounding, layer by layer: weights and biases are trained through their rounding so that
   the layer's values become the module's (after Nagel et al., "Up or Down? Adaptive Rounding for
   Post-Training Quantization", 2020, eq. 21; the rounding is straight through here).
3. All layers together: the scores become those of the module (and classes those of the labels).
"""

import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.ir.layers import INPUT
from gen.system.progress import bar

from .fidelity import beside
from .images import Images
from .integers import Charged
from .lowered import Lowered
from .quantised import QuantisedModel

__all__ = ["Tuning", "tuned"]

log = logging.getLogger(__name__)

_BATCH = 64

# Images that single layers are fitted to, steps of each, and step sizes relative to the weights.
_IMAGES, _STEPS, _RATE = 512, 60, 0.01

# Share of the images on which the last step is judged, and its step size.
_HELD, _LAST_RATE = 0.1, 3e-4


@dataclass(frozen=True)
class Tuning:
    """How far to go.

    Members
    -------
    epochs : of the last step
    seed : of the order of the images
    progress : show a bar on standard error
    """

    epochs: int = 3
    seed: int = 0
    progress: bool = True


def tuned(quantised: QuantisedModel, module: nn.Module, lowered: Lowered, images: Images,
          labels: np.ndarray | None, tuning: Tuning) -> QuantisedModel:
    """The quantised network, tuned; it is in evaluation mode.

    Parameters
    ----------
    quantised, lowered : made of ``module``
    images : as the module takes them
    labels : classes, as :func:`.accuracy.require_classes` wants them, or None
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(tuning.seed)
        _fit_layers(quantised, module, lowered, images[:_IMAGES], tuning)
        _fit_scores(quantised, module, lowered, images, labels, tuning)
    return quantised.eval()


def _fit_layers(quantised: QuantisedModel, module: nn.Module, lowered: Lowered,
                images: Images, tuning: Tuning) -> None:
    """The first two steps, from the first layer to the last."""
    made: dict[str, list[torch.Tensor]] = {}
    for values, _ in beside(module, lowered, images):
        for name, value in values.items():
            made.setdefault(name, []).append(value)
    theirs = {name: torch.cat(parts) for name, parts in made.items()}
    counts = (theirs[INPUT] * quantised.input_levels + 0.5).floor()
    seen = {INPUT: counts.double()}
    for layer in bar(quantised.layers, desc="layers", unit="layer", disable=not tuning.progress):
        if isinstance(layer, Charged):
            _correct(quantised, layer.name, seen, theirs, lowered)
            _round(quantised, layer.name, seen, theirs[layer.name])
        with torch.no_grad():
            quantised.eval().extend(seen, layer)


@torch.no_grad()
def _correct(quantised: QuantisedModel, name: str, seen: dict[str, torch.Tensor],
             theirs: dict[str, torch.Tensor], lowered: Lowered) -> None:
    """Bias correction of a layer that sees counts, for the values that the module has instead."""
    layer = next(layer for layer in lowered.charged if layer.name == name)
    sums = [term.convolved(theirs[term.source], term.weight) for term in layer.terms
            if term.source != name]
    wanted = torch.stack(sums).sum(dim=0) + layer.bias[:, None, None]
    missing = (wanted - quantised.sums(name, seen)).mean(dim=(0, 2, 3))
    quantised.layer(name).bias.add_(missing.float())


def _round(quantised: QuantisedModel, name: str, seen: dict[str, torch.Tensor],
           wanted: torch.Tensor) -> None:
    """Adaptive rounding of a layer."""
    own = quantised.layer(name)
    given = [_fast(seen[source]) for source in own.sources if source != name]
    trained = [value for value in own.parameters() if value.requires_grad]
    size = float(torch.cat([value.detach().abs().flatten() for value in trained]).mean()) or 1.0
    optimiser = torch.optim.Adam(trained, lr=_RATE * size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    best = _missed(quantised, name, given, wanted), copy.deepcopy(own.state_dict())
    for _ in range(_STEPS):
        chosen = torch.randint(len(wanted), (min(_BATCH, len(wanted)),))
        quantised.train()
        loss = F.mse_loss(quantised.layer_values(name, [x[chosen] for x in given]), wanted[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    quantised.eval()
    if not _missed(quantised, name, given, wanted) < best[0]:
        own.load_state_dict(best[1])


def _fast(counts: torch.Tensor) -> torch.Tensor:
    """Counts in the order in which the processor trains depthwise convolutions fast."""
    return counts.float().contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _missed(quantised: QuantisedModel, name: str, given: list[torch.Tensor],
            wanted: torch.Tensor) -> float:
    return float(F.mse_loss(quantised.layer_values(name, given).float(), wanted))


def _fit_scores(quantised: QuantisedModel, module: nn.Module, lowered: Lowered, images: Images,
                labels: np.ndarray | None, tuning: Tuning) -> None:
    """The last step."""
    counts, scores = _examples(quantised, module, lowered, images)
    classes = None if labels is None else torch.from_numpy(labels.astype(np.int64))
    each = classes is not None and classes.dim() > 1
    order = torch.randperm(len(counts))
    held, rest = order[:max(1, int(_HELD * len(order)))], order[int(_HELD * len(order)):]
    spread = float(scores.var()) or 1.0

    def loss(chosen: torch.Tensor) -> torch.Tensor:
        ours = quantised(_fast(counts[chosen]))
        error = F.mse_loss(ours.float(), scores[chosen]) / spread
        if classes is None:
            return error
        if each:
            ((_, ours),) = lowered.parted(ours)
        wanted = classes[chosen].reshape(len(ours), *ours.shape[2:])
        return error + F.cross_entropy(ours.float(), wanted)

    @torch.no_grad()
    def judged() -> float:
        quantised.eval()
        return sum(float(loss(part)) * len(part) for part in held.split(_BATCH)) / len(held)

    trained = [value for value in quantised.parameters() if value.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=_LAST_RATE)
    steps = list(_steps(rest, tuning.epochs))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, len(steps)))
    best, kept = judged(), copy.deepcopy(quantised.state_dict())
    shown = bar(steps, desc="scores", unit="step", disable=not tuning.progress)
    for last, chosen in shown:
        quantised.train()
        optimiser.zero_grad()
        loss(chosen).backward()
        optimiser.step()
        schedule.step()
        if last and (now := judged()) < best:
            best, kept = now, copy.deepcopy(quantised.state_dict())
    quantised.load_state_dict(kept)


def _steps(order: torch.Tensor, epochs: int) -> Iterator[tuple[bool, torch.Tensor]]:
    """Batches in random order, and whether each is the last of its epoch."""
    for _ in range(epochs):
        parts = order[torch.randperm(len(order))].split(_BATCH)
        yield from ((k == len(parts) - 1, part) for k, part in enumerate(parts))


def _examples(quantised: QuantisedModel, module: nn.Module, lowered: Lowered, images: Images
              ) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts, and the module's scores in the shape of the network's."""
    counts, scores = [], []
    for values, maps in beside(module, lowered, images):
        counts.append((values[INPUT] * quantised.input_levels + 0.5).floor().to(torch.int32))
        scores.append(maps.flatten(1) if maps.shape[2:] == (1, 1) else maps)
    return torch.cat(counts), torch.cat(scores)
