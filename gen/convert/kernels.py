"""The algebra of convolution kernels ``(O, I / groups, KY, KX)``: what is linear between two layers
becomes one kernel."""

import math
from itertools import product

import torch
from torch.nn import functional as F

__all__ = ["composed", "dense", "mixed", "placed", "polyphase", "regrouped", "spread", "transposed",
           "widened"]


def dense(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The same kernel with one group, ``(O, I, KY, KX)``."""
    if groups == 1:
        return weight
    rows, each = weight.shape[0] // groups, weight.shape[1]
    whole = weight.new_zeros(weight.shape[0], each * groups, *weight.shape[2:])
    for g in range(groups):
        own = slice(g * rows, (g + 1) * rows)
        whole[own, g * each:(g + 1) * each] = weight[own]
    return whole


def regrouped(weight: torch.Tensor, most: int) -> tuple[torch.Tensor, int]:
    """A kernel of one group in as many groups as it has, up to ``most``, and their number."""
    outputs, inputs = weight.shape[:2]
    used = (weight != 0).any(dim=3).any(dim=2)
    for groups in range(most, 1, -1):
        if outputs % groups or inputs % groups:
            continue
        blocks = used.reshape(groups, outputs // groups, groups, inputs // groups)
        own = torch.eye(groups, dtype=torch.bool)[:, None, :, None]
        if not (blocks & ~own).any():
            parts = weight.reshape(groups, outputs // groups, groups, inputs // groups,
                                   *weight.shape[2:])
            diagonal = parts[torch.arange(groups), :, torch.arange(groups)]
            return diagonal.reshape(outputs, inputs // groups, *weight.shape[2:]), groups
    return weight, 1


def mixed(weight: torch.Tensor, groups: int, channels: int, of: torch.Tensor, to: torch.Tensor,
          gain: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The kernel for ``channels`` of a source, of which channel ``of[k]`` enters channel ``to[k]``
    with a ``gain[k]``, and its groups."""
    whole = dense(weight, groups)
    kernel = weight.new_zeros(len(weight), channels, *weight.shape[2:])
    kernel.index_add_(1, of, whole[:, to] * gain[:, None, None])
    return (kernel, 1) if groups == 1 else regrouped(kernel, groups)


def spread(weight: torch.Tensor, dilation: tuple[int, int]) -> torch.Tensor:
    """A kernel with zeros between its taps, which then are ``dilation`` apart."""
    if dilation == (1, 1):
        return weight
    size = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    wide = weight.new_zeros(*weight.shape[:2], *size)
    wide[:, :, ::dilation[0], ::dilation[1]] = weight
    return wide


def widened(weight: torch.Tensor, left: int, right: int) -> tuple[torch.Tensor, int]:
    """A kernel with columns of zeros at its sides, and the columns of zeros that a map must then
    have at *each* side, for what ``left`` and ``right`` columns would give: negative ones are left
    out. The padding stays smaller than the kernel."""
    beside = max(left, right, 0)
    beside += max(0, beside - (weight.shape[3] + 2 * beside - left - right) + 1)
    return F.pad(weight, (beside - left, beside - right)), beside


def composed(second: torch.Tensor, first: torch.Tensor, stride: tuple[int, int]) -> torch.Tensor:
    """The kernel of a convolution after another one, both with one group. The second looks at no
    zeros around the first's results.

    Parameters
    ----------
    stride : of the first; that of both is the product
    """
    # Each tap of the second adds the first's kernel, a stride further on.
    return F.conv_transpose2d(second, first, stride=stride)


def placed(weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The kernel ``(O, I, H * KY, W * KX)`` that gives each of the outputs of a single window,
    ``(O * H * W, I, KY, KX)``, a position of its own on a map of ``size`` (H, W).

    Its windows are a kernel apart, and each meets its source in another block of taps: the first
    window in the last one.
    """
    height, width = size
    blocks = weight.unflatten(0, (-1, height, width)).flip(1, 2)
    o, _, _, i, ky, kx = blocks.shape
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(o, i, height * ky, width * kx)


def polyphase(weight: torch.Tensor, phases: tuple[int, int], stride: tuple[int, int],
              padding: tuple[int, int]) -> tuple[torch.Tensor, tuple[int, int]]:
    """The kernel for a map whose positions are spread over channels, in as many groups, and the
    rows and columns of zeros above and at the left that it needs.

    Channel ``(c * py + y) * px + x`` of such a map has the positions ``(y, x)`` of each block of
    ``phases`` (py, px), as :func:`torch.nn.functional.pixel_unshuffle` orders them. The result has
    ``phases / gcd(phases, stride)`` in each direction.
    """
    (ys, top), (xs, left) = (_steps(*axis) for axis in zip(
        weight.shape[2:], phases, stride, padding, strict=True))
    o, i = weight.shape[:2]
    size = [1 + max(tap[2] for tap in axis) for axis in (ys, xs)]
    results = [1 + max(tap[0] for tap in axis) for axis in (ys, xs)]
    kernel = weight.new_zeros(o, *results, i, *phases, *size)
    for (ry, py, y, ky), (rx, px, x, kx) in product(ys, xs):
        kernel[:, ry, rx, :, py, px, y, x] += weight[:, :, ky, kx]
    return kernel.reshape(o * math.prod(results), i * math.prod(phases), *size), (top, left)


def _steps(taps: int, phases: int, stride: int, padding: int
           ) -> tuple[list[tuple[int, int, int, int]], int]:
    """What result phase looks at what phase, through what tap of the new kernel, for each of the
    old one; and how far the first new tap lies before the result."""
    met = [(r, k, *divmod(stride * r + k - padding, phases))
           for r in range(phases // math.gcd(phases, stride)) for k in range(taps)]
    least = min(position for _, _, position, _ in met)
    return [(r, phase, position - least, k) for r, k, position, phase in met], -least


def transposed(weight: torch.Tensor, stride: tuple[int, int], padding: tuple[int, int]
               ) -> tuple[torch.Tensor, tuple[int, int]]:
    """The kernel of a transposed convolution as that of a convolution whose results are spread over
    channels, ``stride`` phases in each direction (:func:`polyphase`), and the rows and columns of
    zeros above and at the left that it needs.

    Parameters
    ----------
    weight : ``(O, I / groups, KY, KX)``
    """
    (ys, top), (xs, left) = (_taps(*axis) for axis in zip(
        weight.shape[2:], stride, padding, strict=True))
    o, i = weight.shape[:2]
    size = [1 + max(tap[1] for tap in axis) for axis in (ys, xs)]
    kernel = weight.new_zeros(o, *stride, i, *size)
    for (ry, y, ky), (rx, x, kx) in product(ys, xs):
        kernel[:, ry, rx, :, y, x] = weight[:, :, ky, kx]
    return kernel.reshape(o * stride[0] * stride[1], i, *kernel.shape[4:]), (top, left)


def _taps(taps: int, stride: int, padding: int) -> tuple[list[tuple[int, int, int]], int]:
    """What result phase meets what tap of the new kernel, for each of the old one; and how far the
    first new tap lies before the result."""
    # Result s * i + r gets tap r + p - s * d of position i + d.
    met = [((k - padding) % stride, -((k - padding) // stride), k) for k in range(taps)]
    least = min(position for _, position, _ in met)
    return [(phase, position - least, k) for phase, position, k in met], -least
