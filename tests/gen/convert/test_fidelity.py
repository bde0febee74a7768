"""Modules that compute something else than their parameters say: converted rightly, or refused."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from gen.convert.conversion import to_quantised
from gen.convert.foreign import Activation
from gen.convert.qcfs import Qcfs
from gen.errors import ConversionError
from gen.ir.layers import Pool

torch.set_num_threads(1)

IMAGES = np.random.default_rng(0).random((60, 2, 9, 9), dtype=np.float32)


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), Qcfs(7, 0.1), nn.AvgPool2d(2), nn.Identity(), nn.Flatten(),
        nn.Linear(32, 5)).eval()


def agreement(module, **options):
    """Share of the images that the integers decide as the module does."""
    quantised, _, scores = to_quantised(module, IMAGES, **options)
    network = quantised.to_network("net")
    pixels = np.floor(IMAGES * 255 + 0.5).astype(np.int64)
    own = module(torch.from_numpy(IMAGES))
    assert torch.equal(own, scores)
    return (network.predict(pixels).argmax(1) == own.argmax(1).numpy()).mean()


def pruned(module):
    for layer in module[0], module[4], module[9]:
        prune.l1_unstructured(layer, "weight", 0.7)
    # Until the next forward the weight is that of before the state was loaded.
    module.load_state_dict({key: value + 0.05 * torch.randn(value.shape)
                            if key.endswith("_orig") else value
                            for key, value in module.state_dict().items()})


def normed(norm):
    def make(module):
        for layer in module[0], module[4], module[9]:
            norm(layer)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name.endswith(("_g", "original0")):
                    parameter.mul_(torch.rand(parameter.shape) + 0.5)
        module.train()(torch.from_numpy(IMAGES))
    return make


MADE_BY_HOOKS = {
    "pruned": pruned,
    "weight norm": normed(parametrizations.weight_norm),
    "spectral norm": normed(parametrizations.spectral_norm),
    "old spectral norm": normed(torch.nn.utils.spectral_norm),
}


@pytest.mark.parametrize("change", MADE_BY_HOOKS.values(), ids=MADE_BY_HOOKS)
def test_a_weight_that_is_made_is_read_as_it_is_made(change):
    module = net()
    change(module)
    assert agreement(module, levels=63) > 0.95


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_old_weight_norm():
    module = net()
    normed(torch.nn.utils.weight_norm)(module)
    assert agreement(module, levels=63) > 0.95


def double(module, args, result):
    return result * 2


def shift(module, args):
    return (args[0] + 0.5,)


def forgetful(module):
    """The weight is another one at each call."""
    def forward(x, own=module[4].forward):
        module[4].weight.data.mul_(1.5)
        return own(x)
    module[4].forward = forward


def stubborn(module):
    module[1].eval = module[1].train = lambda *mode: module[1]
    module[1].training = True


def tied(module):
    """Two batch norms that move one another's statistics, in training mode."""
    module.insert(5, nn.BatchNorm2d(8))
    module[5].running_mean = module[1].running_mean
    module[5].eval()
    stubborn(module)


def halve(module, args, result):
    return result[:, ::2]


def mirror(module, args, result):
    return 2 * module.bias - result


def behind_a_bias(module):
    module[9].bias.data.fill_(1e4)
    module[9].register_forward_hook(mirror)


def swap(module, args, result):
    return result[:, [0, 2, 3, 4, 1]]


def behind_a_class(module):
    module[9].bias.data[0] = -1e6
    module.register_forward_hook(swap)


def pair(module, args, result):
    return result, result


CHANGED = {
    "hook on a convolution": (lambda m: m[4].register_forward_hook(double),
                              "4: ", "4 (Conv2d) has the forward hook double"),
    "hook on a norm": (lambda m: m[1].register_forward_hook(double),
                       "0: ", "1 (BatchNorm2d) has the forward hook double"),
    "hook on a ReLU": (lambda m: m[2].register_forward_hook(double),
                       "0: ", "2 (ReLU) has the forward hook double"),
    "hook on a pool": (lambda m: m[3].register_forward_hook(double),
                       "3: ", "3 (MaxPool2d) has the forward hook double"),
    "hook on an average": (lambda m: m[6].register_forward_hook(double),
                           "6: ", "6 (AvgPool2d) has the forward hook double"),
    "hook on an identity": (lambda m: m[7].register_forward_hook(double),
                            "9: ", "7 (Identity) has the forward hook double"),
    "hook on the last": (lambda m: m[9].register_forward_hook(double),
                         "9: ", "9 (Linear) has the forward hook double"),
    "hook before": (lambda m: m[0].register_forward_pre_hook(shift),
                    "0: ", "0 (Conv2d) has the forward pre-hook shift"),
    "hook on the module": (lambda m: m.register_forward_hook(double),
                           "the module itself gives other scores",
                           "it (Sequential) has the forward hook double"),
    "hook before the module": (lambda m: m.register_forward_pre_hook(shift),
                               "the module itself gives other scores",
                               "it (Sequential) has the forward pre-hook shift"),
    "hook on a Qcfs": (lambda m: m[5].register_forward_hook(double),
                       "5: this activation is not", "5 (Qcfs) has the forward hook double"),
    "half the scores": (lambda m: m[9].register_forward_hook(halve),
                        "9: gives the shape (16, 3), where the parameters say (16, 5, 1, 1)",
                        "9 (Linear) has the forward hook halve"),
    "two results": (lambda m: m[9].register_forward_hook(pair), "9: gives tuple, where the ",
                    "9 (Linear) has the forward hook pair"),
    "behind a bias": (behind_a_bias, "9: ", "9 (Linear) has the forward hook mirror"),
    "behind a class": (behind_a_class, "the module itself gives other scores",
                       "it (Sequential) has the forward hook swap"),
    "two results of the module": (lambda m: m.register_forward_hook(pair),
                                  "the module itself: gives tuple, where the parameters say ",
                                  "it (Sequential) has the forward hook pair"),
    "another forward": (lambda m: setattr(m[4], "forward", lambda x: 2 * x),
                        "4: ", "4 (Conv2d) has had its forward replaced"),
    "another weight each time": (forgetful, "4: ", "4 (Conv2d) has had its forward replaced"),
    "training mode": (stubborn, "0: ", "1 (BatchNorm2d) stays in training mode"),
    "a shared buffer": (tied, "0: ", "1 (BatchNorm2d) shares its running_mean with 5.running_mean"),
}


@pytest.mark.parametrize("change, first, seen", CHANGED.values(), ids=CHANGED)
def test_what_parameters_do_not_say_is_refused(change, first, seen):
    module = net()
    change(module)
    with pytest.raises(ConversionError) as error:
        to_quantised(module, IMAGES)
    message = str(error.value)
    assert message.startswith(first)
    assert seen in message
    assert "\n" not in message
    assert len(message) <= 500
    if first.endswith(": "):
        assert re.search(r"(\d+%|0\.\d+) of the (sums|values) differ, by up to \S+ where they "
                         r"reach \S+; ", message)


class InPlace(nn.Module):
    """Changes a sum that it uses again, or whose change nobody seems to use."""

    def __init__(self, unused):
        super().__init__()
        self.a, self.b, self.unused = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1), unused
        self.out = nn.Linear(196, 3)

    def forward(self, x):
        y = self.a(x)
        if self.unused:
            y.add_(y)
            z = self.b(F.relu(y))
        else:
            z = self.b(F.relu(y, inplace=True)) + y
        return self.out(F.relu(z).flatten(1))


@pytest.mark.parametrize("unused, first", [(False, "b: "), (True, "the module itself gives ")])
def test_computing_in_place_is_refused_where_it_matters(unused, first):
    torch.manual_seed(0)
    with pytest.raises(ConversionError, match=f"^{first}.*change nothing in place that it uses"):
        to_quantised(InPlace(unused), IMAGES)


class Act(nn.Module):
    """Somebody's activation, with its step and levels."""

    def __init__(self, step=0.1, levels=7, **claimed):
        super().__init__()
        self.claimed, self._step, self._levels = {"step": step, "levels": levels} | claimed, \
            step, levels

    def __getattr__(self, name):
        return self.claimed[name] if name in ("step", "levels") else super().__getattr__(name)

    def forward(self, x):
        return (x / self._step + 0.5).floor().clamp(0, self._levels) * self._step


def foreign(**claimed):
    module = net()
    module[5] = Act(**claimed)
    return module


@pytest.mark.parametrize("claimed", [
    {"step": 0.4}, {"step": 0.2}, {"step": 0.15}, {"step": 0.1001}, {"step": 0.05},
    {"step": 0.025, "levels": 28}, {"levels": 6}, {"levels": 8}, {"levels": 100},
], ids=str)
def test_a_foreign_activation_is_compared_with_its_own_grid(claimed):
    with pytest.raises(ConversionError, match=r"^5: this activation is not step \* clip.* of its "
                                              r"values differ \(the positive ones are 0\.1 to "):
        module = foreign()
        module[5].claimed.update(claimed)
        to_quantised(module, IMAGES, activation=Activation("Act"))


@pytest.mark.parametrize("step, levels", [(0.1, 7), (0.37, 1), (1 / 3, 3), (1e-3, 1023)])
def test_a_foreign_activation_that_is_right(step, levels):
    module = foreign(step=step, levels=levels)
    quantised, _lowered, _ = to_quantised(module, IMAGES, activation=Activation("Act"))
    assert quantised.to_network("net").levels["4"] == levels


def test_large_offsets_are_rounding():
    """A batch norm that takes away a large mean again."""
    module = net()
    with torch.no_grad():
        module[0].bias.fill_(300)
        module[1].running_mean.fill_(300)
    assert agreement(module, levels=63) > 0.95


def test_layers_without_spikes():
    module = net()
    with torch.no_grad():
        module[4].weight.zero_()
        module[4].bias.zero_()
    _, lowered, _ = to_quantised(module, IMAGES)
    assert sum(isinstance(layer, Pool) for layer in lowered.layers) == 2


def test_a_large_channel_does_not_hide_a_small_one():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5))
    with torch.no_grad():
        module[1].bias[0] = 1e4
        module[3].weight[:, 0] = 0
    flip = torch.tensor([1.0, *[-1.0] * 7])
    images = np.random.default_rng(0).random((50, 1, 4, 4), np.float32)
    to_quantised(module, images)
    module[1].register_forward_hook(lambda _, __, result: result * flip)
    with pytest.raises(ConversionError, match=r"^1: the module computes something else here .*"
                                              r"1 \(Linear\) has the forward hook"):
        to_quantised(module, images)


def brighten(module, args):
    return (args[0] * 2,)


class TwoSteps(nn.Module):
    """A ReLU whose node of the graph has the name of a Qcfs in the module."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(162, 16), nn.Linear(16, 16), nn.Linear(16, 5)
        self.relu = Qcfs(15, 4.0)
        with torch.no_grad():
            self.b.weight.mul_(100)

    def forward(self, x):
        return self.c(self.relu(self.b(F.relu(self.a(x.flatten(1))))))


def test_steps_of_one_name():
    torch.manual_seed(0)
    module = TwoSteps()
    _, lowered, _ = to_quantised(module, IMAGES)
    assert lowered.layers[0].step < 0.5
    assert lowered.layers[1].step == 4
    assert agreement(module, levels=63) > 0.9


@pytest.mark.parametrize("value", [0, 1])
def test_images_that_are_all_alike_hide_nothing(value):
    module = net()
    module[0].register_forward_pre_hook(brighten)
    with pytest.raises(ConversionError, match=r"^0: .* pre-hook brighten$"):
        to_quantised(module, np.full_like(IMAGES, value))


def test_hooks_of_all_modules_are_named():
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, args, result: result * 2 if isinstance(module, nn.Linear) else None)
    try:
        with pytest.raises(ConversionError, match=r"; all modules have the forward hook "):
            to_quantised(net(), IMAGES)
    finally:
        hook.remove()
