"""Neurons of snnTorch, SpikingJelly and Sinabs, written again from their documentation.

They have the names, the places and the attributes of the originals, and nothing else of them: the
tests of what they compute do not need the packages.

* snnTorch 1.0, ``snntorch.Leaky``: ``U[t+1] = beta U[t] + I[t+1] - R U_thr``, ``R`` being the spike
  of ``U[t]``; or, with the reset to zero, without what is left of ``U[t]``. ``S = U > U_thr``.
* snnTorch 1.0, ``snntorch.RLeaky``: the same, and ``I[t+1]`` has ``V S[t]``, too, ``V`` being
  ``recurrent``: a linear layer, or a weight for each neuron.
* snnTorch 1.0, ``snntorch.Synaptic`` and ``RSynaptic``: ``I[t+1] = alpha I[t] + X[t+1]``, and the
  rest as before.
* SpikingJelly 2.0, ``activation_based.neuron``: charge ``H = V + X``, or ``H = V + (X - (V -
  V_reset)) / tau``, or ``X`` whole without ``decay_input``; ``S = H >= V_th``; hard reset ``V =
  V_reset`` where ``S``, soft reset ``V = H - V_th S``. In the step mode "m" the first axis is time.
* Sinabs 3.1, ``layers.IAFSqueeze``: ``V += I``, ``floor(V / V_th)`` spikes, each of which subtracts
  the threshold. Samples and time-steps share the first axis.
"""

import torch
from torch import nn


class SpikingNeuron(nn.Module):
    __module__ = "snntorch._neurons.neurons"


class Leaky(SpikingNeuron):
    __module__ = "snntorch._neurons.leaky"

    def __init__(self, beta, threshold=1.0, reset_mechanism="subtract"):
        super().__init__()
        self.register_buffer("beta", torch.tensor(beta))
        self.register_buffer("threshold", torch.tensor(threshold))
        self.reset_mechanism, self.reset_delay = reset_mechanism, True
        self.inhibition, self.state_quant, self.graded_spikes_factor = False, False, 1.0
        self.mem = torch.zeros(())

    def reset_mem(self):
        self.mem = torch.zeros(())

    def forward(self, x):
        reset = (self.mem > self.threshold).to(x)
        if self.reset_mechanism == "zero":
            self.mem = self.beta * (1 - reset) * self.mem + x
        else:
            self.mem = self.beta * self.mem + x - reset * self.threshold
        return (self.mem > self.threshold).to(x)


class OneByOne(nn.Module):
    """A weight for each neuron."""

    def __init__(self, weights):
        super().__init__()
        self.V = nn.Parameter(weights)

    def forward(self, spikes):
        return self.V * spikes


class RLeaky(Leaky):
    __module__ = "snntorch._neurons.rleaky"

    def __init__(self, beta, recurrent, **options):
        super().__init__(beta, **options)
        self.recurrent = recurrent

    def reset_mem(self):
        super().reset_mem()
        self.spk = None

    def forward(self, x):
        spikes = torch.zeros_like(x) if self.spk is None else self.spk
        self.spk = super().forward(x + self.recurrent(spikes))
        return self.spk


class RSynaptic(RLeaky):
    __module__ = "snntorch._neurons.rsynaptic"

    def __init__(self, alpha, beta, recurrent, **options):
        super().__init__(beta, recurrent, **options)
        self.register_buffer("alpha", torch.tensor(alpha))

    def reset_mem(self):
        super().reset_mem()
        self.syn = torch.zeros(())

    def forward(self, x):
        spikes = torch.zeros_like(x) if self.spk is None else self.spk
        self.syn = self.alpha * self.syn + x + self.recurrent(spikes)
        self.spk = Leaky.forward(self, self.syn)
        return self.spk


class Synaptic(RSynaptic):
    __module__ = "snntorch._neurons.synaptic"

    def __init__(self, alpha, beta, **options):
        super().__init__(alpha, beta, None, **options)

    def forward(self, x):
        self.syn = self.alpha * self.syn + x
        return Leaky.forward(self, self.syn)


class BaseNode(nn.Module):
    __module__ = "spikingjelly.activation_based.neuron.base_node"

    def __init__(self, v_threshold=1.0, v_reset=0.0, step_mode="s"):
        super().__init__()
        self.v_threshold, self.v_reset, self.step_mode = v_threshold, v_reset, step_mode
        self.reset()

    def reset(self):
        self.v = torch.tensor(0.0 if self.v_reset is None else self.v_reset)

    def charge(self, x):
        raise NotImplementedError

    def once(self, x):
        self.charge(x)
        spike = (self.v >= self.v_threshold).to(x)
        if self.v_reset is None:
            self.v = self.v - spike * self.v_threshold
        else:
            self.v = torch.where(spike > 0, torch.tensor(self.v_reset), self.v)
        return spike

    def forward(self, x):
        return torch.stack([self.once(now) for now in x]) if self.step_mode == "m" else self.once(x)


class IFNode(BaseNode):
    __module__ = "spikingjelly.activation_based.neuron.integrate_and_fire"

    def charge(self, x):
        self.v = self.v + x


class LIFNode(BaseNode):
    __module__ = "spikingjelly.activation_based.neuron.lif"

    def __init__(self, tau=2.0, decay_input=True, **options):
        super().__init__(**options)
        self.tau, self.decay_input = tau, decay_input

    def charge(self, x):
        rest = self.v_reset or 0.0
        self.v = self.v + ((rest - self.v + x) / self.tau if self.decay_input else
                           (rest - self.v) / self.tau + x)


class Over(nn.Module):
    """A layer of SpikingJelly in step mode "m": a module for all time-steps."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class MultiSpike:
    pass


class MembraneSubtract:
    subtract_value = None


class StatefulLayer(nn.Module):
    __module__ = "sinabs.layers.stateful_layer"


class IAFSqueeze(StatefulLayer):
    __module__ = "sinabs.layers.iaf"

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size, self.spike_threshold = batch_size, nn.Parameter(torch.tensor(1.0), False)
        self.spike_fn, self.reset_fn = MultiSpike, MembraneSubtract()
        self.tau_syn = self.min_v_mem = None

    def reset_states(self):
        self.v_mem = torch.zeros(())

    def forward(self, x):
        out = []
        for now in x.unflatten(0, (self.batch_size, -1)).transpose(0, 1):
            self.v_mem = self.v_mem + now
            out.append((self.v_mem > 0) * torch.floor(self.v_mem / self.spike_threshold))
            self.v_mem = self.v_mem - out[-1] * self.spike_threshold
        return torch.stack(out, 1).flatten(0, 1)


class Loop(nn.Module):
    """As in snnTorch's tutorials: ``forward`` runs the time-steps."""

    def __init__(self, steps=10):
        super().__init__()
        self.steps, self.conv, self.norm = steps, nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.pool, self.lif1 = nn.AvgPool2d(2), Leaky(0.9)
        self.fc, self.lif2 = nn.Linear(80, 10), Leaky(0.75, 0.5)

    def forward(self, x):
        out = []
        for _ in range(self.steps):
            spikes = self.lif1(self.pool(self.norm(self.conv(x))))
            out.append(self.lif2(self.fc(spikes.flatten(1))))
        return torch.stack(out)


def leaky(reset="subtract"):
    return nn.Sequential(nn.Linear(64, 30), Leaky(0.875, reset_mechanism=reset),
                         nn.Linear(30, 10), Leaky(0.5, 0.75, reset))


def recurrent():
    return nn.Sequential(nn.Linear(64, 30), RLeaky(0.875, nn.Linear(30, 30)), nn.Linear(30, 10),
                         RLeaky(0.5, OneByOne(torch.linspace(-0.5, 0.25, 10))))


def synaptic():
    return nn.Sequential(nn.Linear(64, 30), RSynaptic(0.75, 0.875, nn.Linear(30, 30)),
                         nn.Linear(30, 10), Synaptic(0.5, 0.75, threshold=2.0))


def leaky_zero():
    return leaky("zero")


def loop():
    return Loop()


def soft():
    return nn.Sequential(nn.Linear(64, 30), IFNode(v_reset=None), nn.Linear(30, 10),
                         LIFNode(4.0, v_reset=None))


def hard():
    return nn.Sequential(nn.Linear(64, 30), LIFNode(2.0, v_reset=-0.25), nn.Linear(30, 10),
                         LIFNode(4.0, decay_input=False))


def multi():
    return nn.Sequential(
        Over(nn.Conv2d(2, 4, 3, padding=1)), IFNode(step_mode="m"), Over(nn.AvgPool2d(2)),
        Over(nn.Flatten()), Over(nn.Linear(64, 20)), LIFNode(2.0, step_mode="m"),
        Over(nn.Linear(20, 10)), LIFNode(4.0, decay_input=False, step_mode="m"))


def sinabs(batch_size=40):
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), IAFSqueeze(batch_size),
                         nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 10, bias=False),
                         IAFSqueeze(batch_size))


def lively(make, seed=1, factor=3.0):
    """A module whose neurons spike neither never nor always."""
    torch.manual_seed(seed)
    module = make().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter *= factor
    return module
