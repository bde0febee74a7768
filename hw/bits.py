"""Finding, counting and choosing among bits, as trees of LUTs.

All functions are combinational and take a value, or a list of its bits.
"""

from functools import partial, reduce
from operator import or_

from amaranth import *

__all__ = ["lowest", "merged", "more_than", "one_hot_mux", "place"]


def lowest(bits):
    """Index of the lowest set bit of ``bits``, combinationally; 0 if there is none.

    The tree takes the lower of two halves if that has a bit. Isolating the bit first by a
    subtraction (``bits & -bits``) would put a carry chain in front of another tree.
    """
    # Each node tells whether it has a bit, and where: the bits of the index, lowest first.
    nodes = [(bit, ()) for bit in bits]
    while len(nodes) > 1:
        if len(nodes) % 2:
            nodes.append((Const(0), tuple(Const(0) for _ in nodes[0][1])))
        nodes = [(low | high, (*map(partial(Mux, low), lows, highs), ~low & high))
                 for (low, lows), (high, highs) in zip(nodes[::2], nodes[1::2], strict=True)]
    return Cat(nodes[0][1])


def merged(values):
    """The OR of values, as a tree."""
    values = list(values)
    while len(values) > 1:
        values = [values[k] | values[k + 1] if k + 1 < len(values) else values[k]
                  for k in range(0, len(values), 2)]
    return values[0]


def place(one_hot):
    """Index of the only set bit; 0 if there is none. Bit k is the OR of the bits whose own index
    has bit k set."""
    width = len(one_hot)
    return Cat((one_hot & sum(1 << i for i in range(width) if i >> k & 1)).any()
               for k in range(max(1, (width - 1).bit_length())))


def one_hot_mux(one_hot, values):
    """The value beside the only set bit; 0 if there is none."""
    return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(one_hot, values, strict=True)))


def more_than(n, bits):
    """Whether more than ``n`` bits of ``bits`` are set: a tree, which is faster than an adder."""
    # Each node tells whether at least 1, 2, ... n + 1 bits are set, up to its number of bits.
    nodes = [[bit] for bit in bits]
    while len(nodes) > 1:
        odd = nodes[len(nodes) & ~1:]
        nodes = [_both(a, b, n + 1) for a, b in zip(nodes[::2], nodes[1::2], strict=False)] + odd
    return nodes[0][n] if len(nodes[0]) > n else Const(0)


def _both(a, b, most):
    """Merges two nodes of :func:`more_than`: at least k bits are set in both together if one has
    k of them, or one has i and the other k - i."""
    def at_least(k):
        split = (a[i - 1] & b[k - i - 1] for i in range(1, k) if i <= len(a) and k - i <= len(b))
        return Cat(*(node[k - 1] for node in (a, b) if k <= len(node)), *split).any()

    return [at_least(k) for k in range(1, min(most, len(a) + len(b)) + 1)]
