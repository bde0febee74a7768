"""What each kind of layer is in gateware, found by its class.

A kind is a module. This table is the only place in :mod:`gen.plan` that tells kinds apart.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from gen.ir.layers import Layer, Neurons, Pool, Readout
from hw.config import MemoryImage
from hw.layers import CoreConfig, LayerConfig, PoolConfig
from hw.maps import SourceConfig

from . import core, pool
from .flow import Flow
from .parts import Part

__all__ = ["Kind", "kind"]


_Layer_contra = TypeVar("_Layer_contra", bound=Layer, contravariant=True)
_Config = TypeVar("_Config", bound=LayerConfig)


class Kind(Protocol[_Layer_contra, _Config]):
    """What a kind of layer says about its layers and their configurations."""

    @property
    def NAME(self) -> str:
        """Name of the kind."""

    @property
    def Flow(self) -> Callable[[_Config, int], Flow]:
        """The class of the rows that a layer sends, in as many arrays side by side as the second
        argument says."""

    def configure(self, layer: _Layer_contra, port: str, sources: tuple[SourceConfig, ...],
                  levels: Sequence[int], lanes: dict[str, int], replicas: dict[str, int],
                  code: str) -> _Config:
        """The configuration of a layer, for sources with ``levels``. What is given for the layer is
        taken out of ``lanes`` and ``replicas``; see :func:`gen.plan.mapping.map_config`."""

    def memories(self, layer: _Layer_contra, config: _Config, /) -> dict[str, MemoryImage]:
        """Contents of the memories by name."""

    def memory_bits(self, layer: _Layer_contra, levels: Sequence[int], code: str) -> int:
        """Bits that every configuration stores, for sources with ``levels``."""

    def clocks(self, config: _Config, samples: int, rows: Callable[[CoreConfig], np.ndarray], /
               ) -> np.ndarray:
        """Clocks that a layer works on each sample, ``(N,)``.

        Parameters
        ----------
        samples : N
        rows : gives the clocks of each output row of a core, ``(N, OY)``
        """

    def word_limits(self, config: _Config, interval: float, words: float, /) -> list[float]:
        """The most words a position in which each source may send its map, if the layer keeps an
        ``interval`` and sends its own map in at most ``words``."""

    def parts(self, config: _Config, /) -> Iterable[Part]:
        """The parts that a layer is built from; see :mod:`gen.plan.resources`."""


_KINDS: dict[type, Kind[Any, Any]] = {
    Neurons: core, Readout: core, CoreConfig: core,
    Pool: pool, PoolConfig: pool,
}


def kind(layer: Layer | LayerConfig) -> Kind[Any, Any]:
    """The kind of a network's layer, or of its configuration."""
    return _KINDS[type(layer)]
