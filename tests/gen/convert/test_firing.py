"""Methods and schedules: what contradicts itself, what a plain ReLU becomes, and quiet."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from gen.convert.calibration import calibrate
from gen.convert.conversion import to_quantised
from gen.convert.firing import Firing
from gen.convert.lower import lower
from gen.convert.methods import quiet_steps
from gen.convert.qcfs import ClipQuan, Qcfs
from gen.convert.quantised import QuantisedModel
from gen.errors import ConversionError
from hw.dynamics import Dynamics

torch.set_num_threads(1)

PIXELS = np.random.default_rng(0).integers(0, 16, (60, 6))

ONCE = "in the schedule 'settle' neurons fire once, so {} means nothing; leave it out, or take "


def mlp(activation=nn.ReLU, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 9), activation(), nn.Linear(9, 8), activation(),
                         nn.Linear(8, 7), activation(), nn.Linear(7, 4))


def converted(firing, *, module=None, levels=None, seed=0):
    """The network, what is said about it, and the calibrated layers."""
    quantised, lowered, _ = to_quantised(
        module or mlp(seed=seed), PIXELS / np.float32(15), levels=levels, input_levels=15,
        firing=firing)
    network = quantised.to_network("net", pixel_max=15)
    return *firing.applied(network, PIXELS[:, :, None, None], quantised.floor), lowered


def values(lowered, quantise):
    """Activations of each layer in real numbers, with rounded weights left out."""
    now = torch.from_numpy(PIXELS / np.float32(15)).double()
    for layer in lowered.neurons:
        (term,) = layer.terms
        now = now @ term.weight.flatten(1).double().T + layer.bias.double()
        now = quantise(now, layer)
        yield layer.name, now


@pytest.mark.parametrize("options, message", [
    ({"schedule": "settel"}, "there is no schedule 'settel'; did you mean 'settle'?"),
    ({"schedule": "step"}, "the schedule 'step' needs a method (--method)"),
    ({"timesteps": 3}, "--timesteps needs a method (--method)$"),
    ({"sleep": 0}, "--sleep needs --method casc$"),
    ({"until_quiet": True}, "--until-quiet needs --method casc or st-bif$"),
    ({"burst": 3}, "--burst needs --method group or burst$"),
    ({"probe": 3}, "--probe needs --method srp$"),
    ({"schedule": "settle", "timesteps": 4},
     ONCE.format("--timesteps") + "a method and the schedule 'step' (--method, --schedule)$"),
    ({"schedule": "settle", "until_quiet": True},
     ONCE.format("--until-quiet")),
    ({"method": "qfcs"}, "there is no method 'qfcs'; did you mean 'qcfs'?"),
    ({"method": "qcfs", "timesteps": 0}, "there must be at least 1 time-step, not 0"),
    ({"method": "qcfs", "sleep": 0}, "qcfs has no steps of sleep; casc has"),
    ({"method": "st-bif", "sleep": 2}, "st-bif has no steps of sleep; casc has"),
    ({"method": "qcfs", "schedule": "settle", "timesteps": 4},
     ONCE.format("--timesteps") + "the schedule 'step' (--schedule)$"),
    ({"method": "casc", "schedule": "settle", "sleep": 4},
     ONCE.format("--sleep")),
    ({"method": "casc", "schedule": "settle", "until_quiet": True},
     ONCE.format("--until-quiet")),
    ({"method": "group", "schedule": "settle", "burst": 3},
     ONCE.format("--burst")),
    ({"method": "threshold-balance", "schedule": "settle", "timesteps": 4, "probe": 3},
     ONCE.format("--probe")),
    ({"method": "qcfs", "until_quiet": True},
     "qcfs does not wait until neurons are quiet; casc and st-bif do"),
    ({"method": "casc", "until_quiet": True, "sleep": 3},
     "--sleep fixes the number of sleep steps, --until-quiet looks for it; give one of them$"),
    ({"method": "st-bif", "until_quiet": True, "timesteps": 3},
     "--timesteps fixes the number of time-steps, --until-quiet looks for it; give one of them$"),
])
def test_contradictions(options, message):
    whole = message.removesuffix("$")
    with pytest.raises(ConversionError, match=f"^{re.escape(whole)}{message[len(whole):]}"):
        Firing(**options)


@pytest.mark.parametrize("options, given, levels", [
    ({}, None, 15), ({}, 7, 7), ({"method": "qcfs", "timesteps": 4}, None, 15),
    ({"method": "st-bif", "timesteps": 4}, None, 15), ({"method": "casc"}, None, 15),
    ({"method": "casc", "timesteps": 8}, None, 8), ({"method": "casc", "timesteps": 8}, 4, 4),
    ({"method": "threshold-balance", "timesteps": 8}, None, 8),
    ({"method": "threshold-balance", "timesteps": 8}, 8, 8),
    ({"method": "threshold-balance", "schedule": "settle", "timesteps": 8}, None, 8),
])
def test_levels(options, given, levels):
    assert Firing(**options).levels(given) == levels


def test_levels_and_time_steps_of_threshold_balance_are_one():
    with pytest.raises(ConversionError, match=r"^threshold-balance has as many levels as time-"):
        Firing("threshold-balance", timesteps=4).levels(5)


@pytest.mark.parametrize("schedule", ["settle", "step"])
@pytest.mark.parametrize("method", ["qcfs", "threshold-balance", "casc", "st-bif", "group", "srp"])
def test_a_plain_relu_takes_any_method(method, schedule):
    network, told, _ = converted(Firing(method, schedule), levels=4)
    assert network.metadata["method"] == told["method"] == method
    assert network.metadata["schedule"] == told["schedule"] == schedule
    assert (network.dynamics is not None) == (schedule == "step")
    counts = network.encode(PIXELS)
    settled, _, _ = converted(Firing(method, "settle"), levels=4)
    ann = settled.run(counts)
    again = network.quantised(counts)
    assert all(np.array_equal(again.counts[layer.name], ann.counts[layer.name])
               for layer in network.neurons)
    if method in {"casc", "st-bif"}:
        assert np.array_equal(network.predict(PIXELS), settled.predict(PIXELS))


def test_time_steps_of_one_spike_are_phases():
    network, told, _ = converted(Firing("one-spike", timesteps=5), levels=4)
    assert (told["timesteps"], told["phases"]) == (1, 5)
    assert (network.metadata["timesteps"], network.metadata["phases"]) == (1, 5)
    _, told, _ = converted(Firing("group"), levels=4)
    assert "phases" not in told


@pytest.mark.parametrize("timesteps", [1, 2, 5, 8, 16])
def test_threshold_balance(timesteps):
    """A floor of T levels, up to the greatest activation; the shift comes in equal shares, so that
    the first layer is exact after the last time-step."""
    firing = Firing("threshold-balance", timesteps=timesteps)
    network, told, lowered = converted(firing)
    assert network.dynamics == Dynamics(timesteps)
    assert told["timesteps"] == timesteps
    real = [now.max() for _, now in values(lowered, lambda z, layer: z.clamp_min(0))]
    for layer, greatest in zip(lowered.neurons, real, strict=True):
        assert layer.levels * layer.step == pytest.approx(float(greatest), rel=1e-5)
    counts = network.encode(PIXELS)
    trace, ann = network.run(counts), network.quantised(counts)
    first = lowered.neurons[0].name
    assert np.array_equal(trace.counts[first], ann.counts[first])
    wanted = dict(values(lowered, lambda z, layer: layer.step * (
        z / layer.step + 0.5).floor().clamp(0, layer.levels)))
    rounded = torch.from_numpy(ann.counts[first]).flatten(1) * lowered.neurons[0].step
    assert (rounded - wanted[first]).abs().mean() < 0.1 * lowered.neurons[0].step


def test_the_shift_of_threshold_balance_comes_in_shares():
    """Half a threshold in all, none of it before the first step but what does not divide."""
    quantised, _, _ = to_quantised(mlp(), PIXELS / np.float32(15), levels=4, input_levels=15,
                                   firing=Firing("threshold-balance"))
    once = quantised.to_network("net", pixel_max=15)
    network, _ = Firing("threshold-balance").applied(once, PIXELS[:, :, None, None])
    first, *others = zip(once.neurons, network.neurons, strict=True)
    before, after = first
    assert np.array_equal(after.threshold, 4 * before.threshold)
    assert np.array_equal(after.bias, before.initial)
    assert not after.initial.any()
    for before, after in others:
        assert np.array_equal(after.threshold, before.threshold)
        assert np.array_equal(4 * after.bias + after.initial, before.initial)
        assert after.initial.min() >= 0
        assert after.initial.max() < 4


def test_threshold_balance_takes_no_other_activation():
    with pytest.raises(ConversionError, match=r"^0: threshold-balance needs plain ReLUs, whose "):
        converted(Firing("threshold-balance"), module=mlp(lambda: Qcfs(3)))


def test_a_cap_bounds_the_range():
    firing = Firing("threshold-balance", timesteps=4)
    _, _, lowered = converted(firing, module=mlp(lambda: nn.Hardtanh(0, 0.125)))
    assert [layer.step for layer in lowered.neurons] == [0.03125] * 3
    _, _, lowered = converted(firing, module=mlp(nn.ReLU6))
    assert all(0 < layer.step < 1 for layer in lowered.neurons)


@pytest.mark.parametrize("low, high", [(float("-inf"), 1.0)])
def test_other_caps_are_refused(low, high):
    with pytest.raises(ConversionError, match=r"^1 \(Hardtanh\): must be clipped between two num"):
        lower(mlp(lambda: nn.Hardtanh(low, high)), (6,))


def test_casc_rounds_a_plain_relu_down():
    network, _, lowered = converted(Firing("casc", "settle"), levels=6)
    assert all(layer.floor for layer in lowered.neurons)
    images = PIXELS / np.float32(15)
    nearest, _ = calibrate(mlp(), lower(mlp(), (6,)), images, 6)
    assert not any(layer.floor for layer in nearest.neurons)
    first, layer = network.neurons[0], lowered.neurons[0]
    wanted = np.floor(layer.bias.double().numpy() * first.threshold / layer.step + 0.5)
    assert np.array_equal(first.initial, wanted)


@pytest.mark.parametrize("method", ["qcfs", "casc", "st-bif"])
def test_own_activations_keep_their_rounding(method):
    for activation, floor in ((ClipQuan, True), (Qcfs, False)):
        network, _, lowered = converted(Firing(method), module=mlp(lambda a=activation: a(4)))
        assert [layer.floor for layer in lowered.neurons] == [floor] * 3
        if method != "st-bif":
            half = network.neurons[0].threshold >> 1
            assert np.array_equal(network.neurons[0].initial, 0 * half if floor else half)


def test_the_quantised_model_rounds_down():
    lowered = lower(mlp(lambda: ClipQuan(4)), (6,))
    quantised = QuantisedModel(lowered, input_levels=15).eval()
    network = quantised.to_network("net", pixel_max=15)
    counts = network.encode(PIXELS)
    trace = network.run(counts)
    with torch.no_grad():
        theirs = quantised.trace(torch.from_numpy(counts))
    for name, value in trace.counts.items():
        assert np.array_equal(value, theirs[name].numpy()), name
    assert any(trace.counts[layer.name].any() for layer in network.neurons)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("method", ["casc", "st-bif"])
def test_until_quiet(method, seed):
    network, told, _ = converted(Firing(method, until_quiet=True), levels=6, seed=seed)
    steps = network.dynamics.timesteps
    assert told["quiet_bound"] == 6 + 2 * 5
    assert told["timesteps"] == steps == max(told["quiet_steps"] + 1, 6 if method == "casc" else 1)
    assert told["quiet"] == 1
    images = PIXELS[:, :, None, None]
    assert quiet_steps(network, images)[1] == 1
    if steps > (6 if method == "casc" else 1):
        fewer = {"sleep": steps - 7} if method == "casc" else {"timesteps": steps - 1}
        less, _, _ = converted(Firing(method, **fewer), levels=6, seed=seed)
        assert less.dynamics.timesteps == steps - 1
        assert quiet_steps(less, images)[1] < 1


@pytest.mark.parametrize("method", ["casc", "st-bif"])
@pytest.mark.parametrize("until_quiet", [True, False])
def test_without_neurons(method, until_quiet):
    with pytest.raises(ConversionError, match=r"^net has no neurons, so it takes no time-steps$"):
        converted(Firing(method, until_quiet=until_quiet), module=nn.Sequential(nn.Linear(6, 4)))


def test_until_quiet_takes_one_cycle():
    with pytest.raises(ConversionError, match=r"^casc is awake for as many time-steps as the neur"):
        converted(Firing("casc", timesteps=8, until_quiet=True), levels=4)


def test_until_quiet_beyond_the_greatest_number_of_steps(monkeypatch):
    monkeypatch.setattr("gen.convert.firing.MOST_STEPS", 2)
    with pytest.raises(ConversionError, match=r"^after 2 time-steps, the most that there can be, "):
        converted(Firing("st-bif", until_quiet=True), levels=15)
