"""Other people's classes; stand-ins have the names and the ancestry of the real ones."""

import re
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from gen.convert.foreign import Activation
from gen.convert.lower import lower
from gen.errors import ConversionError


def stand_in(package, *names):
    """Classes of a package that is not installed: each is the base of the next."""
    base = nn.Module
    for name in names:
        module = ModuleType(package)
        base = type(name, (base,), {"__module__": package, "forward": spikes})
        setattr(module, name, base)
    return base


def spikes(self, x):
    """A neuron with a membrane: nothing that can be traced."""
    self.v = getattr(self, "v", 0) + x
    return (self.v > 1).float() if self.v.sum() > 0 else x


def around(layer):
    return nn.Sequential(nn.Linear(4, 3), nn.Sequential(layer), nn.Linear(3, 2))


@pytest.mark.parametrize("package, names, known", [
    ("spikingjelly.activation_based.neuron", ["BaseNode", "IFNode"], "SpikingJelly"),
    ("spikingjelly.clock_driven.neuron", ["LIFNode"], "SpikingJelly"),
    ("snntorch._neurons.leaky", ["SpikingNeuron", "Leaky"], "snnTorch"),
])
def test_spiking_layers(package, names, known):
    layer = stand_in(package, *names)()
    message = (f"1.0 ({names[-1]}): is a layer of {known}, which simulates neurons step by step; "
               f"such networks can't be converted: give ")
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}"):
        lower(around(layer), (4,))
    assert package.partition(".")[0] not in sys.modules


def test_a_class_derived_from_a_spiking_layer():
    base = stand_in("snntorch._neurons.leaky", "Leaky")
    with pytest.raises(ConversionError, match=r"^1.0 \(Mine\): is a layer of snnTorch, "):
        lower(around(type("Mine", (base,), {"__module__": "mine"})()), (4,))


class IF(nn.Module):
    """As QCFS' authors have it: quantised with T = 0, else spiking in T time-steps."""

    def __init__(self, T=0, L=8, thresh=8.0):
        super().__init__()
        self.thresh, self.L, self.T = nn.Parameter(torch.tensor([thresh])), L, T

    def forward(self, x):
        if self.T > 0:
            x = x.view(self.T, -1, *x.shape[1:])
            v, out = 0.5 * self.thresh, []
            for t in range(self.T):
                v = v + x[t]
                out.append((v >= self.thresh).float() * self.thresh)
                v = v - out[-1]
            return torch.stack(out).flatten(0, 1)
        return torch.floor(torch.clamp(x / self.thresh, 0, 1) * self.L + 0.5) / self.L * self.thresh


@pytest.mark.parametrize("activation", [None, Activation("IF", "thresh/L", "L")])
def test_qcfs_in_time_steps(activation):
    message = ("1.0 (IF): is built with T=4 and simulates 4 time-steps; build it with T=0, "
               "as it was trained, ")
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}"):
        lower(around(IF(T=4)), (4,), activation)


def test_qcfs_as_it_was_trained():
    lowered = lower(around(IF()), (4,), Activation("IF", "thresh/L", "L"))
    assert (lowered.layers[0].step, lowered.layers[0].levels) == (1.0, 8)


def test_another_activation_in_time_steps():
    class Mine(IF):
        def __init__(self):
            super().__init__(T=2)
            del self.L
            self.step, self.levels = 1.0, 3

    with pytest.raises(ConversionError, match=r"^1.0 \(Mine\): is built with T=2 "):
        lower(around(Mine()), (4,), Activation("Mine"))


def test_an_activation_that_is_nowhere():
    message = ("activation 'QCFS': no layer of the module is of this class; its layers are IF, "
               "Linear")
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}$"):
        lower(around(IF()), (4,), Activation("QCFS"))
