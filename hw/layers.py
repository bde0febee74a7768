"""What a layer is built from: its maps, lanes, widths and program."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from .maps import MapConfig, SourceConfig
from .schedule import Schedule
from .slices import scan

__all__ = ["BANK_ROWS", "CoreConfig", "LayerConfig", "PoolConfig", "cores"]

BANK_ROWS = 2048
"""Greatest depth of a memory of weights: a power of two that block RAMs reach in useful widths."""


class LayerConfig(Protocol):
    """The configuration of a layer of any kind.

    Members
    -------
    name : the layer's name in the network
    port : name in Verilog, an identifier
    sources : the maps that it reads
    channels : output channels
    groups : turns that its hardware takes at an output position
    out : the output map, or ``None`` for the read-out
    sends_logits : whether it is the read-out, whose beats hold potentials and not counts
    out_rows : output rows
    beats : beats that it sends for a sample
    beat_bits : bits of such a beat
    shares : configurations that compute the layer together, each of them some of the output rows
    timesteps : of the longest run, if the layer does something else in a shorter one; or else 1
    continues : whether any source does, see :class:`hw.maps.SourceConfig`
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> str: ...

    @property
    def sources(self) -> tuple[SourceConfig, ...]: ...

    @property
    def channels(self) -> int: ...

    @property
    def groups(self) -> int: ...

    @property
    def out(self) -> MapConfig | None: ...

    @property
    def sends_logits(self) -> bool: ...

    @property
    def out_rows(self) -> int: ...

    @property
    def beats(self) -> int: ...

    @property
    def beat_bits(self) -> int: ...

    @property
    def shares(self) -> tuple["LayerConfig", ...]: ...

    @property
    def timesteps(self) -> int: ...

    @property
    def continues(self) -> bool: ...

    def with_rows(self, rows: tuple[int, ...]) -> "LayerConfig":
        """The same layer with other numbers of rows in the spike memories, one for each source."""

    def shortened(self, timesteps: int) -> "LayerConfig":
        """What the layer does in a run with fewer time-steps."""


@dataclass(frozen=True)
class CoreConfig:
    """A layer of neurons, or the read-out.

    Parameters
    ----------
    name : the layer's name in the network
    port : name in Verilog, an identifier
    sources : maps that the layer reads; all of them charge the same membranes
    lanes : output channels computed at a time; also the word of the output map
    channels : output channels
    weight_bits, membrane_bits : widths
    masks : for each group of lanes, a bit for each tap, which says whether the tap is connected to
        any channel of the group. The taps of the first source come first, in the lowest bits
    schedule : what the neurons do with their charge
    replicas : copies of the core that take turns at the output rows
    live : for each group of lanes, and each tap in the order of ``masks``, a bit for each spike of
        a word, which says whether the spike counts; ``None`` if all do. Rows of zero weights need
        not be added. Masked rows always are
    own : numbers of the sources that are the layer's own map. It then is recurrent: rows are the
        elements of a sequence, and it looks at rows that it has sent
    """

    name: str
    port: str
    sources: tuple[SourceConfig, ...]
    lanes: int
    channels: int
    weight_bits: int
    membrane_bits: int
    masks: tuple[int, ...]
    schedule: Schedule
    replicas: int = 1
    live: tuple[tuple[int, ...], ...] | None = None
    own: tuple[int, ...] = ()

    @property
    def shares(self):
        """The cores that compute this layer together, each of them some of the output rows."""
        if self.replicas == 1:
            return (self,)
        return tuple(replace(self, replicas=1, sources=tuple(
            replace(source, first=first, every=self.replicas) for source in self.sources))
            for first in range(self.replicas))

    def with_rows(self, rows):
        """The same layer with other numbers of rows in the spike memories, one for each source."""
        return replace(self, sources=tuple(
            replace(source, rows=few) for source, few in zip(self.sources, rows, strict=True)))

    @property
    def groups(self):
        """Turns that the lanes take at an output position."""
        return -(-self.channels // self.lanes)

    @property
    def taps(self):
        """Taps of all sources."""
        return sum(source.taps for source in self.sources)

    @property
    def out(self):
        """The output map, or ``None`` for the read-out. Its trains are cut as those of the
        sources are."""
        if self.sends_logits:
            return None
        height, width = self.sources[0].positions
        schedule = self.schedule
        return MapConfig(self.channels, height, width, schedule.levels, self.lanes, schedule.code,
                         schedule.timesteps, schedule.low, self.sources[0].map.most_steps)

    @property
    def sends_logits(self):
        """Whether this is the read-out, whose neurons do not fire."""
        return self.schedule.levels is None

    @property
    def out_rows(self):
        """Output rows, which the replicas take turns at."""
        return self.sources[0].positions[0]

    @property
    def most_replicas(self):
        """Copies that can share the output rows. If the layer is recurrent, or keeps charge from
        row to row, they come one by one."""
        return 1 if self.own or self.keeps else self.out_rows

    @property
    def keeps(self):
        """Whether charge is kept from row to row, because sources send changes."""
        return self.schedule.keeps

    @property
    def skips(self):
        """Whether planes without a spike are skipped, unless the potential doubles, after a spike
        of the same step."""
        return self.slices > 1 or self.keeps

    @property
    def beats(self):
        """Beats of a sample."""
        height, width = self.sources[0].positions
        return height * width * self.position_beats

    @property
    def position_beats(self):
        """Beats of an output position."""
        return self.groups if self.sends_logits else self.out.position_beats

    @property
    def waiting(self):
        """Results that can wait behind the lanes. With one position and one slice, all of a
        sample's events lie between two results, and none need to. Slices may end every other
        clock."""
        if self.beats == self.groups:
            return 0
        return 4 if self.sends_slices else 2

    @property
    def sends_slices(self):
        """Whether the core sends trains of several slices."""
        return not self.sends_logits and self.out.slices > 1

    @property
    def value_bits(self):
        """Bits of a count, of a slice of a train, or of a logit."""
        return self.membrane_bits if self.sends_logits else self.out.one_slice.bits

    @property
    def slices(self):
        """Slices of the trains that the core reads; 1 if it reads none."""
        return self.scan.slices

    @cached_property
    def scan(self):
        """The planes that the core looks at, slice by slice."""
        return scan(self.schedule, [source.map for source in self.sources])

    @property
    def beat_bits(self):
        """Bits of a beat."""
        return self.lanes * self.value_bits

    @property
    def row_bases(self):
        """For each group of lanes and each tap, the first row of the tap in the memory of its
        weights, or None if the tap is not connected."""
        bases, rows = [], {False: 0, True: self.groups * len(self.schedule.rows)}
        for mask in self.masks:
            group, tap = [], 0
            for source in self.sources:
                for _ in range(source.taps):
                    connected = mask >> tap & 1
                    group.append(rows[source.fixed] if connected else None)
                    rows[source.fixed] += source.tap_rows if connected else 0
                    tap += 1
            bases.append(tuple(group))
        return tuple(bases)

    def _rows(self, fixed):
        rows = [source.tap_rows * (source.fixed == fixed)
                for source in self.sources for _ in range(source.taps)]
        return sum(number for mask in self.masks
                   for tap, number in enumerate(rows) if mask >> tap & 1)

    @property
    def weight_rows(self):
        """Rows of the weight memory."""
        return self._rows(False)

    @property
    def parameter_rows(self):
        """Rows of the parameter memory: the schedule's rows for each group of lanes, and the fixed
        weights."""
        return self.groups * len(self.schedule.rows) + self._rows(True)

    @property
    def timesteps(self):
        """Those of the longest run, if the core does something else in a shorter one; or else 1."""
        return self.schedule.timesteps if self.schedule.timed else 1

    def shortened(self, timesteps):
        """The core in a run with fewer time-steps: its program ends early."""
        return replace(self, schedule=self.schedule.shortened(timesteps))

    @property
    def continues(self):
        """Whether any of the sources does."""
        return any(source.continues for source in self.sources)

    @property
    def masked(self):
        """Whether there are masked rows."""
        return any(source.lanes is not None for source in self.sources)

    @property
    def subtracts(self):
        """Whether there are spikes that take charge back."""
        return any(charge.subtract for charge in self.schedule.charges)

    @property
    def fixed(self):
        """Whether there are weights in the parameter memory."""
        return any(source.fixed for source in self.sources)

    @property
    def weight_banks(self):
        """Rows of each memory that the weight rows are split into (see :mod:`hw.weights`)."""
        full, rest = divmod(self.weight_rows, BANK_ROWS)
        return (BANK_ROWS,) * full + ((rest,) if rest else ())


@dataclass(frozen=True)
class PoolConfig:
    """A pooling layer.

    Parameters
    ----------
    name : the layer's name in the network
    port : name in Verilog, an identifier
    source : the map that the layer reads
    kind : ``"sum"`` or ``"max"``, what is computed of the counts in a window
    """

    name: str
    port: str
    source: SourceConfig
    kind: str

    @property
    def sources(self):
        return (self.source,)

    @property
    def channels(self):
        return self.source.map.channels

    @property
    def groups(self):
        return 1

    @property
    def shares(self):
        return (self,)

    @property
    def timesteps(self):
        """A pool does the same in runs of all lengths."""
        return 1

    @property
    def continues(self):
        return self.source.continues

    def with_rows(self, rows):
        (few,) = rows
        return replace(self, source=replace(self.source, rows=few))

    def shortened(self, timesteps):
        return self

    @property
    def out(self):
        inner, (height, width) = self.source.map, self.source.positions
        ky, kx = self.source.kernel
        most = ky * kx if self.kind == "sum" else 1
        return replace(inner, height=height, width=width, levels=inner.levels * most,
                       low=inner.low * most)

    @property
    def sends_logits(self):
        return False

    @property
    def out_rows(self):
        return self.out.height

    @property
    def beats(self):
        return self.out.beats

    @property
    def beat_bits(self):
        return self.out.beat_bits


def cores(layers):
    """Those of the layers that have synapses."""
    return tuple(layer for layer in layers if isinstance(layer, CoreConfig))
