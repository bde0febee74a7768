"""What the pipeline's picture and the table of clocks say about each layer."""

from collections.abc import Iterator

from hw.config import ArrayConfig
from hw.layers import CoreConfig, PoolConfig

__all__ = ["rows"]

# A layer with more lanes than this is drawn with one of its replicas only.
_DRAWN = 1024


def rows(config: ArrayConfig, measured: dict) -> Iterator[dict]:
    """A row for each layer. Where a layer has no lanes, figures of lanes are ``None``.

    Parameters
    ----------
    measured : what :func:`gen.report.measure.measure` returns
    """
    names = ["input", *(layer.name for layer in config.layers)]
    for index, layer in enumerate(config.layers):
        yield {
            "name": layer.name, "shape": _shape(layer), **_ROWS[type(layer)](layer),
            "is_readout": layer is config.readout,
            "sources": [names[source.layer + 1] for source in layer.sources],
            "skips": any(source.layer != index - 1 for source in layer.sources),
            "needed": measured["predicted"][layer.name],
            "adds": measured["predicted_adds"].get(layer.name),
            "busy": (measured["busy"] or {}).get(layer.name),
            "first": measured["alone"][layer.name][0], "last": measured["alone"][layer.name][1],
            "bottleneck": layer.name == measured["bottleneck"],
        }


def _shape(layer):
    height, width = layer.sources[0].positions
    return f"{layer.channels} channels" + (f" of {height}×{width}" if height * width > 1 else "")


def _kernel(source):
    return "×".join(map(str, source.kernel))


def _pool(pool):
    words, does = {"sum": ("sum", "added"), "max": ("maximum", "compared")}[pool.kind]
    return {"kind": f"{words} pooling {_kernel(pool.source)}", "lanes": None, "counts": does}


def _core(core):
    return {
        "kind": _synapses(core), "lanes": core.lanes, "groups": core.groups,
        "replicas": core.replicas, "squares": _squares(core),
        "memory": f"{core.weight_rows:,} rows of {core.lanes * core.weight_bits:,} bits",
    }


def _synapses(core):
    source = core.sources[0]
    if len(core.sources) > 1:
        return f"sum of {len(core.sources)} sources"
    if source.kernel == (source.map.height, source.map.width) and source.padding == (0, 0):
        return "linear"
    return f"convolution {_kernel(source)}"


def _squares(core):
    """The lanes of each replica as squares: an SVG path, its width and its height."""
    replicas = core.replicas if core.lanes * core.replicas <= _DRAWN else 1
    columns = min(16, core.lanes)
    rows = -(-core.lanes // columns)
    step, gap = 8, 4
    across = max(1, min(replicas, 132 // (columns * step + gap)))
    path = []
    for replica in range(replicas):
        left = replica % across * (columns * step + gap)
        top = replica // across * (rows * step + gap)
        path += [f"M{left + lane % columns * step} {top + lane // columns * step}h7v7h-7z"
                 for lane in range(core.lanes)]
    return {"path": "".join(path), "width": across * (columns * step + gap) - gap,
            "height": -(-replicas // across) * (rows * step + gap) - gap}


_ROWS = {CoreConfig: _core, PoolConfig: _pool}
"""Kind of a layer -> the part of its row that only this kind has."""
