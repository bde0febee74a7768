"""NIR files: nodes one by one, what is open, and files that are not what they say."""

import re
from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest
from sklearn.datasets import load_digits

from gen.convert.spiking.from_nir import convert_nir
from gen.convert.spiking.graph import Neuron
from gen.convert.spiking.layers import layers_of
from gen.convert.spiking.nirfile import Reading, read_nir
from gen.convert.spiking.simulation import simulate
from gen.errors import ConversionError, DataError
from gen.ir import artifact

RNG = np.random.default_rng(0)


def affine(out, into, rng=RNG):
    return nir.Affine(rng.normal(size=(out, into)), rng.normal(size=out) / 9)


def lif(n, decay=0.9, dt=1e-4, r=None):
    tau = dt / (1 - decay)
    return nir.LIF(np.full(n, tau), np.full(n, tau / dt if r is None else r), np.zeros(n),
                   np.ones(n))


def integrate(n, threshold=1.0, r=1e4):
    return nir.IF(np.full(n, r), np.full(n, threshold))


def written(path, *nodes, shape=(4,), edges=None):
    names = ["input", *(f"n{k}" for k in range(len(nodes))), "output"]
    ends = [nir.Input(np.array(shape)), *nodes, nir.Output(np.array([2]))]
    graph = nir.NIRGraph(dict(zip(names, ends, strict=True)),
                         [*pairwise(names), *(edges or [])], {},
                         type_check=False)
    nir.write(path, graph)
    return path


_PLAIN = Reading()


def only(path, reading=_PLAIN):
    (neuron,) = [n for n in read_nir(path, reading).nodes.values() if isinstance(n, Neuron)]
    return neuron


@pytest.mark.parametrize("origin, reset, strict, burst", [
    (None, (True, False), True, 1), ("nir", (True, False), True, 1),
    ("snntorch", (False, True), True, 1), ("spikingjelly", (True, False), False, 1),
    ("sinabs", (False, False), False, 0)])
def test_the_neurons_of_a_library(tmp_path, origin, reset, strict, burst):
    neuron = only(written(tmp_path / "a.nir", affine(2, 4), lif(2)), Reading(origin))
    assert ((neuron.zero, neuron.delayed), neuron.strict, neuron.burst) == (reset, strict, burst)
    assert neuron.decay == pytest.approx([0.9, 0.9])
    assert neuron.gain == pytest.approx([1, 1])


def test_what_nir_leaves_open(tmp_path):
    path = written(tmp_path / "a.nir", affine(2, 4), lif(2, 0.5, r=1))
    assert only(path).gain == pytest.approx([0.5, 0.5])
    assert only(path, Reading(dt=5e-5)).decay == pytest.approx([0.75, 0.75])
    assert only(path, Reading(discretisation="exponential")).decay == pytest.approx(
        [np.exp(-0.5)] * 2)
    assert only(path, Reading("snntorch", reset="subtract")).delayed is False
    path = written(tmp_path / "b.nir", affine(2, 4), integrate(2, r=1))
    assert only(path).gain == pytest.approx([1, 1]), "Sinabs' time-step"
    path = written(tmp_path / "c.nir", affine(2, 4), integrate(2))
    assert only(path).gain == pytest.approx([1, 1]), "SpikingJelly's time-step"


def test_all_nodes(tmp_path):
    """Poolings before and behind weights, and a scale, against what they mean."""
    conv = nir.Conv2d((8, 8), RNG.normal(size=(3, 2, 3, 3)), 1, 1, 1, 1, RNG.normal(size=3) / 9)
    pool = [kind(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
            for kind in (nir.AvgPool2d, nir.SumPool2d)]
    path = written(tmp_path / "a.nir", conv, pool[0], nir.Scale(np.full((3, 1, 1), 2.0)),
                   integrate((3, 4, 4), r=1e4), pool[1], nir.Flatten(np.array([3, 2, 2]), 0, -1),
                   affine(2, 12), nir.Threshold(np.full(2, 0.5)), shape=(2, 8, 8))
    layers, shape = layers_of(read_nir(path, Reading()))
    assert shape == (2, 8, 8)
    assert [type(layer).__name__ for layer in layers] == ["Layer", "Sums", "Layer", "Layer"]
    train = (RNG.random((6, 5, 2, 8, 8)) < 0.3).astype(float)
    got = simulate(layers, train)
    padded = np.pad(train, [(0, 0)] * 3 + [(1, 1)] * 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(-2, -1))
    current = np.einsum("tncyxij,ocij->tnoyx", windows, conv.weight) + conv.bias[:, None, None]
    current = 2 * current.reshape(6, 5, 3, 4, 2, 4, 2).mean(axis=(4, 6))
    v, fired = 0, []
    for now in current:
        v = v + now
        fired.append(v > 1)
        v = np.where(fired[-1], 0, v)
    assert np.array_equal(got["n3"], fired)
    sums = np.array(fired).reshape(6, 5, 3, 2, 2, 2, 2).sum(axis=(4, 6))
    assert np.array_equal(got["n4"], sums)
    last = layers[2]
    charge = np.einsum("tnf,of->tno", sums.reshape(6, 5, 12), last.terms[0].weight.reshape(2, 12))
    assert np.array_equal(got["n7"][..., 0, 0], charge + last.bias > 0.5)
    assert np.array_equal(got[layers[-1].name], got["n7"])


def test_a_network_of_a_file(tmp_path):
    """Converted, and the same as the neurons of the file, but for what is rounded."""
    rng = np.random.default_rng(1)
    path = written(tmp_path / "a.nir", affine(20, 64, rng), lif(20, 0.75), affine(10, 20, rng),
                   lif(10, 0.5), shape=(64,))
    digits = load_digits().data[:60].astype(np.int64)
    np.save(tmp_path / "x.npy", digits)
    told = convert_nir(path, calibration=tmp_path / "x.npy", out=tmp_path / "a.npz", pixel_max=16,
                       input_levels=16, timesteps=12, origin="snntorch", require_agreement=0.8)
    assert min(told["spikes"].values()) > 0.95
    assert told["leaks"] == {"n1": {"decay": pytest.approx(0.75), "shifts": 0.75,
                                    "as": "V -= V >> 2"},
                             "n3": {"decay": pytest.approx(0.5), "shifts": 0.5,
                                    "as": "V -= V >> 1"}}
    network = artifact.load(tmp_path / "a.npz")
    assert network.digest == told["digest"]
    assert network.neurons[0].dynamics.membrane.delayed
    assert (network.timesteps, network.input_shape) == (12, (64, 1, 1))
    with pytest.raises(ConversionError, match=r"^the integers classify \d+.\d\d% of the samples as "
                                              r"the original does, less than the 100.00% requ"):
        convert_nir(path, calibration=tmp_path / "x.npy", out=tmp_path / "b.npz", pixel_max=16,
                    input_levels=1, timesteps=12, bits=2, require_agreement=1)
    assert not (tmp_path / "b.npz").exists()


def test_a_subtraction_does_not_depend_on_where_a_reset_would_lead(tmp_path):
    """``v_reset`` is no part of a reset that subtracts."""
    rng, first = np.random.default_rng(5), affine(6, 4)
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (30, 12, 4)))
    tau = np.full(6, 8e-4)
    told = [convert_nir(written(tmp_path / "a.nir", first, nir.LIF(
        tau, np.full(6, 8.0), np.zeros(6), np.ones(6), np.full(6, reset))),
        calibration=tmp_path / "x.npy", out=tmp_path / "n.npz", bits=14, origin="snntorch")
        for reset in (0.0, -0.4)]
    assert told[0]["digest"] == told[1]["digest"]
    assert told[1]["spikes"]["n1"] > 0.995


def test_neurons_of_a_sequence_have_two_axes(tmp_path):
    """As NIR has them behind ``Conv1d``."""
    conv = nir.Conv1d(12, RNG.normal(size=(4, 1, 3)), 2, 1, 1, 2, RNG.normal(size=4) / 9)
    ones = np.ones((4, 6))
    nodes = [conv, nir.LIF(8e-4 * ones, 8 * ones, 0 * ones, ones),
             nir.Flatten(np.array([4, 6]), 0, -1), affine(2, 24), lif(2)]
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 2, (20, 8, 2, 12)))
    told = convert_nir(written(tmp_path / "a.nir", *nodes, shape=(2, 12)), bits=12,
                       calibration=tmp_path / "x.npy", out=tmp_path / "n.npz", origin="snntorch")
    assert min(told["spikes"].values()) > 0.99
    assert artifact.load(tmp_path / "n.npz").shapes["n1"] == (4, 6, 1)


@pytest.mark.parametrize("start, end", [(0, -1), (0, 2), (-3, -1), (-3, 2)])
def test_all_axes_flattened(start, end, tmp_path):
    path = written(tmp_path / "a.nir", nir.Flatten(np.array([1, 2, 2]), start, end), affine(2, 4),
                   lif(2), shape=(1, 2, 2))
    assert len(layers_of(read_nir(path, _PLAIN))[0]) == 2


@pytest.mark.parametrize("discretisation, left", [("euler", 0.5), ("exponential", np.exp(-0.5))])
def test_currents_that_last(discretisation, left, tmp_path):
    """``I += (1 - left) (w_in S - I)``, and then the potential as of ``LIF``."""
    cuba = nir.CubaLIF(np.full(2, 2e-4), np.full(2, 4e-4), np.full(2, 3.0), np.zeros(2), np.ones(2),
                       w_in=np.full(2, 1.5))
    path = written(tmp_path / "a.nir", affine(2, 4), cuba)
    neuron = only(path, Reading("snntorch", discretisation=discretisation))
    share = 1 - neuron.decay
    assert neuron.current == pytest.approx([left, left])
    assert neuron.gain == pytest.approx((1 - left) * 1.5 * 3 * share)
    assert only(path, Reading(dt=2e-4)).current is None


GRID = nir.Conv2d((4, 4), np.ones((1, 1, 3, 3)), 1, 0, 2, 1, np.zeros(1))


@pytest.mark.parametrize("nodes, options, message", [
    ((nir.Delay(np.ones(4)),), {}, "n0: a node of the type Delay can't be converted: spikes"),
    ((affine(2, 4), nir.LI(np.ones(2), np.ones(2), np.zeros(2))), {},
     "n1: a node of the type LI can't be converted: it never fires; supported are Affine,"),
    ((affine(4, 4), nir.CubaLIF(np.full(4, 2e-5), np.full(4, 1e-3), np.ones(4), np.zeros(4),
                                np.ones(4))), {},
     "n1 (CubaLIF): a time-step of 0.0001 s is longer than its time constant of 2e-05 s; give"),
    ((affine(4, 4), nir.CubaLIF(np.full(4, 2e-4), np.full(4, 1e-3), np.ones(4), np.ones(4),
                                np.ones(4))), {},
     "n1: its potential leaks towards another value than that of a reset, which neurons with a"),
    ((GRID,), {"shape": (1, 4, 4)}, "n0 (Conv2d): a dilation other than 1 can't be converted"),
    ((affine(2, 4), affine(2, 2), lif(2)), {}, "n1: gets the result of weights without neurons"),
    ((affine(2, 5), lif(2)), {}, "n0: takes 5 values, and gets 4"),
    ((affine(2, 4), nir.LIF(np.array([1e-3, 2e-3]), np.ones(2), np.zeros(2), np.ones(2))), {},
     "n1: its neurons decay to 0.9 to 0.95 in a time-step, and all of a layer must decay alike"),
    ((affine(2, 4), lif(2, 0.5, dt=1e-5)), {}, "n1 (LIF): a time-step of 0.0001 s is longer "),
    ((affine(2, 4), integrate(2, -1.0)), {}, "n1: its threshold must be above the potential that "),
    ((affine(2, 4), integrate(3)), {}, "n1: parameters of the shape (3,) don't fit a map of (2, 1"),
    ((nir.Linear(np.ones((2, 4), complex)),), {},
     "n0 (Linear): its parameters must be real numbers, not complex128"),
    ((affine(2, 4), lif(2)), {"edges": [("n1", "input")]},
     "the edge from 'n1' to 'input' goes into the Input node, or out of the Output node, which"),
    ((affine(2, 4), lif(2)), {"edges": [("output", "n1")]},
     "the edge from 'output' to 'n1' goes into the Input node, or out of the Output node, which"),
    ((nir.Flatten(np.array([1, 2, 2]), 1, -1), affine(2, 4)), {"shape": (1, 2, 2)},
     "n0 (Flatten): only a flattening of all axes can be converted, not of 1 to -1"),
    ((nir.Affine(np.full((2, 4), np.nan), np.zeros(2)),), {},
     "n0 (Affine): its parameters must be finite numbers"),
])
def test_refused(tmp_path, nodes, options, message):
    path = written(tmp_path / "a.nir", *nodes, **options)
    shape = options.get("shape", (4,))
    np.save(tmp_path / "x.npy", np.ones((3, *shape), np.int64))
    with pytest.raises(ConversionError) as error:
        convert_nir(path, calibration=tmp_path / "x.npy", out=tmp_path / "a.npz")
    assert re.match(f"({re.escape(str(path))}: )?{re.escape(message)}", str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(4.5,), (0,), (2, 0)], ids=str)
def test_a_shape_that_is_none(shape, tmp_path):
    path = written(tmp_path / "a.nir", affine(2, 4), lif(2), shape=shape)
    with pytest.raises(ConversionError, match=r"the Input node has the shape \[.*\], and must h"):
        read_nir(path, _PLAIN)


def test_more_events_than_a_network_takes(tmp_path):
    path = written(tmp_path / "a.nir", affine(2, 4), lif(2), edges=[("n1", "n1")])
    np.save(tmp_path / "x.npy", np.full((2, 3, 4), 1 << 25))
    with pytest.raises(DataError, match=r"x.npy: has up to 33,554,432 events of a pixel in a t"):
        convert_nir(path, calibration=tmp_path / "x.npy", out=tmp_path / "n.npz")


def test_hostile_files(tmp_path):
    (tmp_path / "text.nir").write_text("no file of this kind")
    good = written(tmp_path / "good.nir", affine(2, 4), lif(2))
    (tmp_path / "cut.nir").write_bytes(good.read_bytes()[:3000])
    with h5py.File(tmp_path / "link.nir", "w") as file:
        file["node"] = h5py.ExternalLink(str(good), "/node")
    with h5py.File(tmp_path / "loop.nir", "w") as file:
        file.create_group("node")
        file["node/again"] = file["node"]
    with h5py.File(tmp_path / "large.nir", "w") as file:
        file.create_dataset("node/weight", (1 << 40,), "f8", chunks=(1 << 20,), compression="gzip")
    with h5py.File(tmp_path / "empty.nir", "w") as file:
        file["other"] = 1
    for name, message in {
            "text": "can't be read as NIR", "cut": "can't be read as NIR",
            "absent": "can't be read as NIR", "link": "'node' refers to another place",
            "loop": "has more items, or deeper ones", "large": "declares 8388608 MiB, more than",
            "empty": "can't be read as NIR"}.items():
        with pytest.raises(ConversionError, match=message) as error:
            read_nir(tmp_path / f"{name}.nir", Reading())
        assert "\n" not in str(error.value)
