"""Recurrent layers of neurons: an activation that sees its own results of the element before.

::

    h_k = activation(z_k + U h_{k-1})        h_0 = 0

``z_k`` are sums, such as those of a convolution or of a linear layer for each element of a sequence
(docs/methods.md, 15). Elements are the rows of a map.
"""

import logging

import torch
from torch import nn

from .lowered import Lowered

__all__ = ["Recurrent", "fed_back", "warn_if_coarse"]

log = logging.getLogger(__name__)

# With more elements than these, states of fewer levels than those lose what adds up slowly.
_LONG, _FINE = 100, 31


def fed_back(own: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """What the results ``(N, C, ...)`` of an element add to the next one.

    Parameters
    ----------
    own : recurrent weights, ``(C, C, 1, 1)``, or ``(C, 1, 1, 1)`` if each channel sees only itself
    """
    if own.shape[1] < own.shape[0]:
        return h * own.reshape(len(own), *[1] * (h.dim() - 2))
    return torch.einsum("oi,ni...->no...", own[:, :, 0, 0], h)


def warn_if_coarse(lowered: Lowered) -> None:
    """Log a warning for each recurrent layer of many elements and few levels (docs/methods.md, 15).

    Parameters
    ----------
    lowered : the layers; its ReLUs must be calibrated
    """
    for layer in lowered.neurons:
        elements = lowered.places[layer.name].shape[1]
        recurrent = any(term.source == layer.name for term in layer.terms)
        if recurrent and elements > _LONG and layer.levels < _FINE:
            log.warning("warning: %s: counts of 0..%d can't add up slowly over %d elements: what "
                        "is worth less than half a count is rounded away in each; more levels "
                        "help, or convolutions over time that shorten the sequence", layer.name,
                        layer.levels, elements)


class Recurrent(nn.Module):
    """An activation of ``(N, channels, elements)`` or ``(N, channels, elements, width)`` sums whose
    results reach the sums of the next element.

    Parameters
    ----------
    channels : of the sums
    activation : of the sums of an element; works value by value
    diagonal : whether each channel sees only its own result (IndRNN [17]); otherwise all of them

    Members
    -------
    own : recurrent weights, ``(channels, channels, 1, 1)``, or ``(channels, 1, 1, 1)`` if
        ``diagonal``. They begin as the identity, which keeps what was seen (IRNN [18])
    """

    def __init__(self, channels: int, activation: nn.Module, *, diagonal: bool = False) -> None:
        super().__init__()
        if type(channels) is not int or channels < 1:
            raise ValueError(f"channels must be a positive integer, not {channels!r}")
        self.channels, self.diagonal = channels, diagonal
        self.activation = activation
        self.own = nn.Parameter(torch.ones(channels, 1, 1, 1) if diagonal else
                                torch.eye(channels)[:, :, None, None].clone())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Results in the shape of the sums, element by element."""
        h = torch.zeros_like(z[:, :, 0])
        results = []
        for sums in z.unbind(2):
            h = self.activation(sums + self.fed_back(h))
            results.append(h)
        return torch.stack(results, dim=2)

    def fed_back(self, h: torch.Tensor) -> torch.Tensor:
        """See :func:`fed_back`."""
        return fed_back(self.own, h)

    def extra_repr(self) -> str:
        """The channels and the kind of weights, for ``repr``."""
        return f"{self.channels}, diagonal={self.diagonal}"
