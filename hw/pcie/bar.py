"""The registers that a host sees in BAR0."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.bits import one_hot_mux
from hw.bus import DeviceBus
from hw.registers import RegisterMap
from hw.run import timesteps_member

from .reads import BURST, FAULTS
from .receive import COUNTS
from .registers import RingMap, Status

__all__ = ["FACTS", "Bar"]

FACTS = data.StructLayout({
    "counts": COUNTS, "submitted": 16, "completed": 16, "session": 32, "resting": 1,
    "faults": FAULTS, "rejected": 1, "samples_read": 32, "results_written": 32, "loaded": 32})
"""What the endpoint says of itself."""

_DESCRIBING = ("samples_low", "samples_high", "samples_mask", "results_low", "results_high",
               "results_mask", "status_low", "status_high", "interrupt", "timesteps", "load")


# A burst never crosses a multiple of its length, nor the status block one of its own, whatever a
# host writes. Bits of a register that are always 0, or always 1.
_CLEAR = {"samples_low": 4 * BURST - 1, "results_low": 4 * BURST - 1, "status_low": 7}
_SET = {"samples_mask": BURST - 1, "results_mask": BURST - 1}


class Bar(wiring.Component):
    """Registers of the rings, and what the device is.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`
    rings : :class:`~hw.pcie.registers.RingMap`

    Members
    -------
    w_addr, w_data, w_en : ``In``, writes a word
    addr, r_data : reads one; it is there two clocks after its address
    device : ``Out(DeviceBus)``
    facts : ``In(FACTS)``
    status : ``Out(32)``, see :class:`~hw.pcie.registers.Status`
    open, number : ``Out``, for a clock: ``number`` is written to ``open``
    samples, results, block : ``Out(64)``, addresses of the rings and of the status block
    samples_mask, results_mask, samples_index, results_index : ``Out(32)``
    interrupt : ``Out(1)``
    load : ``Out(1)``, the session loads the memories
    timesteps : ``Out``, only if there are several
    """

    def __init__(self, registers, rings=None):
        if not isinstance(registers, RegisterMap):
            raise TypeError(f"registers must be a RegisterMap, not {registers!r}")
        self._map, self._rings = registers, rings or RingMap()
        super().__init__({
            "w_addr": In(10), "w_data": In(32), "w_en": In(1),
            "addr": In(10), "r_data": Out(32),
            "device": Out(DeviceBus),
            "facts": In(FACTS),
            "status": Out(32),
            "open": Out(1), "number": Out(32),
            "samples": Out(64), "results": Out(64), "block": Out(64),
            "samples_mask": Out(32, init=BURST - 1), "results_mask": Out(32, init=BURST - 1),
            "samples_index": Out(32), "results_index": Out(32),
            "interrupt": Out(1), "load": Out(1),
            **timesteps_member(registers.most_timesteps, Out),
        })

    def elaborate(self, platform):
        m = Module()

        held = {"samples_low": self.samples[:32], "samples_high": self.samples[32:],
                "samples_mask": self.samples_mask, "samples_index": self.samples_index,
                "results_low": self.results[:32], "results_high": self.results[32:],
                "results_mask": self.results_mask, "results_index": self.results_index,
                "status_low": self.block[:32], "status_high": self.block[32:],
                "interrupt": self.interrupt}
        if self._map.most_timesteps > 1:
            held["timesteps"] = self.timesteps
        if self._map.memories:
            held["load"] = self.load
        self._write(m, held)
        self._read(m, held)
        return m

    def _write(self, m, held):
        rings, facts = self._rings, self.facts
        # In the clock after a word arrives.
        here, word = Signal(len(held) + 1), self.number
        addresses = [rings.open, *(getattr(rings, name) for name in held)]
        m.d.sync += [
            here.eq(Cat(self.w_en & (self.w_addr == address) for address in addresses)),
            word.eq(self.w_data),
        ]
        m.d.comb += self.open.eq(here[0])
        for bit, (name, register) in zip(here[1:], held.items(), strict=True):
            allowed = facts.resting if name in _DESCRIBING else ~facts.resting
            if name == "timesteps":
                allowed = allowed & word.any() & (word <= self._map.most_timesteps)
            with m.If(bit & allowed):
                m.d.sync += register.eq(word & ~_CLEAR.get(name, 0) | _SET.get(name, 0))
        with m.If(facts.resting):
            m.d.sync += [self.samples_index.eq(0), self.results_index.eq(0)]

    def _read(self, m, held):
        where, rings, facts = self._map, self._rings, self.facts
        busy = (facts.submitted != facts.completed)
        m.d.comb += [
            self.device.addr.eq(self.addr),
            self.status[Status.BUSY].eq(busy),
            self.status[Status.RESTING].eq(facts.resting),
            self.status[Status.REFUSED:Status.LATE + 1].eq(facts.faults),
            self.status[Status.REJECTED].eq(facts.rejected),
        ]
        words = {
            where.frames: facts.counts.good, where.crc_errors: facts.counts.poisoned,
            where.dropped: facts.counts.dropped, where.submitted: facts.submitted,
            where.completed: facts.completed, where.status: self.status,
            where.session: facts.session, rings.samples_read: facts.samples_read,
            rings.results_written: facts.results_written, rings.loaded: facts.loaded,
            **{getattr(rings, name): register for name, register in held.items()}}
        here, word = Signal(len(words)), Signal(32)
        m.d.sync += [
            here.eq(Cat(self.addr == address for address in words)),
            word.eq(one_hot_mux(here, words.values())),
        ]
        m.d.comb += self.r_data.eq(word | self.device.r_data)
