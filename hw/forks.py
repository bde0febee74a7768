"""Control signals that many lanes need: a tree of registers, each for a few of them."""

from amaranth import *

__all__ = ["copies", "own_copy"]

_LANES_PER_COPY = 4
"""A control signal gets further copies while more lanes than this share one."""


def copies(m, lanes, name, source, stages):
    """``source``, ``stages`` clocks later, in a register for every few lanes, since it goes to a
    LUT in front of each of their bits. Where two registers copy the same one, their initial values
    differ, because synthesis merges equal registers.

    Parameters
    ----------
    lanes : number of them
    name : of the registers
    """
    made = [source]
    for stage in range(stages):
        forks = 2 if len(made) * _LANES_PER_COPY < lanes else 1
        behind = [(copy, begins) for copy in made for begins in range(forks)]
        made = [Signal(name=f"{name}_{stage}_{k}", init=begins, reset_less=True)
                for k, (_, begins) in enumerate(behind)]
        m.d.sync += [copy.eq(source) for copy, (source, _) in zip(made, behind, strict=True)]
    return made


def own_copy(made, k, lanes):
    """The copy of lane ``k``."""
    return made[k * len(made) // lanes]
