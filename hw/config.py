"""What the gateware is built from: shapes in frozen dataclasses, values in memory images.

A configuration holds all that is synthesised (layer sizes, widths, lanes, schedules); weights,
biases and thresholds are :class:`MemoryImage` rows beside it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from .schedule import Schedule

__all__ = [
    "BANK_ROWS",
    "ArrayConfig",
    "CoreConfig",
    "LayerConfig",
    "MapConfig",
    "MemoryImage",
    "PoolConfig",
    "SourceConfig",
]

BANK_ROWS = 2048
"""Greatest depth of a memory of weights: a power of two that block RAMs reach in useful widths."""


@dataclass(frozen=True)
class MapConfig:
    """A feature map on its way between two layers.

    It travels as *beats*: for y, for x, for each chunk of ``word`` channels, one beat with the
    binary spike counts of these channels, the first channel in the lowest bits. Channels beyond
    ``channels`` are zero.

    Parameters
    ----------
    levels : greatest count; of a train, of a time-step
    word : channels in a beat
    code : how a receiver replays a count as spikes. ``"phase"``: bit k is a spike of weight 2^k,
        most significant first. ``"rate"``: a count n is n spikes of weight 1. ``"train"``: it is
        no count, but the spikes of each time-step, a bit for each: first those that add charge,
        then those that take it back; the first time-step in the highest bits
    timesteps : of a train
    low : least count of a time-step, if spikes take charge back; otherwise 0
    """

    channels: int
    height: int
    width: int
    levels: int
    word: int
    code: str = "phase"
    timesteps: int = 1
    low: int = 0

    def __post_init__(self):
        for name in ("channels", "height", "width", "levels", "word", "timesteps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.code not in ("phase", "rate", "train"):
            raise ValueError(f"code must be 'phase', 'rate' or 'train', not {self.code!r}")
        if not isinstance(self.low, int) or self.low > 0:
            raise ValueError(f"low must be an integer of at most 0, not {self.low!r}")
        if self.code != "train" and (self.timesteps, self.low) != (1, 0):
            raise ValueError("only a train has time-steps, and spikes that take charge back")

    @property
    def bits(self):
        """Bits of a count, or of a train."""
        return self.planes if self.code == "train" else self.levels.bit_length()

    @property
    def planes(self):
        """Spikes that the greatest count is replayed as."""
        if self.code == "train":
            return self.timesteps * (self.levels - self.low)
        return self.bits if self.code == "phase" else self.levels

    def units(self, sign):
        """Spikes of a time-step that add charge, or that take it back, at the most."""
        return self.levels if sign > 0 else -self.low

    def train_plane(self, number, sign, unit):
        """The plane of one of the :meth:`units` of a time-step."""
        place = number * (self.levels - self.low) + unit + (self.levels if sign < 0 else 0)
        return self.planes - 1 - place

    @property
    def chunks(self):
        return -(-self.channels // self.word)

    @property
    def beats(self):
        """Beats of a sample."""
        return self.height * self.width * self.chunks

    @property
    def beat_bits(self):
        return self.word * self.bits


@dataclass(frozen=True)
class SourceConfig:
    """A map as a layer sees it: through a window that slides over it.

    A *tap* is one chunk at one place of the kernel. Taps are numbered column by column:
    ``(kx * KY + ky) * chunks + chunk``.

    Parameters
    ----------
    layer : index of the layer whose map this is, or -1 for the input
    kernel, stride, padding : ``(y, x)``
    lanes : how a word charges the lanes. ``None``: each of its channels has a weight row, and a
        spike adds it in all lanes. Else the channel whose spikes each lane sees: a word has one
        weight row, which is added in the lanes that see a spike (a *masked* row: depthwise
        convolution, identity)
    fixed : whether the weight rows are in the parameter memory, which is as wide as the membranes
    rows : rows of the map that the spike memory in front of the window holds, at least
        :attr:`least_rows`; by default two whole maps
    first, every : the output rows that are computed: every so many, from the first on

    Raises
    ------
    ValueError
        If there are so few rows that a window waits forever, or if there is no window.
    """

    map: MapConfig
    layer: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    lanes: tuple[int, ...] | None = None
    fixed: bool = False
    rows: int | None = None
    first: int = 0
    every: int = 1

    def __post_init__(self):
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("first", 0),
                            ("every", 1)):
            value = getattr(self, name)
            if min(value) < least if isinstance(value, tuple) else value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}")
        if min(self.positions) < 1:
            raise ValueError(f"kernel must fit the map and its padding, not {self.kernel!r}")
        if self.rows is None:
            object.__setattr__(self, "rows", max(2 * self.map.height, self.least_rows))
        if not isinstance(self.rows, int) or self.rows < self.least_rows:
            raise ValueError(f"rows must be at least {self.least_rows} for a kernel of "
                             f"{self.kernel[0]} rows, not {self.rows!r}")

    @property
    def taps(self):
        return self.kernel[0] * self.kernel[1] * self.map.chunks

    @property
    def tap_rows(self):
        """Weight rows of a tap."""
        return self.map.word if self.lanes is None else 1

    @property
    def positions(self):
        """Output positions ``(y, x)``."""
        height, width = ((size + 2 * pad - k) // step + 1 for size, pad, k, step in zip(
            (self.map.height, self.map.width), self.padding, self.kernel, self.stride,
            strict=True))
        return -(-(height - self.first) // self.every), width

    @property
    def row(self):
        """Beats of a row of the map."""
        return self.map.width * self.map.chunks

    @property
    def beats(self):
        """Beats that the spike memory holds."""
        return self.rows * self.row

    @property
    def corner(self):
        """``(y, x)`` of the first window's corner."""
        return self.first * self.stride[0] - self.padding[0], -self.padding[1]

    @property
    def descent(self):
        """Rows of the map from one computed output row to the next."""
        return self.stride[0] * self.every

    @property
    def tops(self):
        """Rows at which the windows of the computed output rows begin, negative in the padding."""
        return range(self.corner[0], self.corner[0] + self.positions[0] * self.descent,
                     self.descent)

    @property
    def ascent(self):
        """Rows from the last window of a sample to the first one of the next."""
        return self.map.height - (self.positions[0] - 1) * self.descent

    @property
    def reach(self):
        """Rows below the top of the present window that may have arrived, if those in the padding
        count."""
        return self.rows - min(0, self.tops[-1])

    @property
    def most_free(self):
        """Rows that may still arrive, at the most, if those in the padding count: a window that has
        been left may have looked at fewer rows than the next one is away."""
        height, tops = self.map.height, self.tops
        steps = zip(tops, (*tops[1:], height + tops[0]), strict=True)
        return self.reach + max(tops[0], *(
            below - max(0, min(top + self.kernel[0], height)) for top, below in steps))

    @property
    def least_rows(self):
        """Rows of the spike memory with which every window becomes complete; no fewer than there
        are in the padding, so that a word lies in the same lap of the ring as its window's corner
        or in the next one."""
        first, last = self.tops[0], self.tops[-1]
        return max(1, -first, min(self.kernel[0], self.map.height - first) + min(0, last))

    def offset(self, tap):
        """Beats from the window's corner to a tap."""
        column, chunk = divmod(tap, self.map.chunks)
        kx, ky = divmod(column, self.kernel[0])
        return (ky * self.map.width + kx) * self.map.chunks + chunk


class LayerConfig(Protocol):
    """Configuration of a layer, of whatever kind.

    Members
    -------
    name : the layer's name in the network
    port : name in Verilog, an identifier
    sources : the maps that it reads
    channels : output channels
    groups : turns that its hardware takes at an output position
    out : the output map, or ``None`` for the read-out
    shares : configurations that compute the layer together, each some of the output rows
    """

    name: str
    port: str

    @property
    def sources(self) -> tuple[SourceConfig, ...]: ...

    @property
    def channels(self) -> int: ...

    @property
    def groups(self) -> int: ...

    @property
    def out(self) -> MapConfig | None: ...

    @property
    def shares(self) -> tuple["LayerConfig", ...]: ...

    def with_rows(self, rows: tuple[int, ...]) -> "LayerConfig":
        """The same with so many rows in the spike memory of each source."""


@dataclass(frozen=True)
class CoreConfig:
    """A layer of neurons, or the read-out.

    Parameters
    ----------
    name : the layer's name in the network
    port : name in Verilog, an identifier
    sources : all charge the same membranes
    lanes : output channels computed at a time; also the word of the output map
    channels : output channels
    weight_bits, membrane_bits : widths
    masks : for each group of lanes, a bit for each tap (those of all sources in a row) that is
        connected to one of the group's channels at all
    schedule : what the neurons do with their charge
    replicas : copies of the core that take turns at the output rows
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

    @property
    def shares(self):
        """The cores that compute this layer together, each some of the rows."""
        if self.replicas == 1:
            return (self,)
        return tuple(replace(self, replicas=1, sources=tuple(
            replace(source, first=first, every=self.replicas) for source in self.sources))
            for first in range(self.replicas))

    def with_rows(self, rows):
        return replace(self, sources=tuple(
            replace(source, rows=few) for source, few in zip(self.sources, rows, strict=True)))

    @property
    def groups(self):
        """Turns that the lanes take at an output position."""
        return -(-self.channels // self.lanes)

    @property
    def taps(self):
        return sum(source.taps for source in self.sources)

    @property
    def out(self):
        """The output map, or ``None`` for the read-out."""
        if self.schedule.levels is None:
            return None
        height, width = self.sources[0].positions
        schedule = self.schedule
        return MapConfig(self.channels, height, width, schedule.levels, self.lanes, schedule.code,
                         schedule.timesteps, schedule.low)

    @property
    def row_bases(self):
        """First row of each tap in its source's memory, for each group; ``None`` where the mask
        has no bit."""
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
        """Rows of the parameter memory: those of the schedule for each group of lanes, and the
        fixed weights."""
        return self.groups * len(self.schedule.rows) + self._rows(True)

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

    @property
    def logit_bits(self):
        return self.lanes * self.membrane_bits


@dataclass(frozen=True)
class PoolConfig:
    """A pooling layer; ``kind`` is ``"sum"`` or ``"max"``."""

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

    def with_rows(self, rows):
        (few,) = rows
        return replace(self, source=replace(self.source, rows=few))

    @property
    def out(self):
        inner, (height, width) = self.source.map, self.source.positions
        ky, kx = self.source.kernel
        levels = inner.levels * ky * kx if self.kind == "sum" else inner.levels
        return MapConfig(inner.channels, height, width, levels, inner.word, inner.code)


@dataclass(frozen=True)
class ArrayConfig:
    """A whole network: its layers in topological order, the read-out last."""

    input: MapConfig
    layers: tuple[CoreConfig | PoolConfig, ...]

    @property
    def readout(self):
        return self.layers[-1]

    @property
    def cores(self):
        return tuple(layer for layer in self.layers if isinstance(layer, CoreConfig))

    def consumers(self, index):
        """Where a map goes: pairs of a layer's index and which of its sources it is."""
        return tuple((i, s) for i, layer in enumerate(self.layers)
                     for s, source in enumerate(layer.sources) if source.layer == index)

    def digest(self):
        """SHA-256 of the configuration, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class MemoryImage:
    """Contents of a memory: ``rows`` of ``width`` bits each, as non-negative integers."""

    width: int
    rows: tuple[int, ...]

    def __post_init__(self):
        for index, row in enumerate(self.rows):
            if not 0 <= row < 1 << self.width:
                raise ValueError(f"row {index} must have {self.width} bits, not {row:#x}")
