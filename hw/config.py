"""What the gateware is built from: shapes in frozen dataclasses, values in memory images.

A configuration holds all that is synthesised: sizes of layers, widths, lanes, schedules. Weights,
biases and thresholds are rows of a :class:`MemoryImage`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from .layers import CoreConfig, PoolConfig, cores
from .maps import MapConfig

__all__ = ["ArrayConfig", "MemoryImage"]


@dataclass(frozen=True)
class ArrayConfig:
    """A whole network.

    Parameters
    ----------
    input : the map that the host sends
    layers : in topological order, the read-out last
    interleaved : sequences that a sample holds side by side
    reloadable : whether a host may replace the contents of the memories (:mod:`hw.contents`)
    selftests : samples that the device tests itself with (:mod:`hw.selftest`)
    """

    input: MapConfig
    layers: tuple[CoreConfig | PoolConfig, ...]
    interleaved: int = 1
    reloadable: bool = False
    selftests: int = 0

    @property
    def readout(self):
        """The layer whose potentials are the logits."""
        return self.layers[-1]

    @property
    def positions(self):
        """Positions of the read-out, each of which has all logits."""
        return self.readout.beats // self.readout.groups

    @property
    def timesteps(self):
        """Those of the longest run; 1 if neurons fire after all the charge of a sample."""
        return self.readout.schedule.timesteps

    @property
    def in_flight(self):
        """Samples that may have begun and have no logits yet: a power of two, more than two for
        each layer, which works on one while its memory takes in the next."""
        if not self.continues:
            return 1 << (2 * len(self.layers)).bit_length()
        # Many short blocks fit a memory. There are more, so that a component that is behind those
        # after it, which look at earlier rows, need not hold them up (:mod:`hw.past`).
        held = sum(2 + max(-(-source.rows // source.map.height) for source in layer.sources)
                   for layer in self.layers)
        return 1 << (held + 8).bit_length()

    @property
    def continues(self):
        """Whether samples are blocks of sequences that go on."""
        return any(layer.continues for layer in self.layers)

    @property
    def input_bits(self):
        """Bits of a beat that the host sends: those of the map's, and above them, if samples are
        blocks of sequences, whether the sample begins one, which counts in its first beat."""
        return self.input.beat_bits + self.continues

    @property
    def logit_words(self):
        """Words of 32 bits of a logit in a result."""
        return -(-self.readout.membrane_bits // 32)

    @property
    def quiet_words(self):
        """Words of 32 bits in a result that tell of the layers that were quiet."""
        return -(-len(self.settling) // 32)

    @property
    def answer_words(self):
        """Words of a result, without the clocks."""
        return self.readout.channels * self.positions * self.logit_words + self.quiet_words

    @property
    def settling(self):
        """The cores whose neurons take spikes back, so that they come to rest."""
        return tuple(core for core in self.cores if core.schedule.low < 0)

    @property
    def cores(self):
        """The layers with synapses."""
        return cores(self.layers)

    def consumers(self, index):
        """The layers that read the map of layer ``index`` (-1: the input): pairs of the reader's
        index and of the source's index among those of the reader."""
        return tuple((i, s) for i, layer in enumerate(self.layers)
                     for s, source in enumerate(layer.sources) if source.layer == index)

    def shortened(self, timesteps):
        """What the array does in a run with fewer time-steps: the programs end early."""
        return replace(self, layers=tuple(layer.shortened(timesteps) for layer in self.layers))

    def digest(self):
        """SHA-256 of the configuration, as 64 hexadecimal digits."""
        facts = _without(asdict(self), {
            "continues": False, "interleaved": 1, "reloadable": False,
            "selftests": 0, "unit": 0, "moves": True})
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class MemoryImage:
    """Contents of a memory: ``rows`` of ``width`` bits each, as non-negative integers."""

    width: int
    rows: tuple[int, ...]

    def __post_init__(self):
        for index, row in enumerate(self.rows):
            if not 0 <= row < 1 << self.width:
                raise ValueError(f"row {index} must have {self.width} bits, not {row:#x}")


def _without(facts, later):
    """Facts without those that have the value given by ``later``: there were arrays before these
    names."""
    if isinstance(facts, dict):
        return {name: _without(value, later) for name, value in facts.items()
                if name not in later or value != later[name]}
    return [_without(each, later) for each in facts] if isinstance(facts, list | tuple) else facts
