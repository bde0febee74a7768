"""The integer network: the semantics that gateware, netlist and host are compared with.

A :class:`Network` holds integers only. It has one of two schedules.

With ``settle`` a neuron receives all the charge of a sample before it fires. By charge conservation
(docs/methods.md, 2) its spike count is::

    n = clip(floor((v0 + sum_i W_i n_i) / theta), 0, levels)

The division rounds half up if ``v0 = bias + (theta >> 1)``, and down if ``v0 = bias``.

With ``step`` a neuron fires in each time-step, as the network's :class:`hw.dynamics.Dynamics` say
(docs/methods.md, 8 to 11). A layer then sends trains, the spikes of each time-step.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gen.errors import NetworkError
from hw.dynamics import Dynamics

from .batches import batches
from .exact import check_levels, check_pixels, check_values, encode, frozen, require_name
from .layers import INPUT, Layer
from .logits import logit_shape, predicted
from .stepping import arrived, check_steps, encoded

__all__ = ["Network", "Trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """Result of :meth:`Network.run`.

    Members
    -------
    counts : layer with neurons or pooling -> ``(N, C, H, W)`` spikes in the steps that count
    logits : ``(N, *logit_shape)`` integers, see :func:`gen.ir.logits.logit_shape`
    trains : layer name -> ``(T, N, C, H, W)`` spikes of each time-step; none without time-steps
    maps : layer name -> what travels to the next layer: its counts, or its trains
        (:func:`gen.ir.stepping.encoded`), ``(N, C, H, W)``
    steps : ``(T, *logits.shape)``, logits after each time-step; without time-steps T is 1
    """

    counts: dict[str, np.ndarray]
    logits: np.ndarray
    trains: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]
    steps: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """``(N,)``, see :func:`predicted`."""
        return predicted(self.logits)

    def quiet(self, layer: str) -> np.ndarray:
        """Whether no neuron of a layer spikes in the last time-step, ``(N,)``. Without time-steps
        all are quiet."""
        if layer not in self.trains:
            return np.ones(len(self.logits), dtype=bool)
        return ~self.trains[layer][-1].any(axis=(1, 2, 3))


@dataclass(frozen=True, eq=False)
class Network:
    """A spiking network in integers.

    Parameters
    ----------
    name : short, used in file names
    input_shape : ``(C, H, W)``
    input_levels : greatest input count; an input is a count like any other
    pixel_max : greatest raw value of a pixel (see :meth:`encode`)
    layers : of :mod:`gen.ir.layers`, sources first, the one read-out last
    metadata : JSON-serialisable facts (data set, accuracy, how it was made); no meaning for `run`
    samples : a few raw images ``(N, C, H, W)`` that travel with the network, so that it can be
        mapped to a board and verified on real data without the data set; no meaning for `run`

    Members
    -------
    shapes : layer name, or :data:`gen.ir.layers.INPUT` -> ``(C, H, W)`` of its map
    levels : the same -> greatest count of its map; the read-out has none
    spans : the same -> least and greatest count in a time-step of its train. Without time-steps
        there are no trains: neurons then have (0, 1), whatever their levels

    Raises
    ------
    NetworkError
        If the parts contradict each other, or a number might leave the exact range of 53 bits.
    """

    name: str
    input_shape: tuple[int, int, int]
    input_levels: int
    pixel_max: int
    layers: tuple[Layer, ...]
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    samples: np.ndarray | None = None
    shapes: Mapping[str, tuple[int, int, int]] = field(init=False)
    levels: Mapping[str, int] = field(init=False)
    spans: Mapping[str, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        require_name(self.name)
        if (not isinstance(self.input_shape, tuple) or len(self.input_shape) != 3
                or not all(type(v) is int and v >= 1 for v in self.input_shape)):
            raise NetworkError(f"input_shape must be three positive integers, not "
                               f"{self.input_shape!r}")
        check_pixels(self.input_levels, self.pixel_max)
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        shapes, levels = {INPUT: self.input_shape}, {INPUT: self.input_levels}
        spans = {INPUT: (0, self.input_levels)}
        if events := self.dynamics.events if self.dynamics else 0:
            levels[INPUT], spans[INPUT] = self.timesteps * events, (0, events)
        check_values(INPUT, self.input_shape)
        for layer in self.layers:
            if layer.name in shapes:
                raise NetworkError(f"two layers are named {layer.name!r}")
            others = [source for source in layer.sources if source != layer.name]
            for source in others:
                if source not in levels:
                    raise NetworkError(f"{layer.name}: source {source!r} is not an earlier layer")
            shapes[layer.name] = layer.out_shape([shapes[s] for s in others])
            check_values(layer.name, shapes[layer.name])
            top = layer.out_levels([levels[s] for s in others])
            if top is not None:
                check_levels(top, f"{layer.name}: levels")
                levels[layer.name] = top
                spans[layer.name] = layer.out_span([spans[s] for s in others])
            layer.check_sums([levels[s] for s in layer.sources])
        object.__setattr__(self, "shapes", MappingProxyType(shapes))
        object.__setattr__(self, "levels", MappingProxyType(levels))
        object.__setattr__(self, "spans", MappingProxyType(spans))
        readouts = [layer for layer in self.layers if layer.name not in levels]
        if len(readouts) != 1 or self.layers[-1] is not readouts[0]:
            raise NetworkError("a network must end with its one read-out layer")
        check_steps(self)
        if self.samples is not None:
            object.__setattr__(self, "samples", self.shaped(frozen(self.samples, "samples")))
            self.encode(self.samples)
        used = {s for layer in self.layers for s in layer.sources if s != layer.name}
        for name in levels:
            if name not in used:
                raise NetworkError(f"nothing uses the spikes of {name!r}")

    @property
    def dynamics(self) -> Dynamics | None:
        """The time-steps, with the first layer's membrane; ``None`` if neurons fire once."""
        return next((layer.dynamics for layer in self.layers if layer.synapses), None)

    @property
    def readout(self) -> Layer:
        """The last layer, whose potentials are the logits."""
        return self.layers[-1]

    @property
    def neurons(self) -> tuple[Layer, ...]:
        """The layers of neurons: those that fire."""
        return tuple(layer for layer in self.layers if layer.synapses and layer.name in self.levels)

    @property
    def neuron_levels(self) -> dict[str, int]:
        """Layer of neurons -> the greatest count that its neurons have in the quantised network."""
        return _levels(self.neurons)

    @property
    def classes(self) -> int:
        """Number of logits of a position of the read-out."""
        return self.shapes[self.readout.name][0]

    @property
    def positions(self) -> tuple[int, int]:
        """``(y, x)`` positions of the read-out."""
        return self.shapes[self.readout.name][1:]

    @property
    def logit_shape(self) -> tuple[int, ...]:
        """Shape of a sample's logits, see :func:`gen.ir.logits.logit_shape`."""
        return logit_shape(self.classes, self.positions)

    @property
    def weight_count(self) -> int:
        """Weights of all layers, zeros among them."""
        return sum(s.weights.size for layer in self.layers for s in layer.synapses)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that has a meaning for :meth:`run`, as 64 hexadecimal digits."""
        sha = hashlib.sha256()

        def add(value):
            if isinstance(value, np.ndarray):
                sha.update(json.dumps(value.shape).encode() + value.astype("<i8").tobytes())
            else:
                sha.update(json.dumps(value).encode() + b"\0")

        add([self.input_shape, self.input_levels, self.pixel_max])
        for layer in self.layers:
            for fact in layer.meaning():
                add(fact)
        return sha.hexdigest()

    def shaped(self, images: ArrayLike) -> np.ndarray:
        """Images as ``(N, C, H, W)``, whatever their axes.

        Parameters
        ----------
        images : ``(N, C, H, W)``; or ``(N, H, W)`` for one channel; or ``(N, features)`` for an
            input of ``features`` channels and one position. For an input of one column, sequences
            ``(N, C, H)``, or ``(N, H, C)`` if that is another shape

        Raises
        ------
        NetworkError
            If the shape is none of these.
        """
        given = images = np.asarray(images)
        channels, *position = self.input_shape
        if images.ndim == 3 and position[1] == 1 and channels > 1:
            if images.shape[1:] != (channels, position[0]):
                images = images.swapaxes(1, 2)
            images = images[..., None]
        if images.ndim == 3 and channels == 1:
            images = images[:, None]
        elif images.ndim == 2 and position == [1, 1]:
            images = images[:, :, None, None]
        if images.ndim != 4 or images.shape[1:] != self.input_shape:
            shape = ", ".join(map(str, self.input_shape))
            vectors = f"(N, {channels}) or " if position == [1, 1] else ""
            raise NetworkError(f"images must have the shape {vectors}(N, {shape}), not "
                               f"{given.shape}")
        return images

    def encode(self, images: ArrayLike) -> np.ndarray:
        """Raw images to input counts ``(N, C, H, W)``, by :meth:`shaped` and
        :func:`gen.ir.exact.encode`.

        Raises
        ------
        NetworkError
            If the shape, the type or the range differs.
        """
        return encode(self.shaped(images), input_levels=self.input_levels,
                      pixel_max=self.pixel_max)

    @property
    def approximates(self) -> bool:
        """Whether neurons fire as those of a quantised network, had they all the charge. Neurons
        that leak or have another reset don't, nor those that get events."""
        layers = [layer.dynamics for layer in self.layers if layer.dynamics is not None]
        return all(dynamics == dynamics.shared and not dynamics.events and not dynamics.phases
                   for dynamics in layers)

    @property
    def timesteps(self) -> int:
        """Those of the longest run; 1 if neurons fire after all the charge of a sample."""
        return 1 if self.dynamics is None else self.dynamics.timesteps

    @property
    def charged(self) -> int | None:
        """Number of time-steps from which on a run is exact once all its neurons are quiet: the
        wake steps, which bring all the charge of the input and the biases. ``None`` if quiet
        neurons need not have the counts of the quantised network (docs/methods.md, 8).

        It is a length of a run. :attr:`hw.dynamics.Dynamics.charged` bounds potentials instead.
        """
        dynamics = self.dynamics
        if dynamics is None or not dynamics.signed or dynamics.cycles > 1:
            return None
        exact = (dynamics.once if dynamics.bound == "levels" else
                 set(self.neuron_levels.values()) <= {dynamics.wake})
        return dynamics.wake if exact else None

    def run(self, counts: ArrayLike, *, timesteps: int | None = None) -> Trace:
        """Spike counts of every layer and the logits, exactly.

        Parameters
        ----------
        counts : ``(N, C, H, W)`` input counts in ``0..input_levels`` (see :meth:`encode`)
        timesteps : of the run, by default all of the network's

        Raises
        ------
        NetworkError
            If the shape, the type or the range differs.
        """
        timesteps = self.checked(timesteps)
        counts = frozen(counts, "input counts")
        if counts.shape[1:] != self.input_shape:
            raise NetworkError(f"input counts must have the shape (N, *{self.input_shape}), "
                               f"not {counts.shape}")
        if counts.size and (counts.min() < 0 or counts.max() > self.input_levels):
            raise NetworkError(f"input counts must lie in 0..{self.input_levels}")
        values = {INPUT: arrived(counts, self.dynamics)}
        for layer in self.layers:
            values[layer.name] = layer.run([values[s] for s in layer.sources if s != layer.name])
        steps = values.pop(self.readout.name).reshape(-1, len(counts), *self.logit_shape)
        values[INPUT] = counts
        # A shorter run is the beginning of a longer one.
        steps = steps[:timesteps]
        trains = {name: train[:timesteps] for name, train in values.items() if train.ndim == 5}
        first = 0 if self.dynamics is None else self.dynamics.probe
        summed = {name: train[first:].sum(axis=0, dtype=np.int64)
                  for name, train in trains.items()}
        sent = {name: encoded(train, self.spans[name]) for name, train in trains.items()}
        return Trace(counts=values | summed, logits=steps[-1], trains=trains, maps=values | sent,
                     steps=steps)

    def checked(self, timesteps: int | None) -> int:
        """A number of time-steps, by default all.

        Raises
        ------
        NetworkError
            If the network does not run so many, or has no other number to choose.
        """
        if timesteps is None:
            return self.timesteps
        least = self.dynamics.shortest if self.dynamics else 1
        if type(timesteps) is int and least <= timesteps <= self.timesteps:
            return timesteps
        if least == self.timesteps:
            raise NetworkError(f"{self.name} has no time-steps to choose, as every run takes "
                               f"{least}: leave --timesteps out")
        raise NetworkError(f"{self.name} runs {least} to {self.timesteps} time-steps, not "
                           f"{timesteps!r}")

    def quantised(self, counts: np.ndarray) -> Trace:
        """What the same network computes if its neurons fire after all the charge of a sample: the
        quantised network (docs/methods.md, 8).

        Parameters
        ----------
        counts : as of :meth:`run`

        Raises
        ------
        NetworkError
            If neurons spike once, with thresholds that are not those of the quantised network, or
            if it does not :attr:`approximates` one.
        """
        if self.dynamics is None:
            return self.run(counts)
        if self.dynamics.phases:
            raise NetworkError(f"{self.name} has thresholds for one spike, from which the "
                               f"quantised network does not follow")
        if not self.approximates:
            raise NetworkError(f"{self.name} is defined by its time-steps, and approximates no "
                               f"quantised network")
        times = (1 if self.dynamics.once else
                 max(self.neuron_levels.values()) // self.dynamics.burst)
        return replace(self, layers=tuple(layer.settled(times) for layer in self.layers),
                       input_levels=times * self.input_levels,
                       pixel_max=times * self.pixel_max, samples=None).run(times * counts)

    def quiet(self, trace: Trace) -> dict[str, np.ndarray]:
        """For each layer of neurons whether none of them spikes in the last time-step of a run,
        ``(N,)``. If no layer has a neuron that does, there would be no further spikes, and with
        spikes that are taken back the counts are the quantised activations (docs/methods.md, 8).
        Without time-steps all are quiet.
        """
        return {layer.name: trace.quiet(layer.name) for layer in self.neurons}

    def exact(self, trace: Trace) -> np.ndarray | None:
        """Whether the logits of a run are known to be those of the quantised network, ``(N,)``,
        because all charge has arrived and all neurons are quiet. ``None`` if the neurons need never
        become so, or if they fire once."""
        if self.charged is None:
            return None
        quiet = np.all(list(self.quiet(trace).values()), axis=0)
        return quiet & (len(trace.steps) >= self.charged)

    def count_exact(self, trace: Trace, before: int | None = None) -> int | None:
        """How many samples of a run are :meth:`exact`, and of those ``before`` it."""
        exact = self.exact(trace)
        return None if exact is None else (before or 0) + int(exact.sum())

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Logits ``(N, *logit_shape)`` of raw images, in batches, so that memory stays small."""
        logits = [np.empty((0, *self.logit_shape), dtype=np.int64)]
        for part in batches(self, len(images)):
            logits.append(self.run(self.encode(images[part])).logits)
        return np.concatenate(logits)


def _levels(neurons):
    return {layer.name: layer.levels for layer in neurons}
