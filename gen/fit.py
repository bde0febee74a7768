"""Lanes and replicas of each layer: a balanced pipeline that the device has room for."""

import numpy as np

from hw.config import CoreConfig

from .cycles import sample_clocks
from .mapping import map_network

__all__ = ["choose", "interval", "sample_counts"]

# Shares of a device that an estimate may fill, since it is no synthesis.
_LUT_SHARE, _BRAM_SHARE = 0.75, 0.9

# LUTs of a core that do not depend on its lanes, and of a lane beside its membrane's bits; measured
# with Yosys for 7-series on the shipped networks.
_CORE_LUTS, _LANE_LUTS, _BIT_LUTS, _WINDOW_LUTS, _TOP_LUTS = 350, 8, 2.5, 2, 1500

# Images whose spikes decide how many lanes a layer gets.
_ENOUGH = 8

# A block RAM of 36 Kb is so many rows deep when it is so many bits wide.
_SHAPES = ((72, 512), (36, 1024), (18, 2048), (9, 4096), (4, 8192))
_DISTRIBUTED_ROWS = 64


def _brams(width, rows):
    if rows <= _DISTRIBUTED_ROWS:
        return 0
    return min(-(-width // w) * -(-rows // d) for w, d in _SHAPES)


def _estimate(config):
    """LUTs and block RAMs of a configuration, roughly."""
    luts, brams = _TOP_LUTS, 0
    for layer in config.layers:
        copies = getattr(layer, "replicas", 1)
        for source in layer.sources:
            brams += copies * _brams(source.map.beat_bits, source.map.beats * source.banks)
        if isinstance(layer, CoreConfig):
            brams += copies * _brams(layer.lanes * layer.weight_bits, layer.weight_rows)
            flags = sum(source.taps * source.map.planes for source in layer.sources)
            lane = _LANE_LUTS + _BIT_LUTS * layer.membrane_bits
            luts += copies * (_CORE_LUTS + _WINDOW_LUTS * flags + layer.lanes * lane)
    return luts, brams


def sample_counts(network, limit=None):
    """Input counts that stand for the network's data: images that travel with it, at most
    ``limit``, or two random ones, sparse as pictures are."""
    if network.samples is not None and len(network.samples):
        return network.encode(network.samples[:limit])
    rng = np.random.default_rng(0)
    shape = (2, *network.input_shape)
    return rng.integers(0, network.input_levels + 1, shape) * (rng.random(shape) < 0.25)


def _clocks(network, config, counts):
    trace = network.run(counts)
    shaped = counts.reshape(len(counts), config.input.channels, config.input.height,
                            config.input.width)
    return {name: clocks.mean()
            for name, clocks in sample_clocks(config, trace, shaped).items()}


def interval(network, config, counts=None):
    """Predicted clocks from one sample to the next: those of the slowest layer."""
    counts = sample_counts(network) if counts is None else counts
    return round(max(_clocks(network, config, counts).values()))


def choose(network, budget, *, code="phase", interval=None):
    """Lanes and replicas of each layer with synapses, for ``map_network``.

    All layers get as many lanes as they need to keep a common pace, and replicas where a lane a
    channel is too slow; where that is more than ``budget`` has, at a slower pace.

    Parameters
    ----------
    budget : :class:`boards.Budget`
    interval : the pace, in clocks a sample; by default that of the slowest layer with a lane a
        channel and no replicas

    Returns
    -------
    ``{"lanes": {layer: lanes}, "replicas": {layer: replicas}}``
    """
    widest = {layer.name: layer.channels for layer in network.layers if hasattr(layer, "synapses")}
    rows = {name: network.shapes[name][1] for name in widest}
    config, _ = map_network(network, lanes=widest, code=code)
    clocks = _clocks(network, config, sample_counts(network, _ENOUGH))
    pace = interval or max(clocks.values())
    while True:
        shares = {
            "lanes": {name: -(-channels // max(1, min(channels, int(pace / clocks[name]))))
                      for name, channels in widest.items()},
            "replicas": {name: min(rows[name], max(1, -int(-clocks[name] // pace)))
                         for name in widest},
        }
        config, _ = map_network(network, **shares, code=code)
        luts, brams = _estimate(config)
        if luts <= _LUT_SHARE * budget.luts and brams <= _BRAM_SHARE * budget.brams:
            return shares
        if all(count == 1 for share in shares.values() for count in share.values()):
            return shares  # the build says what is missing
        pace *= 1.1
