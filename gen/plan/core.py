"""What a layer with synapses is in gateware: the parts of its core."""

from amaranth import Shape

from hw.select import command_layout

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

__all__ = ["parts"]


def parts(core):
    copies, share = core.replicas, core.shares[0]
    yield from (spike_memory(core, source, copies) for source in share.sources)
    yield from (_window(core, source, copies) for source in share.sources)
    yield _select(share, copies)
    yield _fetch(share, copies)
    yield queue(core, _command_bits(share), 3, copies)
    yield queue(core, _word_bits(core), 4, copies)
    yield _encoder(share, copies)
    yield _lanes(share, copies)
    if copies > 1:
        beat = core.out.beat_bits
        yield Part("merge", core.name, {"one": 1, "streams": copies, "chosen": copies * beat,
                                        "beat": beat}, queue_memory(beat, 3))


def _window(layer, source, copies):
    height, width = source.positions
    (ky, kx), fmap = source.kernel, source.map
    walk = walk_features((height, kx + (width - 1) * source.stride[1], ky, fmap.chunks),
                         address_bits(source), (fmap.height, fmap.width))
    features = {"one": 1, "occupancy": source.taps * fmap.planes, "planes": fmap.planes, **walk}
    return Part("window", layer.name, features, (), copies)


def _select(core, copies):
    height, width = core.sources[0].positions
    walks = [walk_features((height, width), address_bits(source)) for source in core.sources]
    features = {"one": 1, "taps": core.taps, "held": core.taps * len(core.schedule.charges),
                "masked": core.taps * (len(set(core.masks)) > 1) * len(core.schedule.charges),
                "index": counter_bits(core.groups * core.taps), "groups": counter_bits(core.groups),
                "sources": len(core.sources),
                **{name: sum(walk[name] for walk in walks) for name in walks[0]}}
    return Part("select", core.name, features, (), copies)


def _fetch(core, copies):
    offsets = [source.offset(tap) for source in core.sources for tap in range(source.taps)]
    starts = [row or 0 for bases in core.row_bases for row in bases]
    sources = len(core.sources)
    entry = varying_bits(range(sources)) + varying_bits(offsets) + varying_bits(starts)
    table = Memory(sum(max(1, counter_bits(count)) for count in (
        sources, max(offsets) + 1, core.weight_rows)), max(2, core.groups * core.taps), True, entry)
    features = {"one": 1, "corners": sum(map(address_bits, core.sources)), "entry": entry,
                "chosen": sum(source.map.word * source.map.planes for source in core.sources),
                "word": max(source.map.word for source in core.sources),
                "index": counter_bits(core.groups * core.taps)}
    return Part("fetch", core.name, features, (table,), copies)


def _command_bits(core):
    return Shape.cast(command_layout(core)).width


def _word_bits(core):
    return max(source.map.word for source in core.sources) + max(
        1, (max(2, core.weight_rows) - 1).bit_length()) + 2


def _encoder(core, copies):
    word = max(source.map.word for source in core.sources)
    row = counter_bits(core.weight_rows)
    return Part("encoder", core.name, {
        "one": 1, "word": word, "word_bits": word * counter_bits(word), "row": row,
        "adder": (word > 1) * row}, (), copies)


def _lanes(core, copies):
    lanes, bits = core.lanes, core.membrane_bits
    count = 0 if core.out is None else core.out.bits
    phase = core.schedule.code == "phase"
    clamped = phase and count and core.schedule.levels != (1 << count) - 1
    rows_held = core.groups * len(core.schedule.rows)
    features = {"one": 1, "lanes": lanes, "membranes": lanes * bits,
                "weights": lanes * core.weight_bits,
                "counts": lanes * count, "rated": lanes * count * (not phase),
                "clamped": lanes * count * bool(clamped),
                "logits": lanes * bits * (core.out is None),
                "row": counter_bits(rows_held),
                "results": lanes * (count or bits) * (core.sources[0].positions != (1, 1))}
    # A row of a replica's results waits there. Otherwise there are two results, or none if there is
    # only one position.
    row = core.sources[0].positions[1] * core.groups if copies > 1 else 2
    waiting = 0 if core.sources[0].positions == (1, 1) else max(2, row)
    stored = (*(Memory(lanes * core.weight_bits, max(2, rows), True)
                for rows in core.weight_banks),
              Memory(lanes * bits, max(2, rows_held), True),
              *queue_memory(lanes * (count or bits), waiting))
    return Part("lanes", core.name, features, stored, copies)
