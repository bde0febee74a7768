"""What each kind of layer is in gateware, found by its class.

A kind is a module. This table is the only place in :mod:`gen.plan` that tells kinds apart.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from gen.ir.layers import Layer, Neurons, Pool, Readout
from hw.config import CoreConfig, LayerConfig, MemoryImage, PoolConfig
from hw.maps import SourceConfig

from . import core, pool
from .flow import Flow
from .parts import Part

__all__ = ["Kind", "kind"]


class Kind(Protocol):
    """Answers of a kind of layer."""

    NAME: str
    Flow: Callable[[LayerConfig, int], Flow]

    def configure(self, layer: Layer, port: str, sources: tuple[SourceConfig, ...],
                  lanes: dict[str, int], replicas: dict[str, int], code: str) -> LayerConfig:
        """The configuration. Takes out of ``lanes`` and ``replicas`` what is given for the layer;
        see :func:`gen.plan.mapping.map_config`."""

    def memories(self, layer: Layer, config: LayerConfig) -> dict[str, MemoryImage]:
        """Contents of the memories by name."""

    def memory_bits(self, layer: Layer, levels: list[int], code: str) -> int:
        """Bits that every configuration stores, for sources with ``levels``."""

    def clocks(self, config: LayerConfig, samples: int, rows: Callable) -> np.ndarray:
        """Clocks that a layer works on each sample, ``(N,)``.

        Parameters
        ----------
        rows : gives the clocks of each output row of a core, ``(N, OY)``
        """

    def word_limits(self, config: LayerConfig, interval: float, words: float) -> list[float]:
        """The most words a position in which each source may send its map, if the layer keeps an
        ``interval`` and sends its own in at most ``words``."""

    def parts(self, config: LayerConfig) -> Iterable[Part]:
        """What it is built from; see :mod:`gen.plan.resources`."""


_KINDS: dict[type, Kind] = {
    Neurons: core, Readout: core, CoreConfig: core,
    Pool: pool, PoolConfig: pool,
}


def kind(layer: Layer | LayerConfig) -> Kind:
    """The kind of a network's layer, or of its configuration."""
    return _KINDS[type(layer)]
