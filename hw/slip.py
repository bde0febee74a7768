"""Frames on a byte stream: SLIP (RFC 1055)."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .uart import Symbol

__all__ = ["END", "ESC", "ESC_END", "ESC_ESC", "Decoder", "Encoder", "Token"]

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD

Token = data.StructLayout({"data": 8, "end": 1, "bad": 1})
"""A byte of a frame, or its ``end`` (then without data); ``bad``: the frame is damaged."""


class Decoder(wiring.Component):
    """Turns received bytes into tokens.

    A bad byte is a bad token. An escape is a bad token as well if it is followed by anything but
    one of the two escaped bytes; if an END follows it, the end comes after the bad token. No
    latency.

    Members
    -------
    i : ``In(stream.Signature(Symbol))``
    o : ``Out(stream.Signature(Token))``
    """

    i: In(stream.Signature(Symbol))
    o: Out(stream.Signature(Token))

    @staticmethod
    def model(symbols):
        """Pairs ``(data, bad)`` to tokens ``(data, end, bad)``; an end or bad token has no data."""
        tokens, escaped = [], False
        for byte, bad in symbols:
            broken = escaped and byte not in (ESC_END, ESC_ESC)
            if bad or broken:
                tokens.append((0, 0, 1))
                escaped = False
                if bad or byte != END:
                    continue
            if escaped:
                tokens.append(({ESC_END: END, ESC_ESC: ESC}[byte], 0, 0))
                escaped = False
            elif byte == ESC:
                escaped = True
            elif byte == END:
                tokens.append((0, 1, 0))
            else:
                tokens.append((byte, 0, 0))
        return tokens

    def elaborate(self, platform):
        m = Module()

        escaped = Signal()
        byte = self.i.p.data
        m.d.comb += self.o.valid.eq(self.i.valid)
        m.d.comb += self.i.ready.eq(self.o.ready)

        with m.If(self.i.p.bad):
            m.d.comb += self.o.p.bad.eq(1)
        with m.Elif(escaped):
            with m.Switch(byte):
                with m.Case(ESC_END):
                    m.d.comb += self.o.p.data.eq(END)
                with m.Case(ESC_ESC):
                    m.d.comb += self.o.p.data.eq(ESC)
                with m.Default():
                    m.d.comb += self.o.p.bad.eq(1)
                    m.d.comb += self.i.ready.eq(self.o.ready & (byte != END))
        with m.Elif(byte == ESC):
            m.d.comb += self.o.valid.eq(0)
            m.d.comb += self.i.ready.eq(1)
        with m.Elif(byte == END):
            m.d.comb += self.o.p.end.eq(1)
        with m.Else():
            m.d.comb += self.o.p.data.eq(byte)

        with m.If(self.i.valid & (self.o.ready | ~self.o.valid)):
            m.d.sync += escaped.eq(~self.o.valid)

        return m


class Encoder(wiring.Component):
    """Turns tokens into bytes to be sent; ``bad`` has no meaning here. No latency.

    Members
    -------
    i : ``In(stream.Signature(Token))``
    o : ``Out(stream.Signature(8))``
    """

    i: In(stream.Signature(Token))
    o: Out(stream.Signature(8))

    @staticmethod
    def model(tokens):
        """Tokens ``(data, end, bad)`` to bytes."""
        codes = {END: (ESC, ESC_END), ESC: (ESC, ESC_ESC)}
        return bytes(byte for value, end, _ in tokens
                     for byte in ((END,) if end else codes.get(value, (value,))))

    def elaborate(self, platform):
        m = Module()

        special = Signal()
        second = Signal()
        byte = self.i.p.data
        m.d.comb += special.eq(~self.i.p.end & ((byte == END) | (byte == ESC)))
        m.d.comb += self.o.valid.eq(self.i.valid)
        m.d.comb += self.i.ready.eq(self.o.ready & (~special | second))

        with m.If(self.i.p.end):
            m.d.comb += self.o.payload.eq(END)
        with m.Elif(second):
            m.d.comb += self.o.payload.eq(Mux(byte == END, ESC_END, ESC_ESC))
        with m.Elif(special):
            m.d.comb += self.o.payload.eq(ESC)
        with m.Else():
            m.d.comb += self.o.payload.eq(byte)

        with m.If(self.o.valid & self.o.ready):
            m.d.sync += second.eq(special & ~second)

        return m
