"""``hw.slip`` and ``hw.uart``: what goes in at one end of a line comes out at the other."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.slip import Decoder, Encoder, Token
from hw.uart import Receiver, Symbol, Transmitter

from .properties import Proof, anything, in_order, moves, paced, waits

__all__ = ["PROOFS"]


class Frames(wiring.Component):
    """Tokens to bytes and back to tokens."""

    i: In(stream.Signature(Token))
    o: Out(stream.Signature(Token))

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = Encoder()
        m.submodules.decoder = decoder = Decoder()
        connect(m, flipped(self.i), encoder.i)
        connect(m, decoder.o, flipped(self.o))
        m.d.comb += [
            decoder.i.p.data.eq(encoder.o.payload),
            decoder.i.valid.eq(encoder.o.valid),
            encoder.o.ready.eq(decoder.i.ready),
        ]
        return m


class Line(wiring.Component):
    """Bytes to levels of a line and back to bytes."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(Symbol))

    def __init__(self, divisor):
        self._divisor = divisor
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = Transmitter(self._divisor)
        m.submodules.receiver = receiver = Receiver(self._divisor)
        connect(m, flipped(self.i), transmitter.i)
        connect(m, receiver.o, flipped(self.o))
        m.d.comb += receiver.rx.eq(transmitter.tx)
        return m


def _frames(m, dut):
    anything(m, dut.i.valid, dut.i.payload, dut.o.ready)
    m.d.comb += Assume(~dut.i.p.bad)
    m.d.comb += Assume(~dut.i.p.end | (dut.i.p.data == 0))
    waits(m, dut.i, Assume)
    waits(m, dut.o)
    inside = in_order(m, moves(dut.i), dut.i.payload, moves(dut.o), dut.o.payload, 1)
    # A symbol is two bytes at most.
    paced(m, (dut.i.valid | (inside != 0)) & ~moves(dut.i) & ~(dut.o.valid & ~dut.o.ready), 1)
    m.d.comb += Assert(~dut.o.valid | ~dut.o.p.bad)
    m.d.comb += Cover(moves(dut.o) & (dut.o.p.data == 0xDB))
    m.d.comb += Cover(moves(dut.o) & dut.o.p.end)


def _line(m, dut):
    anything(m, dut.i.valid, dut.i.payload)
    m.d.comb += dut.o.ready.eq(1)
    waits(m, dut.o)
    inside = in_order(m, moves(dut.i), dut.i.payload, moves(dut.o), dut.o.p.data, 2)
    paced(m, (dut.i.valid | (inside != 0)) & ~moves(dut.i) & ~moves(dut.o), 80)
    m.d.comb += Assert(~dut.o.valid | ~dut.o.p.bad)


PROOFS = {
    "slip": Proof(Frames, _frames),
    "uart-8": Proof(lambda: Line(8), _line, depth=90),
}
