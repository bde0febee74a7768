"""A layer with synapses in gateware: a core, or several that share its output rows."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from amaranth import Shape

from gen.errors import FitError
from gen.ir.layers import Neurons, Readout
from hw.encoder import word_layout
from hw.layers import CoreConfig
from hw.maps import SourceConfig
from hw.select import command_layout

from . import flow
from .cycles import gathering_clocks, window_clocks
from .memories import Memory
from .parts import (
    Part,
    address_bits,
    counter_bits,
    queue,
    queue_memory,
    spike_memory,
    varying_bits,
    walk_features,
)
from .weights import charging, connections, live_rows, memories

__all__ = ["NAME", "Flow", "busiest", "clocks", "configure", "memories", "memory_bits", "parts",
           "word_limits"]

NAME = "core"
"""Name of the kind."""

# Lanes of a layer for which none are given, at most.
_LANES = 16

# Clocks from a window to its beat, besides those of the lanes: the stages of select, fetch, encoder
# and lanes, and the queues between them. The second number is the part of them until the spike
# memory is read. The third is for replicas, which have a queue each and one behind the merge.
_FILL, _READ, _MERGE = 21, 12, 4

# Clocks from the last beat of a row to a window of the same layer, beside those that gathering it
# takes.
_AROUND = 4

# Clocks from a beat of counts to one of changes.
_CHANGES = 2

# Words that fetch, queue and encoder hold when the lanes are late. They have been read, and rows of
# the spike memory are released when the last word of an output row has been read.
_WORDS_AHEAD = 7

# Windows that wait until the words of another one have been read.
_WINDOWS_AHEAD = 2


def configure(layer: Neurons | Readout, port: str, sources: tuple[SourceConfig, ...],
              levels: Sequence[int], lanes: dict[str, int], replicas: dict[str, int],
              code: str) -> CoreConfig:
    """The configuration; see :meth:`gen.plan.kinds.Kind.configure`.

    Raises
    ------
    FitError
        If the layer can't have as many lanes or replicas as are given.
    """
    count = lanes.pop(layer.name, min(layer.channels, _LANES))
    if not isinstance(count, int) or not 1 <= count <= layer.channels:
        raise FitError(f"{layer.name}: lanes must be 1 to {layer.channels} (its channels), not "
                       f"{count!r}")
    core = _configured(layer, port, sources, tuple(levels), count, code)
    return replace(core, replicas=_replicas(core, replicas.pop(layer.name, 1)))


# Trial mappings differ in only a layer or two.
@functools.lru_cache(maxsize=1024)
def _configured(layer, port, sources, levels, lanes, code):
    """The configuration of a single core."""
    sources = tuple(
        replace(source, map=replace(source.map, word=lanes,
                                    code="change" if source.changes else code))
        if name == layer.name else source
        for name, source in zip(layer.sources, sources, strict=True))
    sources = charging(layer, sources, lanes)
    return CoreConfig(
        name=layer.name, port=port, sources=sources, lanes=lanes, channels=layer.channels,
        weight_bits=max(synapses.bits for synapses, source
                        in zip(layer.synapses, sources, strict=True) if not source.fixed),
        membrane_bits=layer.membrane_bits(levels, code),
        masks=connections(layer, sources, lanes),
        schedule=layer.schedule([source.map for source in sources], code),
        live=live_rows(layer, sources, lanes),
        own=tuple(k for k, name in enumerate(layer.sources) if name == layer.name))


def _replicas(core, count):
    rows = core.most_replicas
    if not isinstance(count, int) or not 1 <= count <= rows:
        why = ("it is recurrent" if core.own else "it keeps charge from row to row" if core.keeps
               else "its output rows")
        raise FitError(f"{core.name}: replicas must be 1 to {rows} ({why}), not {count!r}")
    return count


def memory_bits(layer: Neurons | Readout, levels: Sequence[int], code: str) -> int:
    """Bits of the weights, of the initial potentials and, if the layer has neurons, of a threshold
    for each channel."""
    rows = 1 if layer.levels is None else 2
    return (sum(synapses.bits * synapses.weights.size for synapses in layer.synapses)
            + layer.membrane_bits(levels, code) * layer.channels * rows)


def rows_each(core: CoreConfig) -> int:
    """Output rows of the busiest replica."""
    return -(-core.out_rows // core.replicas)


def clocks(core: CoreConfig, samples: int, rows: Callable[[CoreConfig], np.ndarray]
           ) -> np.ndarray:
    """Clocks of the busiest replica for each sample, ``(N,)``; see
    :meth:`gen.plan.kinds.Kind.clocks`."""
    return busiest(core, rows(core), _gathering(core))


def busiest(core: CoreConfig, work: np.ndarray, gathering: float) -> np.ndarray:
    """Clocks of the busiest replica for each sample, ``(N,)``. A recurrent layer waits in each row
    for the row before.

    Parameters
    ----------
    work : clocks of the lanes on each output row, ``(N, OY)``
    gathering : clocks that gathering the windows of a row takes
    """
    if core.own:
        work = work + _FILL + _around(core) + window_clocks(core)
    shares = [work[:, k::core.replicas].sum(axis=1) for k in range(core.replicas)]
    return np.maximum(np.max(shares, axis=0), rows_each(core) * gathering)


def _around(core):
    changes = any(core.sources[own].changes for own in core.own)
    return _AROUND + _CHANGES * changes


def _gathering(core):
    """Clocks that gathering the windows of an output row takes, of the slowest source."""
    return max(gathering_clocks(source, core.groups) for source in core.sources)


def word_limits(core: CoreConfig, interval: float, words: float) -> list[float]:
    """The most words a position in which the windows of each source can be gathered in time."""
    return [interval / (rows_each(core) * gathering_clocks(source, core.groups) / source.map.chunks)
            for source in core.sources]


class Flow(flow.Flow):
    """The rows that a core sends.

    Parameters
    ----------
    streams : number of arrays side by side
    """

    def __init__(self, core: CoreConfig, streams: int) -> None:
        super().__init__(core.sources[0].positions[0], streams, [
            [flow.SpikeMemory(share.sources[s], streams) for share in core.shares]
            for s in range(len(core.sources))])
        for own in core.own:
            for memory in self.memories[own]:
                memory.late = _around(core)
        self._core = core
        self._replicas = [_Replica(streams) for _ in core.shares]
        self._gathering = _gathering(core)
        self._first = window_clocks(core)
        width = core.sources[0].positions[1]
        self._windows = width * (1 if core.slices == 1 else core.groups * core.slices)
        self._beats = width * core.position_beats
        # Beats that the lanes make before they stop for want of room.
        self._ahead = max(2, core.waiting) + 1
        self._fill = _FILL + _MERGE * (core.replicas > 1)

    def begin(self, clocks: Mapping[str, np.ndarray], words: Mapping[str, np.ndarray]) -> None:
        """Begin the next sample; see :meth:`gen.plan.pipeline.Pipeline.send`."""
        super().begin(clocks, words)
        self._clocks, self._words = clocks[self._core.name].T, words[self._core.name].T

    def move(self) -> None:
        """Send the next row."""
        row, looking, alone = len(self.came), self.looking, self._core.replicas == 1
        work, words, gone = self._clocks[row], self._words[row], 1 - 1 / self._beats
        replica = self._replicas[row % self._core.replicas]
        begin = np.maximum(replica.window, self.needed())
        replica.window = begin + self._gathering
        # A row is finished in the register behind the lanes, or in a replica's queue.
        held = replica.sent + (gone * work if alone else 0)
        replica.lanes = functools.reduce(np.maximum, (
            np.maximum(replica.lanes, begin + self._first) + work, replica.window, held))
        stuck = max(0, 1 - self._ahead / self._beats) if alone else gone
        self.send_row(self._beats, replica.lanes + self._fill, stuck * work)
        replica.sent = self.sent - self._fill
        if alone:
            replica.lanes = np.maximum(
                replica.lanes, replica.sent - self._ahead / self._beats * work)
        ahead = np.minimum(1, _WORDS_AHEAD / words) * work
        read = np.maximum(begin + self._first + words, replica.lanes - ahead) + _READ
        replica.window = np.maximum(
            replica.window, replica.lanes - ahead - _WINDOWS_AHEAD / self._windows * work)
        for memory in looking:
            memory.release(read)


class _Replica:
    """When a replica's window, lanes and output become free, ``(streams,)`` each."""

    def __init__(self, streams: int) -> None:
        self.window = self.lanes = self.sent = np.zeros(streams)


def parts(core: CoreConfig) -> Iterator[Part]:
    """The parts of a core and of its replicas."""
    copies, share = core.replicas, core.shares[0]
    yield from (spike_memory(core, source, copies) for source in share.sources)
    yield from (_changes(core, source) for source in core.sources if source.changes)
    yield from (_window(core, source, copies) for source in share.sources)
    yield _select(share, copies)
    yield _fetch(share, copies)
    yield queue(core, _command_bits(share), 3, copies)
    yield queue(core, _word_bits(core), 4, copies)
    yield _encoder(share, copies)
    yield _lanes(share, copies)
    if core.keeps:
        yield _membranes(core)
    if core.schedule.low < 0:
        step = core.lanes * sum(core.out.step_bits)
        yield Part("quiet", core.name, {"one": 1, "step": step,
                                        "beats": counter_bits(core.out.beats)})
    if copies > 1:
        beat = core.beat_bits
        yield Part("merge", core.name, {"one": 1, "streams": copies, "chosen": copies * beat,
                                        "beat": beat}, queue_memory(beat, 3))


def _changes(core, source):
    fmap, depth = source.map, source.stride[0] * source.row
    counters = counter_bits(fmap.height * source.row) + counter_bits(depth)
    counts = source.arriving.beat_bits
    return Part("changes", core.name,
                {"one": 1, "counters": counters, "word": fmap.word, "counts": counts,
                 "digits": fmap.word * fmap.digits}, (Memory(counts, max(2, depth), False),))


def _membranes(core):
    rows, columns = core.sources[0].positions
    words = columns * core.groups * (1 + core.schedule.currents)
    width = core.lanes * core.membrane_bits
    return Part("membranes", core.name, {
        "one": 1, "place": counter_bits(words), "row": counter_bits(rows),
        "kept": width * (words == 1)}, (Memory(width, words, False),) if words > 1 else ())


def _window(layer, source, copies):
    height, width = source.positions
    (ky, kx), fmap = source.kernel, source.map
    columns = ((kx + (width - 1) * source.stride[1],) if fmap.slices == 1 else
               (width, layer.groups, fmap.slices, kx))
    walk = walk_features((height, *columns, ky, fmap.chunks),
                         address_bits(source), (fmap.height, fmap.width))
    planes = fmap.one_slice.planes
    features = {"one": 1, "occupancy": source.taps * planes, "planes": planes, **walk}
    return Part("window", layer.name, features, (), copies)


def _select(core, copies):
    height, width = core.sources[0].positions
    loops = (height, width, *(() if core.slices == 1 else (core.groups, core.slices)))
    walks = [walk_features(loops, address_bits(source)) for source in core.sources]
    planes = len(core.scan.charges)
    features = {"one": 1, "taps": core.taps, "held": core.taps * planes,
                "masked": core.taps * (len(set(core.masks)) > 1) * planes,
                "skipped": planes * (core.slices > 1),
                "index": counter_bits(core.groups * core.taps), "groups": counter_bits(core.groups),
                "sources": len(core.sources),
                **{name: sum(walk[name] for walk in walks) for name in walks[0]}}
    return Part("select", core.name, features, (), copies)


def _fetch(core, copies):
    offsets = [source.offset(tap) for source in core.sources for tap in range(source.taps)]
    starts = [row or 0 for bases in core.row_bases for row in bases]
    sources = len(core.sources)
    live = [spikes for group in core.live or () for spikes in group]
    entry = sum(map(varying_bits, (range(sources), offsets, starts, live)))
    table = Memory(sum(max(1, counter_bits(count)) for count in (
        sources, max(offsets) + 1, max(core.weight_rows, core.parameter_rows * core.fixed)))
        + (_spike_bits(core) if live else 0),
        max(2, core.groups * core.taps), True, entry)
    features = {"one": 1, "corners": sum(map(address_bits, core.sources)), "entry": entry,
                "chosen": sum(source.map.word * source.map.one_slice.planes
                              for source in core.sources),
                "word": max(source.map.word for source in core.sources),
                "index": counter_bits(core.groups * core.taps)}
    return Part("fetch", core.name, features, (table,), copies)


def _command_bits(core):
    return Shape.cast(command_layout(core)).width


def _word_bits(core):
    return Shape.cast(word_layout(core)).width


def _spike_bits(core):
    """Bits of a word, of spikes alone."""
    return word_layout(core)["spikes"].width


def _encoder(core, copies):
    word = _spike_bits(core)
    row = counter_bits(max(2, core.weight_rows, core.parameter_rows * core.fixed))
    return Part("encoder", core.name, {
        "one": 1, "word": word, "word_bits": word * counter_bits(word), "row": row,
        "adder": (word > 1) * row, "mask": core.masked * core.lanes}, (), copies)


def _stepping(core):
    """Features of lanes that fire in each time-step."""
    schedule, lanes = core.schedule, core.lanes
    plain = schedule.bound is None and not schedule.shifts and not schedule.resets
    if not schedule.timed and plain and not core.subtracts:
        return {}
    return {"operations": len(schedule.operations),
            "subtracted": lanes * core.membrane_bits * (core.subtracts or bool(schedule.shifts)),
            # A shifted potential is chosen like charge that is held.
            "held": lanes * core.membrane_bits * (schedule.holds + len(schedule.shifts)),
            "tracers": lanes * (schedule.bound or 0).bit_length(),
            "taken": lanes * (schedule.low < 0 or schedule.resets)}


def _lanes(core, copies):
    lanes, bits = core.lanes, core.membrane_bits
    count = 0 if core.sends_logits else core.value_bits
    phase = core.schedule.code == "phase"
    clamped = count and core.schedule.clips
    features = {"one": 1, "lanes": lanes, "membranes": lanes * bits,
                "weights": lanes * core.weight_bits,
                "counts": lanes * count, "rated": lanes * count * (not phase),
                "clamped": lanes * count * bool(clamped),
                "logits": lanes * bits * core.sends_logits,
                "row": counter_bits(core.groups * len(core.schedule.rows)),
                "results": lanes * core.value_bits * (core.beats != core.groups),
                **_stepping(core)}
    waiting = core.waiting
    if waiting and copies > 1:  # in a replica a row of results can wait
        waiting = max(waiting, core.sources[0].positions[1] * core.position_beats)
    stored = (*(Memory(lanes * core.weight_bits, max(2, rows), True)
                for rows in core.weight_banks),
              Memory(lanes * bits, max(2, core.parameter_rows), True),
              *queue_memory(core.beat_bits, waiting))
    return Part("lanes", core.name, features, stored, copies)
