"""What a pooling is in gateware: its parts."""

from .parts import Part, address_bits, spike_memory, walk_features

__all__ = ["parts"]


def parts(pool):
    source, fmap = pool.source, pool.source.map
    height, width = source.positions
    (ky, kx), out = source.kernel, pool.out
    features = {"one": 1, "counts": fmap.beat_bits, "results": out.beat_bits,
                "compared": fmap.beat_bits * (pool.kind == "max"),
                **walk_features((height, width, fmap.chunks, ky, kx), address_bits(source),
                                (fmap.height, fmap.width))}
    yield Part("pool", pool.name, features)
    yield spike_memory(pool, source, 1, occupancy=False)
