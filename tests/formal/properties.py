"""What streams promise, as statements of a bench."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth import *
from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cover

from .prover import PDR

__all__ = ["Bench", "Proof", "anything", "in_order", "moves", "paced", "waits"]


@dataclass(frozen=True)
class Proof:
    """A component and what is to be shown of it.

    Parameters
    ----------
    component : makes the component
    properties : called with the bench's module and the component; drives the inputs
    bounded : further properties, which are too much for a proof of all clocks; called with the
        module, the component and what ``properties`` returned
    depth : clocks in which everything that is to be covered can be reached
    bound : clocks for which the properties are shown; ``None``: all
    engine : what shows them for all clocks, see :mod:`prover`
    """

    component: Callable
    properties: Callable
    depth: int = 12
    bound: int | None = None
    engine: str = PDR
    bounded: Callable | None = None

    def bench(self, *, every=False):
        """The bench. If ``every``, it is for a proof of every clock."""
        further = None if every else self.bounded
        return Bench(self.component(), self.properties, further)


class Bench(Elaboratable):
    """The component as the submodule ``dut``, with its properties around it."""

    def __init__(self, dut, properties, further=None):
        self._dut = dut
        self._properties = properties
        self._further = further

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self._dut
        known = self._properties(m, self._dut)
        if self._further is not None:
            self._further(m, self._dut, known)
        return m


def anything(m, *signals):
    """Each of the signals has any value, another in every clock."""
    for signal in signals:
        m.d.comb += Value.cast(signal).eq(AnySeq(len(Value.cast(signal))))


def moves(stream):
    return stream.valid & stream.ready


def waits(m, stream, check=Assert):
    """A payload that is offered stays, and stays the same, until it is taken."""
    payload = Value.cast(stream.payload)
    waiting, before = Signal(), Signal(len(payload))
    m.d.sync += waiting.eq(stream.valid & ~stream.ready)
    m.d.sync += before.eq(payload)
    with m.If(waiting):
        m.d.comb += check(stream.valid)
        m.d.comb += check(payload == before)


def paced(m, stalled, clocks):
    """``stalled`` never lasts for more than so many clocks."""
    count = Signal(range(clocks + 2))
    m.d.sync += count.eq(Mux(stalled, count + 1, 0))
    m.d.comb += Assert(~stalled | (count < clocks))


def in_order(m, entered, value, left, result, capacity):
    """What enters leaves: all of it, once, in order, and ``result`` is then what ``value`` was.

    A word that enters at any one time is marked; what leaves once all words before it have left is
    compared with it. As the time can be any, this shows it for every word.

    Parameters
    ----------
    entered, left : a word enters, a word leaves; both may be in one clock, even of the same word
    value, result : the word, in clocks in which it enters and in which it leaves
    capacity : words inside at most

    Returns
    -------
    The number of words inside.
    """
    inside, ahead = Signal(range(capacity + 2)), Signal(range(capacity + 2))
    marked, done, begin, compared = Signal(), Signal(), Signal(), Signal()
    value, result = Value.cast(value), Value.cast(result)
    mark = Signal(len(value))
    m.d.sync += inside.eq(inside + entered - left)
    m.d.comb += Assert(inside <= capacity)
    m.d.comb += Assert(~left | (inside != 0) | entered)

    m.d.comb += begin.eq(entered & ~marked & ~done & AnySeq(1))
    with m.If(begin & left & (inside == 0)):
        m.d.sync += done.eq(1)
        m.d.comb += compared.eq(1)
        m.d.comb += Assert(result == value)
    with m.Elif(begin):
        m.d.sync += [marked.eq(1), mark.eq(value), ahead.eq(inside - left)]
    with m.Elif(marked & left):
        m.d.sync += ahead.eq(ahead - 1)
        with m.If(ahead == 0):
            m.d.sync += [marked.eq(0), done.eq(1)]
            m.d.comb += compared.eq(1)
            m.d.comb += Assert(result == mark)
    m.d.comb += Cover(compared)
    return inside
