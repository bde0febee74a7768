"""The network in integers, as a PyTorch module that can be trained (docs/methods.md, 3).

Thresholds come first (eq. 5): each output channel has a fixed integer ``theta``, which defines the
grid of the weights. The only approximation is the rounding of weights, which training takes into
account::

    W = clip(round(w * theta * s_in / s_out))      B = round(b * theta / s_out)
    n = clip(floor((B + (theta >> 1) + sum W n_in) / theta), 0, levels)

A layer that rounds down has no ``theta >> 1``. Counts of a symmetric layer are clipped at
``-levels``; in the network they are pairs of neurons (:mod:`gen.convert.pairs`). ``s_in`` is the
step of the arriving counts, divided by the window of an average pooling. ``round`` is half up. The
read-out has one scale ``u`` for all classes: ``W = round(w * s_in / u)``.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from gen.errors import ConversionError
from gen.ir.exact import check_levels
from gen.ir.layers import INPUT
from gen.ir.network import Network

from .integers import Charged, Quantised, Sum, quantised_layer
from .lowered import Fire, Lowered
from .widths import Bits, layer_bits

__all__ = ["QuantisedModel"]

# Range of steps in which float32 does not lose digits in training.
_STEPS = (1e-30, 1e30)

# Least value of a trained step, relative to its initial value.
_LEAST = 1e-6


class QuantisedModel(nn.Module):
    """A module that takes spike counts, computes what the hardware computes, and returns scores.

    In evaluation mode all numbers are integers in float64. They are exact if :meth:`to_network`
    makes a valid network: then :meth:`trace` agrees with :meth:`Network.run` in every neuron; the
    counts of layers in ``signed`` are differences of two neurons. In
    training mode the same is computed in float32, which is exact up to 2^24, and weights, biases
    and steps get gradients through the rounding.

    Parameters
    ----------
    lowered : the layers; its ReLUs must be calibrated
    input_levels : greatest input count; an input pixel's value is ``count / input_levels``
    bits : see :func:`gen.convert.widths.layer_bits`

    Members
    -------
    neurons : names of the layers of neurons
    floor : names of those layers whose neurons round down
    signed : names of the layers whose counts have a sign
    steps : the different steps, which are trained

    Raises
    ------
    ConversionError
        If a width, a step, a weight or a bias is out of range.
    ValueError
        If a ReLU is not calibrated.
    """

    input_step: torch.Tensor

    def __init__(self, lowered: Lowered, *, input_levels: int = 255, bits: Bits = 8) -> None:
        super().__init__()
        check_levels(input_levels, "input_levels")
        self.input_shape, self.input_levels = lowered.input_shape, input_levels
        widths = layer_bits(bits, [layer.name for layer in lowered.charged])
        steps = {layer.key: layer.step for layer in lowered.neurons}
        _require_steps(lowered.neurons)
        self.neurons = tuple(layer.name for layer in lowered.neurons)
        self.floor = frozenset(layer.name for layer in lowered.neurons if layer.floor)
        self.signed = lowered.signed
        self.steps = nn.ParameterList(nn.Parameter(torch.tensor(float(s))) for s in steps.values())
        self.register_buffer("input_step", torch.tensor(1 / input_levels, dtype=torch.float64))
        self._keys = {key: k for k, key in enumerate(steps)}
        # Keeps a step positive while it is trained.
        self._least = [step * _LEAST for step in steps.values()]
        self._step_of = {layer.name: layer.key for layer in lowered.neurons}
        self.layers = tuple(quantised_layer(layer, widths, self.step, self.signed)
                            for layer in lowered.layers)
        # PyTorch finds their parameters in a list of its own only.
        self._registered = nn.ModuleList(self.layers)

    def step(self, name: str) -> torch.Tensor:
        """Value of one count of the layer ``name``, before any average pooling: a scalar in
        float64."""
        if name == INPUT:
            return self.input_step
        k = self._keys[self._step_of[name]]
        return self.steps[k].double().clamp_min(self._least[k])

    @property
    def logit_step(self) -> float:
        """Value of one unit of a logit."""
        (readout,) = [layer for layer in self.layers if isinstance(layer, Sum)]
        return float(readout.scale)

    def trace(self, counts: torch.Tensor) -> dict[str, torch.Tensor]:
        """Counts of every layer, and the potentials of the read-out, by layer name.

        Parameters
        ----------
        counts : ``(N, C, H, W)`` input counts in ``0..input_levels``

        Returns
        -------
        Layer name -> ``(N, C, H, W)``, with the input among the names; float64, or float32 in
        training mode.
        """
        dtype = torch.float32 if self.training else torch.float64
        values = {INPUT: counts.to(dtype)}
        for layer in self.layers:
            self.extend(values, layer)
        return values

    def extend(self, trace: dict[str, torch.Tensor], layer: Quantised) -> None:
        """Add one of the :attr:`layers` to a :meth:`trace` of those before it."""
        inputs = [trace[source] for source in layer.sources if source != layer.name]
        trace[layer.name] = layer(self.step, *inputs)

    def values(self, counts: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the counts and potentials of a :meth:`trace` are worth, of the layers with
        weights."""
        made = self.trace(counts)
        return {layer.name: made[layer.name] * layer.worth(self.step) for layer in self.layers
                if isinstance(layer, Charged)}

    def layer(self, name: str) -> Charged:
        """The parameters of a layer with weights."""
        return next(layer for layer in self.layers
                    if isinstance(layer, Charged) and layer.name == name)

    def layer_values(self, name: str, inputs: list[torch.Tensor]) -> torch.Tensor:
        """What a layer sends for the counts of its sources, in values."""
        layer = self.layer(name)
        made = layer(self.step, *inputs)
        return made * layer.worth(self.step).to(made.dtype)

    def sums(self, name: str, trace: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sums of a layer for a :meth:`trace`, in values, without those that its own results
        add."""
        layer = self.layer(name)
        inputs = [trace[source] for source in layer.sources if source != name]
        return layer.real_sums(self.step, *inputs)

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """Scores for ``(N, C, H, W)`` input counts, see :meth:`scores`."""
        return self.scores(self.trace(counts))

    def scores(self, trace: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores of a :meth:`trace`, the integer potentials times the read-out's scale: ``(N,
        classes)``, or ``(N, classes, elements, 1)`` if there are some for each element."""
        (readout,) = [layer for layer in self.layers if isinstance(layer, Sum)]
        potentials = trace[readout.name]
        if potentials.shape[2:] == (1, 1):
            potentials = potentials.flatten(1)
        return potentials * readout.scale.to(potentials.dtype)

    @torch.no_grad()
    def to_network(self, name: str, *, pixel_max: int = 255,
                   metadata: Mapping[str, object] | None = None) -> Network:
        """The :class:`Network` with exactly these integers.

        Parameters
        ----------
        name, pixel_max, metadata : of the network

        Raises
        ------
        ConversionError, NetworkError
            If a bias needs more than 53 bits, or the network is not valid.
        """
        layers = tuple(layer.in_integers(self.step) for layer in self.layers)
        return Network(name, self.input_shape, self.input_levels, pixel_max, layers, metadata or {})


def _require_steps(layers: Iterable[Fire]) -> None:
    for layer in layers:
        if not _STEPS[0] <= layer.step <= _STEPS[1]:
            raise ConversionError(f"{layer.name}: the step {layer.step:.3g} is not in "
                                  f"{_STEPS[0]:g}..{_STEPS[1]:g}; scale the weights before "
                                  f"the activation, and those after it the other way")
