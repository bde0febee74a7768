import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gen.convert.lowered import Fire, Lowered, Out
from gen.convert.quantised import QuantisedModel
from gen.convert.terms import Form, Term
from gen.convert.uniform import Uniform
from gen.convert.values import Map, Part
from gen.convert.whole import keep_whole
from gen.errors import ConversionError
from gen.ir.layers import INPUT

torch.set_num_threads(1)

LEVELS_IN = 8


def term(whole, unit, **members):
    """A term of whole weights ``(O, I)`` in a unit ``(O,)``."""
    unit = torch.as_tensor(unit, dtype=torch.float64)
    weight = torch.as_tensor(whole, dtype=torch.float64) * unit[:, None]
    return Term("fc", INPUT, INPUT, 1.0, weight.float()[:, :, None, None], unit=unit, **members)


def of(layers, shape, module):
    """Layers of a module whose samples have a shape."""
    return Lowered(layers, Map((Part.all_of(INPUT, shape),), shape, Form.MAP), module, {}, ())


def lowered(whole, unit, bias, *, step, levels, **kind):
    """A layer of neurons on the input, and a read-out of plain weights."""
    activation = Uniform(step, levels, **kind)
    kind.pop("even", None)
    fire = Fire("fc", (term(whole, unit),), torch.as_tensor(bias, dtype=torch.float32), "act", step,
                levels, **kind)
    classes = torch.ones(2, len(whole), 1, 1)
    out = Out("out", (Term("out", "fc", "fc", 1.0, classes),), torch.zeros(2))
    return of((fire, out), (len(whole[0]), 1, 1), nn.ModuleDict({"act": activation}))


def made(layers, bits=8):
    """The neurons in integers, and the share of charges whose count differs."""
    kept, widths, shares = keep_whole(layers, {"fc": bits, "out": 8}, LEVELS_IN)
    model = QuantisedModel(kept, input_levels=LEVELS_IN, bits=widths).eval()
    neurons, _ = model.to_network("net").layers
    return neurons, shares["fc"]


def counts(neurons, charges, factor):
    """The counts of the first channel for charges in units of the file."""
    initial, theta = int(neurons.initial[0]), int(neurons.threshold[0])
    n = [(factor * c + initial) // theta for c in charges]
    if len(neurons.initial) == 2:  # a pair
        other, top = int(neurons.initial[1]), neurons.levels
        return [min(max(a, 0), top) - min(max((other - factor * c) // theta, 0), top)
                for a, c in zip(n, charges, strict=True)]
    return [min(max(k, 0), neurons.levels) for k in n]


@pytest.mark.parametrize("kind", [{"even": False}, {"floor": True}, {},
                                  {"symmetric": True, "even": False}], ids=str)
@pytest.mark.parametrize("levels", [1, 3, 7, 15])
def test_counts_are_those_of_the_file_for_every_charge(kind, levels):
    rng = np.random.default_rng(levels)
    for _ in range(30):
        whole = rng.integers(-3, 4, (1, 6))
        whole[0, 0] = 3
        unit, bias = rng.uniform(0.01, 0.3), rng.normal(0, 0.3)
        step = rng.uniform(0.02, 0.5)
        layers = lowered(whole, [unit], [bias], step=float(np.float32(step)), levels=levels, **kind)
        neurons, share = made(layers)
        factor = int(neurons.synapses[0].weights[0, 0, 0, 0]) // 3
        assert (neurons.synapses[0].weights[0].reshape(-1) == factor * whole[0]).all()
        assert factor < max(2, levels + (levels if kind.get("symmetric") else 0))
        assert share == 0
        charges = range(LEVELS_IN * int(whole.clip(None, 0).sum()),
                        LEVELS_IN * int(whole.clip(0).sum()) + 1)
        value = torch.tensor([c * unit / LEVELS_IN + float(np.float32(bias)) for c in charges],
                             dtype=torch.float64)
        expected = layers.module["act"].double()(value) / float(np.float32(step))
        assert counts(neurons, charges, factor) == expected.round().int().tolist()


@pytest.mark.parametrize("theta", [1, 3, 5, 7])
def test_scales_that_are_powers_of_two(theta):
    layers = lowered([[1, -2, 3]], [0.25], [0.0], step=theta / 4 / LEVELS_IN, levels=3)
    neurons, share = made(layers)
    assert neurons.synapses[0].weights.reshape(-1).tolist() == [1, -2, 3]
    assert (neurons.threshold.tolist(), neurons.synapses[0].bits, share) == ([theta], 3, 0)


def test_halves_that_are_rounded_to_even_counts(caplog):
    """Borders are at the charges 2, 3, 6 and 7, where those of a neuron have one distance."""
    layers = lowered([[1, 1]], [0.5], [0.0], step=1 / LEVELS_IN, levels=7)
    neurons, share = made(layers)
    assert neurons.threshold.tolist() == [2 * int(neurons.synapses[0].weights[0, 0, 0, 0])]
    assert share == pytest.approx(3 / 17)
    assert "fc: its whole weights are kept, but for 18 % of the charges" in caplog.text


def test_signs_of_a_batch_norm_and_channels_of_zeros():
    layers = lowered([[1, 2], [3, -1], [0, 0]], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3], step=0.07,
                     levels=3)
    fire, out = layers.layers
    gain = torch.tensor([-0.5, 0.0, 2.0])
    (plain,) = fire.terms
    turned = replace(plain, weight=plain.weight * gain[:, None, None, None],
                     unit=plain.unit * gain.abs())
    flipped = replace(fire, terms=(turned,))
    neurons, share = made(of((flipped, out), layers.input_shape, layers.module))
    first, second, third = neurons.synapses[0].weights.reshape(3, 2).tolist()
    assert second == third == [0, 0]
    assert first[0] < 0
    assert first[1] == 2 * first[0]
    assert share == 0


def test_fewer_bits_leave_a_difference_that_is_said(caplog):
    layers = lowered([[7, -5, 3, 7]], [0.1], [0.03], step=0.0401, levels=15)
    exact, none = made(layers)
    close, share = made(layers, bits=4)
    assert close.synapses[0].weights.reshape(-1).tolist() == [7, -5, 3, 7]
    assert exact.synapses[0].bits > close.synapses[0].bits == 4
    assert none == 0 < share < 0.2
    assert "more --bits bring them closer" in caplog.text


@pytest.mark.parametrize("whole, bits, message", [
    ([[7, -5]], 3, "fc: its whole weights need 4 bits, and may have 3; give it --bits fc=4"),
    ([[300, -5]], 8, "fc: its whole weights need 10 bits, and may have 8; a device has weights"),
])
def test_weights_that_are_too_wide(whole, bits, message):
    with pytest.raises(ConversionError, match=message):
        made(lowered(whole, [0.1], [0.0], step=0.1, levels=3), bits=bits)


def test_weights_that_are_not_whole(caplog):
    layers = lowered([[1, 2]], [0.1], [0.0], step=0.1, levels=3)
    layers.layers[0].terms[0].weight[0, 0] *= 1.5
    kept, widths, shares = keep_whole(layers, {"fc": 8, "out": 8}, LEVELS_IN)
    assert (kept.layers, widths["fc"], shares) == (layers.layers, 8, {})
    assert "fc: its whole weights have no common unit, so they are quantised again" in caplog.text


def test_a_residual_in_another_unit(caplog):
    layers = lowered([[1, 0], [0, 1]], [0.1, 0.1], [0.0, 0.0], step=0.1, levels=3)
    fire, out = layers.layers
    identity = Term("add", INPUT, INPUT, 1.0, torch.ones(2, 1, 1, 1), groups=2, wide=True,
                    identity=True)
    for times, kept in ((10, True), (3.7, False)):
        both = Fire("fc", (term([[1, 2], [2, 1]], [1 / times] * 2), identity), fire.bias, "act",
                    fire.step, fire.levels)
        network = of((both, out), layers.input_shape, layers.module)
        _, _, shares = keep_whole(network, {"fc": 8, "out": 8}, LEVELS_IN)
        assert (shares == {"fc": 0.0}) is kept
    assert "no common unit" in caplog.text


def readout(unit, bias):
    out = Out("out", (term([[1, 2], [-3, 4], [5, 0]], unit),), torch.tensor(bias))
    return of((out,), (2, 1, 1), nn.Module())


@pytest.mark.parametrize("bias", [[0.013, -0.021, 0.2], [0.0125, -0.025, 0.1], [0.0, 0.0, 0.0051]])
def test_scores_keep_their_order(bias):
    kept, widths, shares = keep_whole(readout([0.1] * 3, bias), {"out": 8}, LEVELS_IN)
    model = QuantisedModel(kept, input_levels=LEVELS_IN, bits=widths).eval()
    network = model.to_network("net")
    weights = network.layers[0].synapses[0].weights.reshape(3, 2)
    factor = int(weights[0, 0])
    assert (weights == factor * np.array([[1, 2], [-3, 4], [5, 0]])).all()
    assert factor <= 3
    assert shares == {"out": 0.0}
    pixels = np.array(list(itertools.product(range(LEVELS_IN + 1), repeat=2)))
    logits = weights @ pixels.T + network.layers[0].initial[:, None]
    exact = weights // factor @ pixels.T + np.array(bias)[:, None] * LEVELS_IN / 0.1
    for a, b in itertools.combinations(range(3), 2):
        difference = (exact[a] - exact[b]).round(6)
        assert (np.sign(logits[a] - logits[b]) == np.sign(difference)).all()


def test_scores_of_many_classes_may_change_places(caplog):
    out = Out("out", (term([[7, k] for k in range(8)], [0.1] * 8),),
              torch.linspace(0, 0.01, 8))
    layers = of((out,), (2, 1, 1), nn.Module())
    keep_whole(layers, {"out": 8}, LEVELS_IN)
    assert not caplog.text
    kept, widths, _ = keep_whole(layers, {"out": 6}, LEVELS_IN)
    assert "out: its whole weights are kept, but biases are rounded, so scores that are nearly" in (
        caplog.text)
    assert widths == {"out": 6}
    assert kept.layers[0].scale == pytest.approx(0.1 / LEVELS_IN / 4)


def test_scores_of_several_units_are_quantised_again(caplog):
    layers = readout([0.1, 0.13, 0.07], [0.0] * 3)
    kept, _, shares = keep_whole(layers, {"out": 8}, LEVELS_IN)
    assert (kept.layers, shares) == (layers.layers, {})
    assert "out: its whole weights have no common unit" in caplog.text
