"""The layers of a network in integers: what they compute, and what they say about themselves.

No other module asks a layer for its kind. A module that has to treat kinds differently has a table
of them: :mod:`gen.plan.kinds` for gateware, :mod:`gen.ir.reference` for PyTorch's operators.
"""

from .layer import INPUT, Layer
from .neurons import Neurons, Readout
from .pool import Pool

__all__ = ["INPUT", "TYPES", "Layer", "Neurons", "Pool", "Readout"]

TYPES: dict[str, type[Layer]] = {kind.type: kind for kind in (Neurons, Pool, Readout)}
"""The kinds of layers by their names in files."""
