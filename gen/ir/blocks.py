"""Networks whose samples are blocks of a sequence that goes on (docs/methods.md, 15).

A network is defined for sequences of so many elements, the rows of its input. If no layer looks at
later elements, it can be given a sequence block by block, and answers after each. What it knows of
earlier blocks is in the rows that its windows still reach.
"""

from contextlib import suppress
from dataclasses import replace

from gen.errors import NetworkError

from .layers import INPUT, Layer
from .network import Network
from .synapses import Synapses, Window, edges

__all__ = ["answering", "block", "least_block"]


def block(network: Network, rows: int) -> Network:
    """The network of a block: the first one of a sequence, before which there is nothing.

    Parameters
    ----------
    rows : of the input that are a block

    Raises
    ------
    NetworkError
        If a layer looks at later elements or at all of them, or if no layer looks back.
    """
    return replace(network, input_shape=(network.input_shape[0], rows, network.input_shape[2]),
                   layers=_Cut(network, rows).layers, samples=None)


def least_block(network: Network) -> int:
    """The rows of the shortest block that a network takes. Raises the error of a block of all rows
    if there is none."""
    for rows in range(1, network.input_shape[1]):
        with suppress(NetworkError):
            return block(network, rows).input_shape[1]
    return block(network, network.input_shape[1]).input_shape[1]


def answering(network: Network, rows: int, blocks: int) -> Network:
    """The network for sequences of so many blocks, with a read-out after each. Other parameters and
    errors are those of :func:`block`."""
    cut = _Cut(network, rows)
    *layers, readout = cut.layers
    if cut.ends:
        readout = readout.with_synapses(tuple(
            replace(synapses, stride=(cut.heights[synapses.source], synapses.stride[1]))
            for synapses in readout.synapses))
    channels, _, width = network.input_shape
    return replace(network, input_shape=(channels, rows * blocks, width),
                   layers=(*layers, readout), samples=None)


class _Cut:
    """The layers of a network, for blocks of so many rows.

    Members
    -------
    layers : those of the block
    heights : layer name -> rows of its map for a block
    ends : whether the read-out answers once, at the end of its source
    """

    def __init__(self, network: Network, rows: int) -> None:
        self._network = network
        elements = network.input_shape[1]
        if type(rows) is not int or not 1 <= rows <= elements:
            raise NetworkError(f"a block of {network.name} must have 1 to {elements} elements, as "
                               f"its sequences have, not {rows!r}")
        if network.dynamics is not None:
            raise NetworkError(f"{network.name} has time-steps; only networks in the schedule "
                               f"settle take sequences block by block")
        for layer in network.layers:
            if layer.lasting is not None:
                raise NetworkError(f"{layer.name}: its time-steps are the rows of its map, which "
                                   f"it takes all of; send whole sequences")
        self.heights, self.ends = {INPUT: rows}, False
        self.layers = tuple(map(self._layer, network.layers))
        if not any(window.padding[0] > 0 for layer in self.layers for window in layer.windows):
            raise NetworkError(f"{network.name} has no layer that looks back at earlier elements, "
                               f"so blocks have nothing to do with each other: send each as a "
                               f"sample of its own")

    def _layer(self, layer: Layer) -> Layer:
        windows = [window for window in layer.windows if window.source != layer.name]
        if layer is self._network.readout and self._network.positions[0] == 1:
            self.ends = True
            for window in windows:
                self._require(window, self._bottom(window) == self._height(window),
                              layer, "does not end with the last element")
            return layer.with_synapses(tuple(map(self._at_the_end, layer.synapses)))
        for window in windows:
            self._follow(layer, window)
        return layer

    def _follow(self, layer: Layer, window: Window) -> None:
        """Give the layer a map for a block, as the window sees it."""
        rows, stride = self.heights[window.source], window.stride[0]
        self._require(window, rows % stride == 0, layer,
                      f"moves by {stride} of {rows} rows; blocks must be a multiple")
        above, below = edges(window)[0]
        self._require(window, self._bottom(window) <= stride
                      and (rows + above + below - window.kernel[0]) // stride + 1 == rows // stride,
                      layer, f"looks at {window.kernel[0]} elements of {window.source}, some of "
                             f"them later than its own; it must be causal, with "
                             f"{window.kernel[0] - 1} rows of zeros before the first element and "
                             f"none after the last one")
        self.heights[layer.name] = rows // stride

    def _at_the_end(self, synapses: Synapses) -> Synapses:
        above = synapses.kernel[0] - self.heights[synapses.source]
        return replace(synapses, padding=(above, synapses.padding[1]), below=0)

    def _height(self, window):
        return self._network.shapes[window.source][1]

    def _bottom(self, window):
        """The row below a window at the top."""
        return window.kernel[0] - window.padding[0]

    def _require(self, window: Window, holds: bool, layer: Layer, what: str) -> None:
        if not holds:
            raise NetworkError(f"{layer.name}: can't take a sequence block by block: its window "
                               f"over {window.source} {what}")
