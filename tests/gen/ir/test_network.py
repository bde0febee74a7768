"""The integer network against PyTorch's convolutions, and what it refuses."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gen.errors import NetworkError
from gen.ir import batches, synapses
from gen.ir.layers import INPUT, Neurons, Pool, Readout
from gen.ir.network import Network
from gen.ir.reference import torch_run
from gen.ir.synapses import Synapses
from hw.dynamics import Dynamics


def weights(*shape, low=-8, high=8, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)


def neurons(name="conv", source=INPUT, channels=1, **options):
    synapses = Synapses(source, weights(4, channels, 3, 3), padding=(1, 1))
    fields = {"synapses": (synapses,), "initial": np.arange(4), "levels": 3,
              "threshold": np.array([1, 2, 9, 30])}
    return Neurons(name, **{**fields, **options})


def readout(source="conv", size=6, **options):
    fields = {"synapses": (Synapses(source, weights(3, 4, size, size)),),
              "initial": np.array([0, 5, -5])}
    return Readout("out", **{**fields, **options})


def network(*layers, **changes):
    fields = {"name": "net", "input_shape": (1, 6, 6), "input_levels": 15, "pixel_max": 255,
              "layers": layers or (neurons(), readout())}
    return Network(**{**fields, **changes})


@pytest.mark.parametrize("stride, padding, groups, kernel", [
    ((1, 1), (0, 0), 1, (1, 1)), ((2, 1), (1, 2), 1, (3, 3)), ((1, 3), (0, 1), 2, (2, 3)),
    ((2, 2), (1, 1), 4, (3, 3)), ((1, 1), (0, 0), 1, (7, 5)),
])
def test_charge_is_a_convolution(stride, padding, groups, kernel):
    counts = np.random.default_rng(1).integers(0, 16, (5, 4, 7, 9))
    w = weights(8, 4 // groups, *kernel)
    charge = Synapses(INPUT, w, stride, padding, groups).charge(counts)
    expected = F.conv2d(torch.from_numpy(counts).double(), torch.from_numpy(w).double(), None,
                        stride, padding, 1, groups)
    assert np.array_equal(charge, expected.numpy())


@pytest.mark.parametrize("values", [1, 100, 40 * 36, 3 * 40 * 36])
def test_charge_is_the_same_whatever_is_copied_at_a_time(values, monkeypatch):
    """A row, some rows, a sample, and some samples, the last part of which is smaller."""
    counts = np.random.default_rng(1).integers(0, 16, (5, 4, 7, 9))
    bundle = Synapses(INPUT, weights(8, 4, 3, 3), (1, 2), (1, 1))
    whole = bundle.charge(counts)
    assert len(list(synapses._parts((5, 7, 5, 4, 3, 3)))) == 1
    monkeypatch.setattr(synapses, "_VALUES", values)
    assert len(list(synapses._parts((5, 7, 5, 4, 3, 3)))) > 1
    assert np.array_equal(bundle.charge(counts), whole)


@pytest.mark.parametrize("kernel, stride, padding", [
    ((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 1)), ((7, 9), (1, 1), (0, 0)),
])
def test_pools(kernel, stride, padding):
    counts = np.random.default_rng(1).integers(0, 16, (5, 4, 7, 9))
    tensor = torch.from_numpy(counts).double()
    for kind, expected in [
        ("max", F.max_pool2d(tensor, kernel, stride, padding)),
        ("sum", F.avg_pool2d(tensor, kernel, stride, padding, divisor_override=1)),
    ]:
        pool = Pool("p", INPUT, kind, kernel, stride, padding)
        assert np.array_equal(pool.run([counts]), expected)


@pytest.mark.parametrize("theta", [1, 2, 3, 7, 8, 199])
def test_neurons_round_half_up(theta):
    z = np.arange(-3 * theta, 9 * theta)
    layer = Neurons("n", (Synapses(INPUT, np.ones((1, 1, 1, 1), int)),), np.array([theta >> 1]),
                    np.array([theta]), 5)
    counts = layer.run([z[:, None, None, None]]).ravel()
    assert counts.tolist() == [min(max((2 * v + theta) // (2 * theta), 0), 5) for v in z.tolist()]


def test_potentials_stay_in_their_range_and_reach_it():
    layer = neurons()
    low, high = layer.potential_range([15])
    w = layer.synapses[0].weights[:, 0]
    for bound, chosen in (low, w < 0), (high, w > 0):
        for channel in range(4):
            image = np.zeros((1, 1, 6, 6), int)
            image[0, 0, :3, :3] = 15 * chosen[channel]
            potential = layer.charge([image])[0, channel, 1, 1] + layer.initial[channel]
            assert potential == bound[channel]


def test_encode_rounds_half_up():
    net = network(input_shape=(1, 1, 256), layers=(
        Readout("out", (Synapses(INPUT, weights(2, 1, 1, 256)),), np.zeros(2, int)),))
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 256)
    expected = [int(p * 15 / 255 + 0.5) for p in range(256)]
    assert net.encode(pixels).ravel().tolist() == expected
    assert np.array_equal(net.encode(pixels[:, None]), net.encode(pixels))


@pytest.mark.parametrize("levels", [1, 3, 255, 65535, (1 << 24) - 1, 1 << 24])
def test_encode_is_exact_up_to_its_bound(levels):
    pixel_max = ((1 << 53) - 1) // (2 * levels + 1)
    net = network(neurons(), readout(), input_levels=levels, pixel_max=pixel_max)
    rng = np.random.default_rng(levels)
    pixels = rng.integers(0, pixel_max, (3, 1, 6, 6), endpoint=True)
    pixels[0, 0, 0, :3] = 0, pixel_max, pixel_max - 1
    expected = [(2 * p * levels + pixel_max) // (2 * pixel_max) for p in pixels.ravel().tolist()]
    counts = net.encode(pixels)
    assert counts.ravel().tolist() == expected
    assert (counts.min(), counts.max()) == (0, levels)
    with pytest.raises(NetworkError, match=f"^pixel_max must be less than {pixel_max + 1} with"):
        network(neurons(), readout(), input_levels=levels, pixel_max=pixel_max + 1)


@pytest.mark.parametrize("pixel_max, levels", [(1 << 61, 3), (1 << 40, 1 << 23), (1 << 70, 1)])
def test_pixels_that_would_overflow_are_refused(pixel_max, levels):
    with pytest.raises(NetworkError, match=r"^pixel_max must be less than"):
        network(pixel_max=pixel_max, input_levels=levels)


def test_sums_are_exact_up_to_their_bound():
    # Charge of the greatest weights and counts, and an odd initial potential, to 2^53 - 1.
    weight, levels = (1 << 15) - 1, 1 << 24
    terms = ((1 << 53) - 2) // (weight * levels)
    initial = (1 << 53) - 1 - terms * weight * levels
    synapses = Synapses(INPUT, np.full((2, terms, 1, 1), weight), bits=16)
    layer = Readout("out", (synapses,), np.array([initial, -initial]))
    net = Network("net", (terms, 1, 1), levels, 1, (layer,))
    counts = np.full((1, terms, 1, 1), levels)
    charge = terms * weight * levels
    assert net.run(counts).logits.tolist() == [[charge + initial, charge - initial]]
    assert torch_run(net, counts)["out"].ravel().tolist() == [charge + initial, charge - initial]
    with pytest.raises(NetworkError, match=r"^out: potentials need more than 53 bits$"):
        replace(net, layers=(replace(layer, initial=np.array([initial + 1, 0])),))


def test_a_charge_that_the_initial_potential_takes_back_is_bounded_too():
    # The potential stays in 53 bits; the charge alone, which float64 has to hold, does not.
    synapses = Synapses(INPUT, np.full((1, 20_000, 1, 1), (1 << 15) - 1), bits=16)
    layer = Readout("out", (synapses,), np.array([1 - (1 << 53)]))
    with pytest.raises(NetworkError, match=r"^out: potentials need more than 53 bits$"):
        Network("net", (20_000, 1, 1), 1 << 24, 1, (layer,))


def test_greatest_threshold():
    layer = neurons(threshold=np.full(4, ((1 << 53) - 1) // 3))
    assert network(layer, readout()).run(np.full((1, 1, 6, 6), 15)).counts["conv"].max() == 0
    assert layer.membrane_bits([15]) <= 55


def test_vectors():
    layer = Readout("out", (Synapses(INPUT, weights(2, 5, 1, 1)),), np.zeros(2, int))
    vectors = np.random.default_rng(0).integers(0, 256, (3, 5))
    net = network(layer, input_shape=(5, 1, 1), samples=vectors)
    assert np.array_equal(net.encode(vectors), net.encode(vectors[:, :, None, None]))
    assert net.samples.shape == net.encode(vectors).shape == (3, 5, 1, 1)
    with pytest.raises(NetworkError, match=r"^images must have the shape \(N, 5\) or "
                                           r"\(N, 5, 1, 1\), not \(3, 4\)$"):
        net.encode(vectors[:, :4])


def test_lowest_class_wins_a_tie():
    layer = readout(synapses=(Synapses("conv", np.zeros((3, 4, 6, 6), int)),),
                    initial=np.array([0, 7, 7]))
    assert network(neurons(), layer).run(np.zeros((2, 1, 6, 6), int)).predictions.tolist() == [1, 1]


def test_predict_in_batches(monkeypatch):
    net, images = network(), np.random.default_rng(0).integers(0, 256, (7, 1, 6, 6))
    monkeypatch.setattr(batches, "_MOST", 3)
    assert np.array_equal(net.predict(images), net.run(net.encode(images)).logits)
    assert net.predict(images[:0]).shape == (0, 3)


def test_digest():
    assert network().digest == network(metadata={"a": 1}, name="other").digest
    others = [network(input_levels=14), network(pixel_max=254),
              network(neurons(levels=4), readout()),
              network(neurons(initial=np.arange(1, 5)), readout()),
              network(neurons(), readout(initial=np.zeros(3, int))),
              network(neurons(), Pool("p", "conv", "max", (1, 1), (1, 1)), readout("p")),
              network(neurons(), Pool("p", "conv", "sum", (1, 1), (1, 1)), readout("p"))]
    assert len({net.digest for net in [network(), *others]}) == 8


def test_frozen():
    layer = neurons()
    with pytest.raises(ValueError, match="read-only"):
        layer.synapses[0].weights[0] = 0
    with pytest.raises(TypeError):
        network().metadata["a"] = 1


REFUSED = {
    "no read-out": (lambda: network(neurons()), "a network must end with its one read-out layer"),
    "order": (lambda: network(readout(), neurons()), "out: source 'conv' is not an earlier layer"),
    "two names": (lambda: network(neurons(), neurons(), readout()),
                  "two layers are named 'conv'"),
    "unused": (lambda: network(neurons(), neurons("b"), readout()),
               "nothing uses the spikes of 'b'"),
    "name": (lambda: network(name="a/b"),
             "a network's name must be letters, digits, '-' and '_', not 'a/b'"),
    "long name": (lambda: network(name="a" * 3000),
                  f"a network's name must have at most 64 characters, not 3,000: '{'a' * 20}'..."),
    "long layer": (lambda: network(neurons("b" * 3000), readout("b" * 3000)),
                   f"a layer's name must have at most 128 characters, not 3,000: '{'b' * 20}'..."),
    "shape": (lambda: network(input_shape=(1, 6, 6.0)),
              "input_shape must be three positive integers, not (1, 6, 6.0)"),
    "levels": (lambda: network(input_levels=0), "input_levels must be a positive integer, not 0"),
    "huge levels": (lambda: network(input_levels=1 << 62),
                    f"input_levels must be at most {1 << 24}, not {1 << 62}"),
    "huge pool": (lambda: network(neurons(levels=1 << 24), Pool("p", "conv", "sum", (2, 2), (1, 1)),
                                  readout("p", 5)),
                  f"p: levels must be at most {1 << 24}, not {1 << 26}"),
    "huge neurons": (lambda: neurons(levels=(1 << 24) + 1),
                     f"conv: levels must be at most {1 << 24}, not {(1 << 24) + 1}"),
    "huge threshold": (lambda: neurons(threshold=np.full(4, (1 << 53) // 3 + 1)),
                       "conv: 3 times the threshold needs more than 53 bits"),
    "huge threshold of a phase": (
        lambda: neurons(threshold=np.full(4, 1 << 39), dynamics=Dynamics(1, phases=15)),
        "conv: 16384 times the threshold needs more than 53 bits"),
    "huge numbers": (lambda: neurons(initial=np.full(4, 1 << 63, np.uint64)),
                     f"conv: initial must be integers of 64 bits, signed, not {1 << 63}"),
    "huge pixels": (lambda: network().encode(np.full((1, 1, 6, 6), (1 << 64) - 1, np.uint64)),
                    f"pixels must lie in 0..255, not {(1 << 64) - 1}..{(1 << 64) - 1}"),
    "huge map": (lambda: network(input_shape=(1, 1 << 14, (1 << 14) + 1)),
                 f"input: a map must have at most {1 << 28} values, not (1, 16384, 16385)"),
    "width": (lambda: network(neurons(initial=np.full(4, -1 << 53)), readout()),
              "conv: potentials need more than 53 bits"),
    "map": (lambda: network(neurons(dynamics=Dynamics(2)), readout(size=5, dynamics=Dynamics(2))),
            "out: with time-steps the read-out must be one position, not (2, 2)"),
    "channels": (lambda: network(neurons(channels=2), readout()),
                 "synapses from 'input': the source has 1 channels, the weights expect 2"),
    "real weights": (lambda: Synapses(INPUT, np.ones((1, 1, 1, 1))),
                     "synapses from 'input': weights must be integers, not float64"),
    "bits": (lambda: Synapses(INPUT, weights(1, 1, 1, 1), bits=1),
             "synapses from 'input': bits must be 2 to 16, not 1"),
    "range": (lambda: Synapses(INPUT, np.array([[[[8]]]]), bits=4),
              "synapses from 'input': weights must lie in -8..7 (4 bits), not 8..8"),
    "padding": (lambda: Synapses(INPUT, weights(1, 1, 1, 1), padding=(1, 0)),
                "synapses from 'input': padding (1, 0) must be smaller than the kernel (1, 1)"),
    "threshold": (lambda: neurons(threshold=np.array([1, 2, 0, 3])),
                  "conv: threshold must be 4 positive integers"),
    "kind": (lambda: Pool("p", INPUT, "min", (2, 2), (1, 1)),
             "p: kind must be 'sum' or 'max', not 'min'"),
    "pixels": (lambda: network().encode(np.full((1, 1, 6, 6), 256)),
               "pixels must lie in 0..255, not 256..256"),
    "real pixels": (lambda: network().encode(np.zeros((1, 1, 6, 6))),
                    "images must be integers in 0..255, not float64"),
    "size": (lambda: network().encode(np.zeros((1, 1, 6, 5), int)),
             "images must have the shape (N, 1, 6, 6), not (1, 1, 6, 5)"),
    "real counts": (lambda: network().run(np.full((1, 1, 6, 6), 3.7)),
                    "input counts must be integers, not float64"),
    "counts": (lambda: network().run(np.full((1, 1, 6, 6), 16)), "input counts must lie in 0..15"),
}


@pytest.mark.parametrize("make, message", REFUSED.values(), ids=REFUSED)
def test_refused(make, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        make()
