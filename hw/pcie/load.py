"""Words of the ring of samples that are for the memories."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus import Status
from hw.loader import LoadBus

__all__ = ["Loads"]


class Loads(wiring.Component):
    """Writes the registers that the memories are loaded with. Of two words that follow each other
    the first is the address of a register, and the second what is written to it.

    A word for which it is too early, because the device tests itself, waits. One that is refused
    has no effect, nor has one for an address of more than 16 bits.

    Members
    -------
    i : ``In(stream.Signature(32))``
    bus : ``Out(LoadBus)``
    loaded : ``Out(32)``, words that were written or refused
    rejected : ``Out(1)``, whether one was refused
    """

    i: In(stream.Signature(32))
    bus: Out(LoadBus)
    loaded: Out(32)
    rejected: Out(1)

    def elaborate(self, platform):
        m = Module()

        bus, beyond = self.bus, Signal()
        # A session opens when no sample is under way, and one that loads begins none.
        m.d.comb += bus.idle.eq(1)
        with m.FSM():
            with m.State("Address"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [bus.addr.eq(self.i.payload), beyond.eq(self.i.payload[16:].any())]
                with m.If(self.i.valid):
                    m.next = "Word"
            with m.State("Word"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += bus.w_data.eq(self.i.payload)
                with m.If(self.i.valid):
                    m.next = "Settle"
            with m.State("Settle"):
                m.next = "Write"
            with m.State("Write"):
                m.d.comb += bus.w_en.eq(~beyond)
                with m.If((bus.w_status == Status.BUSY) & ~beyond):
                    m.next = "Settle"
                with m.Else():
                    m.d.sync += self.loaded.eq(self.loaded + 1)
                    m.next = "Address"
                    with m.If((bus.w_status != Status.OK) | beyond):
                        m.d.sync += self.rejected.eq(1)

        return m
