"""Samples that are run together, so that memory follows neither their number nor the maps."""

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .network import Network

__all__ = ["batches"]

# Counts of all maps of a batch, in all time-steps: 32 MB, and a few times as much on the way.
_VALUES = 1 << 22

# More samples at a time make nothing faster.
_MOST = 500


def batches(network: "Network", samples: int) -> list[slice]:
    """So many samples in parts, for :meth:`gen.ir.network.Network.run`.

    Parameters
    ----------
    network : that runs them; the larger its maps, the fewer samples are a part
    samples : their number
    """
    one = network.timesteps * sum(map(prod, network.shapes.values()))
    number = max(1, min(_MOST, _VALUES // one))
    return [slice(start, start + number) for start in range(0, samples, number)]
