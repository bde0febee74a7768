"""The streams of an array that are compared with :meth:`Network.run`, each of which knows what its
beats hold."""

from abc import ABC, abstractmethod

import numpy as np

from gen.ir import beats
from gen.ir.network import Trace
from hw.config import ArrayConfig
from hw.layers import CoreConfig
from hw.maps import MapConfig

__all__ = ["Stream", "layer_streams", "quiet_streams"]


class Stream(ABC):
    """Beats, and the values in them.

    Parameters
    ----------
    name : of the stream
    lanes, bits : values of a beat, and bits of each
    masks : for each beat of a sample, its bits that are compared
    """

    def __init__(self, name: str, lanes: int, bits: int, masks: list[int]) -> None:
        self.name, self.lanes, self.bits, self.masks = name, lanes, bits, masks

    @abstractmethod
    def expected(self, trace: Trace) -> np.ndarray:
        """The values of a run, the samples first."""

    @abstractmethod
    def pack(self, values: np.ndarray) -> np.ndarray:
        """Values as :meth:`expected` has them -> ``(N, beats, words)`` uint32."""

    @abstractmethod
    def unpack(self, words: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`pack`."""

    @abstractmethod
    def place(self, beat: int, lane: int) -> tuple[str, int, int, int]:
        """``(layer, channel, y, x)`` of a lane of a sample's ``beat``-th beat."""

    def value(self, field: int) -> int:
        """The value in a field of a beat."""
        return field

    def difference(self, sample: int, beat: int, expected: int, got: int) -> dict[str, str | int]:
        """The first value in which two beats, given as integers, differ: its ``layer``,
        ``sample``, ``channel``, ``y``, ``x``, and what is ``expected`` and ``got``."""
        pairs = zip(*(beats.fields(word, self.lanes, self.bits) for word in (expected, got)),
                    strict=True)
        lane, pair = next((lane, pair) for lane, pair in enumerate(pairs) if pair[0] != pair[1])
        layer, channel, y, x = self.place(beat, lane)
        return {"layer": layer, "sample": sample, "channel": channel, "y": y, "x": x,
                "expected": self.value(pair[0]), "got": self.value(pair[1])}


class _Map(Stream):
    """Spike counts of a layer, or the slices of its trains."""

    def __init__(self, name: str, layout: MapConfig) -> None:
        super().__init__(name, layout.word, layout.one_slice.bits,
                         [(1 << layout.beat_bits) - 1] * layout.beats)
        self._layout = layout

    def expected(self, trace: Trace) -> np.ndarray:
        return trace.maps[self.name]

    def pack(self, values: np.ndarray) -> np.ndarray:
        return beats.pack(values, self._layout)

    def unpack(self, words: np.ndarray) -> np.ndarray:
        return beats.unpack(words, self._layout)

    def place(self, beat: int, lane: int) -> tuple[str, int, int, int]:
        return self.name, *beats.locate(self._layout, beat, lane)


class _Logits(Stream):
    """Potentials of the read-out."""

    def __init__(self, readout: CoreConfig) -> None:
        lanes, bits = readout.lanes, readout.membrane_bits
        super().__init__(readout.name, lanes, bits, [
            (1 << bits * min(lanes, readout.channels - first)) - 1
            for first in range(0, readout.channels, lanes)] * (readout.beats // readout.groups))
        self._readout = readout

    def expected(self, trace: Trace) -> np.ndarray:
        return trace.logits

    def pack(self, values: np.ndarray) -> np.ndarray:
        return beats.pack_logits(values, self._readout)

    def unpack(self, words: np.ndarray) -> np.ndarray:
        return beats.unpack_logits(words, self._readout)

    def place(self, beat: int, lane: int) -> tuple[str, int, int, int]:
        position, group = divmod(beat, self._readout.groups)
        width = self._readout.sources[0].positions[1]
        return self.name, group * self.lanes + lane, *divmod(position, width)

    def value(self, field: int) -> int:
        sign = 1 << self.bits - 1
        return (field ^ sign) - sign


class _Quiet(_Map):
    """Whether each of the layers that come to rest was quiet."""

    def __init__(self, layers: list[str]) -> None:
        super().__init__("quiet layers", MapConfig(len(layers), 1, 1, 1, len(layers)))
        self._layers = layers

    def expected(self, trace: Trace) -> np.ndarray:
        quiet = np.stack([trace.quiet(name) for name in self._layers], axis=1)
        return quiet[:, :, None, None]

    def place(self, beat: int, lane: int) -> tuple[str, int, int, int]:
        return f"{self._layers[lane]} is quiet", 0, 0, 0


def layer_streams(config: ArrayConfig) -> list[Stream]:
    """The streams of the layers, in their order."""
    return [*(_Map(layer.name, layer.out) for layer in config.layers[:-1]),
            _Logits(config.readout)]


def quiet_streams(config: ArrayConfig) -> list[Stream]:
    """The stream of which layers were quiet, if any come to rest."""
    return [_Quiet([core.name for core in config.settling])] if config.settling else []
