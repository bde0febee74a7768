"""Random networks through the array: shapes, widths, lanes and codes that nobody chose."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import NetworkError
from gen.ir.beats import pack, to_ints
from gen.ir.blocks import answering, block
from gen.ir.interleaved import interleave, together
from gen.ir.layers import INPUT, Pool
from gen.ir.network import Network
from gen.plan.mapping import map_network
from hw.array import Array
from hw.dynamics import Dynamics
from tests.networks import neurons, pruned, readout, synapses
from tests.sequences import random_blocks, random_changes, random_lasting, random_sequence

from .cases import logits
from .streams import STALLS, run

MANY = [seed if seed < 5 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(200)]


def random_layer(rng, name, source, channels):
    kernel = tuple(rng.integers(1, 4, 2).tolist())
    stride = tuple(rng.integers(1, 4, 2).tolist())
    if rng.random() < 0.3:
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        return Pool(name, source, str(rng.choice(["sum", "max"])), kernel, stride, padding)
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    out = groups * int(rng.integers(1, 4))
    bundles = [synapses(rng, source, (out, channels // g, *kernel), bits=int(rng.integers(2, 9)),
                        stride=stride, padding=padding, groups=g)
               for g in ([groups, 1] if rng.random() < 0.5 else [groups])]
    return neurons(rng, name, *bundles, levels=int(rng.integers(1, 9)))


def residual_block(rng, name, source, channels):
    """Up to three layers, and one that adds what they began with."""
    def odd():
        return tuple((2 * rng.integers(0, 2, 2) + 1).tolist())

    def same(source, shape, kernel):
        return synapses(rng, source, (*shape, *kernel), padding=tuple(k // 2 for k in kernel))

    layers, now, depth = [], source, channels
    for k in range(int(rng.integers(1, 4))):
        out = int(rng.integers(1, 6))
        layers.append(neurons(rng, f"{name}_{k}", same(now, (out, depth), odd()),
                              levels=int(rng.integers(1, 4))))
        now, depth = layers[-1].name, out
    out = int(rng.integers(1, 6))
    return [*layers, neurons(rng, name, same(now, (out, depth), odd()),
                             same(source, (out, channels), odd()))]


def random_network(rng):
    """Up to three layers or residual blocks and a read-out; redrawn if a kernel does not fit or
    sums grow large."""
    while True:
        shape = tuple(rng.integers(1, (6, 7, 7)).tolist())
        levels, layers, source, now = int(rng.integers(1, 16)), [], INPUT, shape
        try:
            for k in range(int(rng.integers(1, 4))):
                if rng.random() < 0.2:
                    layers += residual_block(rng, f"layer{k}", source, now[0])
                    now = (layers[-1].channels, *now[1:])
                else:
                    layers.append(random_layer(rng, f"layer{k}", source, now[0]))
                    now = layers[-1].out_shape([now] * len(layers[-1].sources))
                source = layers[-1].name
            layers.append(readout(rng, source, (int(rng.integers(1, 7)), *now)))
            network = Network("random", shape, levels, levels, tuple(layers))
        except NetworkError:
            continue
        if max(network.levels.values()) <= 200:
            return network


def few_rows(rng, config):
    """Rings of any size that is possible; what goes round a residual block needs more."""
    def rows(sources):
        least = max(source.least_rows for source in sources)
        return int(rng.integers(least, least + sources[0].map.height + 1))

    return replace(config, layers=tuple(
        layer.with_rows([
            sources[0].rows if sources[0].layer == index else rows(sources) for sources in zip(
                layer.sources, *(share.sources for share in layer.shares), strict=True)])
        for index, layer in enumerate(config.layers)))


def random_dynamics(rng):
    """From one time-step to 64: few of them more often than many, but two in five with trains of
    several slices."""
    low, high = (4, 5) if rng.random() < 0.4 else (0, 4)
    wake, sleep = int(2 ** rng.uniform(low, high)), int(2 ** rng.uniform(low / 2, high)) - 1
    cycles = int(rng.integers(1, 3)) if wake + sleep <= 20 else 1
    bound = [None, "levels", "elapsed"][int(rng.integers(3))]
    return Dynamics(wake, sleep, cycles, signed=bound is not None and rng.random() < 0.7,
                    bound=bound)


def random_burst(rng):
    """Up to 9 spikes in each of a few time-steps."""
    return Dynamics(int(rng.integers(1, 5)), int(rng.integers(0, 3)),
                    burst=int(rng.integers(2, 10)))


def random_probe(rng):
    return Dynamics(int(rng.integers(1, 9)), int(rng.integers(0, 3)), int(rng.integers(1, 3)),
                    burst=int(rng.choice([1, 1, 1, 2, 3])), probe=int(rng.integers(1, 9)))


def random_phases(rng):
    return Dynamics(1, phases=int(rng.integers(1, 7)))


def stepping(rng, dynamics):
    """A random network whose neurons fire in every time-step."""
    while True:
        network = random_network(rng)
        try:
            return replace(network, layers=tuple(
                replace(layer, dynamics=dynamics, bias=rng.integers(-5, 9, layer.channels))
                if layer.synapses else layer for layer in network.layers))
        except NetworkError:  # it pools the input, or sums grow large
            continue


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_network(seed):
    rng = np.random.default_rng(seed)
    check(rng, random_network(rng), seed)


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_network_with_time_steps(seed):
    rng = np.random.default_rng(seed)
    check(rng, stepping(rng, random_dynamics(rng)), seed)


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_network_that_bursts(seed):
    rng = np.random.default_rng(seed)
    check(rng, stepping(rng, random_burst(rng)), seed)


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_network_that_is_probed(seed):
    rng = np.random.default_rng(seed)
    check(rng, stepping(rng, random_probe(rng)), seed)


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_network_of_one_spike(seed):
    rng = np.random.default_rng(seed)
    check(rng, stepping(rng, random_phases(rng)), seed)


@pytest.mark.parametrize("seed", MANY)
def test_array_skips_rows_of_zeros(seed):
    """In every second network the neurons fire in every time-step."""
    rng = np.random.default_rng(seed)
    network = stepping(rng, random_dynamics(rng)) if seed % 2 else random_network(rng)
    check(rng, pruned(network, float(rng.uniform(0.6, 1)), seed=seed), seed)


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_sequence(seed):
    rng = np.random.default_rng(seed)
    check(rng, random_sequence(rng), seed)


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_sequence_from_changes(seed):
    rng = np.random.default_rng(seed)
    network = random_sequence(rng)
    if seed % 3 == 0:
        with suppress(NetworkError):
            network = interleave(network, int(rng.integers(2, 5)))
    check(rng, network, seed, random_changes(rng, network))


@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize("seed", MANY)
def test_array_takes_sequences_in_blocks(seed, changes):
    """Sequences of any number of blocks, one after the other, each with an answer after every
    block."""
    rng = np.random.default_rng(seed)
    network, rows = random_blocks(rng)
    differential = random_changes(rng, network) if changes else {}
    lanes = {layer.name: int(rng.integers(1, layer.channels + 1)) for layer in network.layers
             if layer.synapses}
    heights = block(network, rows).shapes
    replicas = {layer.name: int(rng.integers(1, min(3, heights[layer.name][1]) + 1))
                for layer in network.neurons if layer.name not in {*layer.sources, *differential}}
    config, image = map_network(network, lanes=lanes, replicas=replicas, stream=rows,
                                differential=differential, code=str(rng.choice(["phase", "rate"])))
    if rng.random() < 0.5:
        config = few_rows(rng, config)
    beats, expected = [], []
    for blocks in rng.integers(1, 6, 4).tolist():
        whole = answering(network, rows, blocks)
        counts = rng.integers(0, network.input_levels + 1, (1, *whole.input_shape))
        counts *= rng.random(counts.shape) < rng.random()
        layout = replace(config.input, height=rows * blocks)
        sent = to_ints(pack(counts, layout)[0])
        # Only the bit of a block's first beat counts.
        beats += [beat | (int(k == 0) if k % config.input.beats == 0 else int(rng.integers(2)))
                  << config.input.beat_bits for k, beat in enumerate(sent)]
        answers = whole.run(counts).logits.reshape(network.classes, blocks, -1)
        expected += list(answers.transpose(1, 0, 2))
    dut = Array(config, image)
    received, _ = run(dut, [(dut.i, beats)], [(dut.o, len(expected) * config.readout.beats)],
                      stalls=str(rng.choice(list(STALLS))), seed=seed, limit=2_000_000,
                      convert=False)
    got = logits(config.readout, received).reshape(np.shape(expected))
    assert (got == expected).all(), network.layers


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_interleaved_sequences(seed):
    """Several sequences side by side in a sample, in every second network block by block."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 6))
    while True:
        network, rows = random_blocks(rng)
        with suppress(NetworkError):
            interleave(network, count)
            break
    if seed % 2:
        check(rng, interleave(network, count), seed)
        return
    config, image = map_network(network, stream=rows, interleaved=count)
    whole = answering(network, rows, 3)
    counts = rng.integers(0, network.input_levels + 1, (3 * count, *whole.input_shape))
    layout = replace(config.input, height=3 * rows)
    beats = to_ints(pack(together(counts, count), layout).reshape(3 * layout.beats, -1))
    first = [(k % layout.beats == 0) << layout.beat_bits for k in range(len(beats))]
    dut = Array(config, image)
    received, _ = run(dut, [(dut.i, [a | b for a, b in zip(beats, first, strict=True)])],
                      [(dut.o, 9 * config.readout.beats)], stalls=str(rng.choice(list(STALLS))),
                      seed=seed, limit=2_000_000, convert=False)
    got = logits(config.readout, received).reshape(3, 3, network.classes, -1, count)
    expected = whole.run(counts).logits.reshape(3, count, network.classes, 3, -1)
    assert (got == expected.transpose(0, 3, 2, 4, 1)).all(), network.layers


def check(rng, network, seed, differential=None):
    """Logits of an array of random lanes and replicas, with random stalls, after any of the
    time-steps that it has."""
    kept = differential or {}
    lanes = {layer.name: int(rng.integers(1, layer.channels + 1)) for layer in network.layers
             if layer.synapses}
    replicas = {layer.name: int(rng.integers(1, min(3, network.shapes[layer.name][1]) + 1))
                for layer in network.neurons
                if layer.lasting is None and layer.name not in {*layer.sources, *kept}}
    config, image = map_network(network, lanes=lanes, replicas=replicas, differential=kept,
                                code=str(rng.choice(["phase", "rate"])),
                                slice_steps=int(rng.choice([1, 2, 3, 5, 16])))
    if not any("_" in layer.name for layer in network.layers) and rng.random() < 0.5:
        config = few_rows(rng, config)
    shape = (3, *network.input_shape)
    counts = rng.integers(0, network.input_levels + 1, shape) * (rng.random(shape) < rng.random())
    fmap, out = config.input, config.readout
    beats = pack(counts.reshape(3, fmap.channels, fmap.height, fmap.width), fmap)
    dut = Array(config, image)
    chosen = int(rng.integers(1, config.timesteps + 1))
    timesteps = chosen if config.timesteps > 1 else network.timesteps
    received, _ = run(dut, [(dut.i, to_ints(beats.reshape(3 * fmap.beats, -1)))],
                      [(dut.o, 3 * out.beats)], stalls=str(rng.choice(list(STALLS))), seed=seed,
                      constants=[(dut.timesteps, timesteps)] if config.timesteps > 1 else [],
                      limit=2_000_000, convert=False)
    expected = network.run(counts).steps[timesteps - 1]
    assert (logits(out, received) == expected).all(), network.layers


@pytest.mark.parametrize("seed", MANY)
def test_array_computes_any_network_whose_rows_are_time_steps(seed):
    rng = np.random.default_rng(seed)
    network = random_lasting(rng)
    check(rng, interleave(network, int(rng.integers(2, 4))) if seed % 3 == 0 else network, seed)
