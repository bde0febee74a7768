"""Independent sequences, interleaved: a sample holds several of them side by side.

A recurrent layer waits for its own spikes before it can go on with a sequence. Meanwhile its lanes
work on the others: these are further columns of all maps, and no window looks at two of them. The
element of one sequence follows that of another, and all read the same weights.
"""

from dataclasses import replace

import numpy as np

from gen.errors import NetworkError

from .layers import Layer
from .logits import logit_shape
from .network import Network
from .synapses import Window

__all__ = ["apart", "interleave", "together"]


def interleave(network: Network, count: int) -> Network:
    """The network for samples that hold so many sequences side by side.

    Raises
    ------
    NetworkError
        If a window looks at some columns of a map, but not at one or at all of them.
    """
    if type(count) is not int or count < 1:
        raise NetworkError(f"1 sequence or more can be interleaved, not {count!r}")
    if count == 1:
        return network
    channels, height, width = network.input_shape
    return replace(network, input_shape=(channels, height, count * width), samples=None,
                   layers=tuple(_apart(network, layer) for layer in network.layers))


def _apart(network: Network, layer: Layer) -> Layer:
    """The layer with windows that step from one sequence to the next."""
    strides = tuple(_stride(network, layer, window) for window in layer.windows)
    if not layer.synapses:
        return layer.with_stride(strides[0])
    return layer.with_synapses(tuple(
        replace(synapses, stride=stride)
        for synapses, stride in zip(layer.synapses, strides, strict=True)))


def _stride(network: Network, layer: Layer, window: Window) -> tuple[int, int]:
    width, (down, across) = network.shapes[window.source][2], window.stride
    if window.padding[1] == 0 and window.kernel[1] == width:
        return down, width
    if window.padding[1] == 0 and window.kernel[1] == 1 and width % across == 0:
        return down, across
    raise NetworkError(f"{layer.name}: sequences can't be interleaved, because its window looks at "
                       f"{window.kernel[1]} of {width} columns of {window.source}; it must look at "
                       f"one or at all of them")


def together(images: np.ndarray, count: int) -> np.ndarray:
    """``(N, C, H, W)`` images to samples ``(ceil(N / count), C, H, count * W)``. The last sample is
    filled up with zeros."""
    channels, height, width = images.shape[1:]
    images = np.pad(images, ((0, -len(images) % count), (0, 0), (0, 0), (0, 0)))
    groups = images.reshape(len(images) // count, count, channels, height, width)
    return groups.transpose(0, 2, 3, 1, 4).reshape(len(groups), channels, height, count * width)


def apart(logits: np.ndarray, count: int, images: int) -> np.ndarray:
    """Logits of samples (:class:`gen.ir.network.Network`) to those of the images in them."""
    if count == 1:
        return logits
    samples, classes, height, width = logits.shape
    columns = logits.reshape(samples, classes, height, count, width // count)
    shape = logit_shape(classes, (height, width // count))
    return columns.transpose(0, 3, 1, 2, 4).reshape(samples * count, *shape)[:images]
