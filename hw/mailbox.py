"""The samples and results of a serial line, in registers that a host writes and reads.

The device takes words of samples as they come, and hands on results as they are ready. A host on a
line that loses bytes needs more: it may write a word again until the sample is submitted, submit it
again without harm, and read a result as often as it likes.
"""

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bits import one_hot_mux
from .buffers import Results, Samples
from .bus import Bus, DeviceBus, Status
from .feeder import Word
from .loader import LoadBus
from .registers import SLOTS, RegisterMap
from .run import timesteps_member

__all__ = ["Counters", "Mailbox", "MailboxModel"]


@dataclass
class Counters:
    """Good, corrupt and malformed requests, of the model."""

    frames: int = 0
    crc_errors: int = 0
    dropped: int = 0


class MailboxModel:
    """The mailbox in integers: the target of :class:`hw.link.Model`.

    Parameters
    ----------
    device : :class:`~hw.device.DeviceModel`
    loader : :class:`~hw.loader.LoaderModel`, if memories may be loaded
    """

    def __init__(self, device, loader=None):
        self._device, self.registers = device, device.registers
        self._loader = loader
        self._words = [0] * self.registers.input_words
        self._results = [[0] * (self.registers.result_words - 1)] * SLOTS
        self._filled = self.submitted = 0
        self.timesteps = self.registers.most_timesteps
        self.counters = Counters()
        self.session = None
        """Number of the session that is open, if one is."""

    def owner(self, session):
        return session == self.session

    def read(self, addr):
        where, counters = self.registers, self.counters
        if addr >= where.result:
            slot, word = divmod(addr - where.result, where.stride)
            *logits, clocks = self._results[slot]
            return [self.submitted, clocks, *logits][word]
        facts = {
            where.frames: counters.frames & 0xffff, where.crc_errors: counters.crc_errors & 0xffff,
            where.dropped: counters.dropped & 0xffff, where.submitted: self.submitted,
            where.completed: self.submitted, where.status: 0, where.session: self.session or 0}
        if self._loader is not None and addr in self._loader.facts:
            return self._loader.facts[addr]
        return facts[addr] if addr in facts else self._device.read(addr)

    def answer(self, value):
        """Address of what answers an exchange that ends with a word."""
        return self.registers.slot(value - 1)

    def begin(self):
        pass

    def write(self, addr, value):
        if addr == self.registers.open:
            self.session, self._filled = value, 0
            return Status.OK
        if addr == self.registers.submit:
            return self._submit(value)
        if addr == self.registers.timesteps:
            return self._choose(value)
        if addr < self.registers.input:
            return self._loader.write(addr, value)
        return self._fill(addr - self.registers.input, value)

    @property
    def _refuses(self):
        return self._loader is not None and not self._loader.intact

    def _choose(self, timesteps):
        if not 1 <= timesteps <= self.registers.most_timesteps:
            return Status.RANGE
        self.timesteps = timesteps
        return Status.OK

    def _fill(self, offset, value):
        if self._refuses:
            return Status.DAMAGED
        if offset > self._filled:
            return Status.INCOMPLETE
        self._words[offset] = value
        self._filled = offset + 1
        return Status.OK

    def _submit(self, number):
        ahead = (number - self.submitted) & 0xffff
        if number >> 16 or (-ahead & 0xffff > SLOTS - 1 and ahead != 1):
            return Status.ORDER
        if ahead != 1:
            self._filled = 0
            return Status.OK
        if self._refuses:
            return Status.DAMAGED
        if self._filled != len(self._words):
            return Status.INCOMPLETE
        self._results[number % SLOTS] = self._device.run(self._words, self.timesteps)
        self.submitted, self._filled = number, 0
        return Status.OK


class Mailbox(wiring.Component):
    """The registers that a host sees, with the input buffer and the results.

    The input is written in ascending order. A word may be written again, and then those after it
    must be, too: a sample starts only if all of its words were written in this session and after
    the number of a sample was last written to ``submit``. Writing the number of one of the last
    samples again is acknowledged and has no effect. While there is no room for another sample,
    words are ignored and the status is ``BUSY``, unless the last word repeats such a number.
    ``BUSY`` is decided at ``bus.begin``.

    The buffer holds two samples: while the words of one are sent, those of the next are written.
    Samples are numbered, modulo 2**16, in the order in which they are started. The result of sample
    ``n`` is in slot ``n % SLOTS``, so at most ``SLOTS`` samples are started without a result.

    Where runs may have fewer time-steps than there are, their number is a register. It keeps its
    value over sessions; while a sample has no result it can't be written, and the status is
    ``BUSY``. Any other number has the status ``RANGE``.

    Where memories may be loaded, words for that go to the loader (:class:`hw.loader.Loader`), and
    samples that it refuses have the status ``DAMAGED``.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`

    Members
    -------
    bus : ``In(Bus)``
    device : ``Out(DeviceBus)``, where all registers are read that are not the mailbox's
    o : ``Out(stream.Signature(32))``, samples
    i : ``In(stream.Signature(Word))``, their results
    timesteps : ``Out``, of the run; only if there are several
    load : ``Out(LoadBus)``; only if memories may be loaded
    """

    def __init__(self, registers):
        if not isinstance(registers, RegisterMap):
            raise TypeError(f"registers must be a RegisterMap, not {registers!r}")
        self._map = registers
        super().__init__({
            "bus": In(Bus),
            "device": Out(DeviceBus),
            "o": Out(stream.Signature(32)),
            "i": In(stream.Signature(Word)),
            **timesteps_member(registers.most_timesteps, Out),
            **({"load": Out(LoadBus)} if registers.memories else {}),
        })

    def elaborate(self, platform):
        m = Module()

        where = self._map
        m.submodules.samples = samples = Samples(where.input_words)
        m.submodules.results = results = Results(
            where.result_words - 1, slots=SLOTS, stride=where.stride)
        connect(m, samples.o, flipped(self.o))
        connect(m, flipped(self.i), results.i)

        session, opened = Signal(32), Signal()
        submitted, free = Signal(16), Signal(init=1)
        under_way = (submitted - results.completed)[:SLOTS.bit_length()]
        m.d.sync += [
            self.bus.owner.eq(opened & (self.bus.session == session)),
            submitted.eq(submitted + samples.start),
            free.eq(samples.free & (under_way != SLOTS)),
        ]
        self._write(m, samples, session, opened, submitted, free, under_way)
        self._read(m, results, session, submitted)
        return m

    def _write(self, m, samples, session, opened, submitted, free, under_way):
        where, bus = self._map, self.bus
        # Words of the input that are there, and where the word that comes would lie.
        filled = Signal(range(where.input_words + 1))
        offset = Signal.like(filled)
        opens, submits, repeats, follows, adjoins, complete = self._judge(
            m, submitted, filled, offset)
        held = Signal()
        with m.If(bus.begin):
            m.d.sync += held.eq(~free)
        if where.most_timesteps > 1:
            chooses, outcome = self._choose(m, under_way)
        if where.memories:
            loads, refused = self._load(m, under_way)
        slot = (bus.w_data - 1)[:SLOTS.bit_length() - 1]
        m.d.comb += [
            samples.w_addr.eq(offset),
            samples.w_data.eq(bus.w_data),
            bus.w_status.eq(Status.OK),
            bus.answer.eq(where.result | slot << where.stride.bit_length() - 1),
        ]
        with m.If(opens):
            with m.If(bus.w_en):
                m.d.sync += [session.eq(bus.w_data), opened.eq(1), filled.eq(0)]
        if where.most_timesteps > 1:
            with m.Elif(chooses):
                m.d.comb += bus.w_status.eq(outcome)
                with m.If(bus.w_en & (outcome == Status.OK)):
                    m.d.sync += self.timesteps.eq(bus.w_data)
        if where.memories:
            with m.Elif(loads):
                m.d.comb += [bus.w_status.eq(self.load.w_status), self.load.w_en.eq(bus.w_en)]
        with m.Elif(submits & repeats):
            with m.If(bus.w_en):
                m.d.sync += filled.eq(0)
        with m.Elif(submits & ~follows):
            m.d.comb += bus.w_status.eq(Status.ORDER)
        if where.memories:
            with m.Elif(refused):
                m.d.comb += bus.w_status.eq(Status.DAMAGED)
        with m.Elif(held):
            m.d.comb += bus.w_status.eq(Status.BUSY)
        with m.Elif(Mux(submits, ~complete, ~adjoins)):
            m.d.comb += bus.w_status.eq(Status.INCOMPLETE)
        with m.Elif(submits):
            m.d.comb += samples.start.eq(bus.w_en)
            with m.If(bus.w_en):
                m.d.sync += filled.eq(0)
        with m.Else():
            m.d.comb += samples.w_en.eq(bus.w_en)
            with m.If(bus.w_en):
                m.d.sync += filled.eq(offset + 1)

    def _judge(self, m, submitted, filled, offset):
        """What the word is that may be written in the next clock."""
        where, bus = self._map, self.bus
        ahead = Signal(16)
        # The bus holds still for a clock before a word is written.
        opens, submits, repeats, follows = Signal(), Signal(), Signal(), Signal()
        adjoins, complete = Signal(), Signal()
        m.d.comb += offset.eq(bus.addr - where.input)
        m.d.comb += ahead.eq(bus.w_data[:16] - submitted)
        numbers = ~bus.w_data[16:].any()
        m.d.sync += [
            opens.eq(bus.addr == where.open),
            submits.eq(bus.addr == where.submit),
            # The last one, or one of the SLOTS - 1 before.
            repeats.eq(numbers & ((ahead == 0) | (ahead > 0xffff - (SLOTS - 1)))),
            follows.eq(numbers & (ahead == 1)),
            adjoins.eq(offset <= filled),
            complete.eq(filled == where.input_words),
        ]
        return opens, submits, repeats, follows, adjoins, complete

    def _load(self, m, under_way):
        """Whether a word is for the loader, and whether samples are refused since the write began
        that it belongs to."""
        bus, load = self.bus, self.load
        loads, refused = Signal(), Signal()
        m.d.sync += loads.eq((bus.addr < self._map.input) & (bus.addr != self._map.open)
                             & (bus.addr != self._map.timesteps))
        with m.If(bus.begin):
            m.d.sync += refused.eq(load.refuses)
        m.d.comb += [load.addr.eq(bus.addr), load.w_data.eq(bus.w_data),
                     load.idle.eq(under_way == 0)]
        return loads, refused

    def _choose(self, m, under_way):
        """Whether a word chooses the time-steps, and whether they may be chosen."""
        where, bus = self._map, self.bus
        chooses, outcome = Signal(), Signal(Status)
        m.d.sync += chooses.eq(bus.addr == where.timesteps)
        with m.If((bus.w_data == 0) | (bus.w_data > where.most_timesteps)):
            m.d.sync += outcome.eq(Status.RANGE)
        with m.Elif(under_way != 0):
            m.d.sync += outcome.eq(Status.BUSY)
        with m.Else():
            m.d.sync += outcome.eq(Status.OK)
        return chooses, outcome

    def _read(self, m, results, session, submitted):
        """First the address, then what lies there, then its word."""
        where, counters = self._map, self.bus.counters
        read = Signal(16)
        m.d.sync += read.eq(self.bus.addr)
        inside = where.stride.bit_length() - 1
        above = inside + SLOTS.bit_length() - 1
        is_result = read[above:] == where.result >> above
        is_number = is_result & (read[:inside] == 0)
        facts = {
            where.frames: counters.frames, where.crc_errors: counters.crc_errors,
            where.dropped: counters.dropped, where.submitted: submitted,
            where.completed: results.completed,
            where.status: submitted != results.completed, where.session: session}
        here, fact = Signal(len(facts) + 1), Signal(32)
        kept, word = Signal(2), Signal(32)
        m.d.sync += [
            here.eq(Cat(is_number, *(read == address for address in facts))),
            fact.eq(one_hot_mux(here, [results.completed, *facts.values()])),
            kept.eq(Cat(is_result & ~is_number, kept)),
            word.eq(results.r_data),
        ]
        m.d.comb += [
            self.device.addr.eq(read),
            results.r_addr.eq(read[:above]),
            self.bus.r_data.eq(Mux(kept[1], word, fact | self.device.r_data)),
        ]
