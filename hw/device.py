"""The device that links are in front of: an array behind registers."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bits import one_hot_mux
from .bus import Bus, Status
from .config import ArrayConfig
from .feeder import Packing
from .registers import MAGIC, SLOTS, VERSION, RegisterMap
from .samples import Samples

__all__ = ["Device", "DeviceModel", "Registers", "identity", "packing", "register_map"]


def packing(config):
    """How the input of an array lies in words of the bus."""
    return Packing(config.input.beats, config.input.beat_bits)


def register_map(config):
    """The register map of the device around an array."""
    readout = config.readout
    return RegisterMap(packing(config).words, readout.channels, -(-readout.membrane_bits // 32))


def _digest_words(digest):
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"digest must be 64 hexadecimal digits in lower case, not {digest!r}")
    octets = bytes.fromhex(digest)
    return [int.from_bytes(octets[k:k + 4], "little") for k in range(0, 32, 4)]


def identity(config, *, digest, clock_hz):
    """First words of the register map, and a check of what every device is described by."""
    if not isinstance(config, ArrayConfig):
        raise TypeError(f"config must be an ArrayConfig, not {config!r}")
    if not isinstance(clock_hz, int) or not 0 < clock_hz < 1 << 32:
        raise ValueError(f"clock_hz must be a positive integer of 32 bits, not {clock_hz!r}")
    return [MAGIC, VERSION, *_digest_words(digest), clock_hz]


class DeviceModel:
    """The registers and the array in integers: the target of :class:`hw.link.Model`.

    Parameters
    ----------
    config : :class:`~hw.config.ArrayConfig`
    compute : input beats of a sample to its logits and the clocks it takes, which pass at once
    digest, clock_hz : as for :class:`Device`
    """

    def __init__(self, config, compute, *, digest, clock_hz):
        self.registers = register_map(config)
        self._packing, self._compute = packing(config), compute
        self._words = [0] * self._packing.words
        self._identity = identity(config, digest=digest, clock_hz=clock_hz)
        self._results = [(0, [0] * self.registers.classes)] * SLOTS
        self._filled = self.submitted = 0
        self.session = None
        """Number of the session that is open, if one is."""
        self.link = None
        """The :class:`hw.link.Model` whose counters are read, once there is one."""

    def owner(self, session):
        return session == self.session

    def read(self, addr):
        where = self.registers
        if addr >= where.result:
            slot, word = divmod(addr - where.result, where.stride)
            cycles, logits = self._results[slot]
            words = (logit >> 32 * k for logit in logits for k in range(where.logit_words))
            return [self.submitted, cycles, *words][word] & 0xffffffff
        counters = (self.link.frames, self.link.crc_errors, self.link.dropped)
        return [*self._identity, *(count & 0xffff for count in counters), self.submitted,
                self.submitted, 0, where.input_words, where.classes, self.session or 0][addr]

    def begin(self):
        pass

    def write(self, addr, value):
        if addr == self.registers.open:
            self.session, self._filled = value, 0
            return Status.OK
        if addr == self.registers.submit:
            return self._submit(value)
        return self._fill(addr - self.registers.input, value)

    def _fill(self, offset, value):
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
        if self._filled != self._packing.words:
            return Status.INCOMPLETE
        logits, cycles = self._compute(self._packing.unpack(self._words))
        self._results[number % SLOTS] = cycles, logits
        self.submitted, self._filled = number, 0
        return Status.OK


class Registers(wiring.Component):
    """The register map: identity, counters, and an array with the input buffer and the results.

    The input is written in ascending order. A word may be written again, and then those after it
    must be, too: a sample starts only if all of its words were written in this session and after
    the number of a sample was last written to ``submit``. Writing the number of one of the last
    samples again is acknowledged and has no effect. While there is no room for another sample,
    words are ignored and the status is ``BUSY``, unless the last word repeats such a number.
    ``BUSY`` is decided at ``bus.begin``.

    Parameters
    ----------
    config : :class:`~hw.config.ArrayConfig`
    digest : 64 hexadecimal digits, what the device is known by
    clock_hz : frequency of the clock

    Members
    -------
    bus : ``In(Bus)``
    frames, crc_errors, dropped : ``In(16)``, counters of the link
    o : ``Out(stream.Signature(config.input.beat_bits))``, beats to the array
    i : ``In(stream.Signature(config.readout.logit_bits))``, logits from it
    """

    def __init__(self, config, *, digest, clock_hz):
        self._identity = identity(config, digest=digest, clock_hz=clock_hz)
        self._config, self._digest, self._clock_hz = config, digest, clock_hz
        self._map = register_map(config)
        super().__init__({
            "bus": In(Bus),
            "frames": In(16),
            "crc_errors": In(16),
            "dropped": In(16),
            "o": Out(stream.Signature(config.input.beat_bits)),
            "i": In(stream.Signature(config.readout.logit_bits)),
        })

    @property
    def map(self):
        """The :class:`~hw.registers.RegisterMap`."""
        return self._map

    def elaborate(self, platform):
        m = Module()

        m.submodules.samples = samples = Samples(packing(self._config), self._config.readout)
        connect(m, samples.o, flipped(self.o))
        connect(m, flipped(self.i), samples.i)

        session = Signal(32)
        opened = Signal()
        m.d.sync += self.bus.owner.eq(opened & (self.bus.session == session))
        self._write(m, samples, session, opened)
        self._read(m, samples, session)
        return m

    def _write(self, m, samples, session, opened):
        where, bus = self._map, self.bus
        # Words of the input that are there, and where the word that comes would lie.
        filled = Signal(range(where.input_words + 1))
        offset = Signal.like(filled)
        ahead = Signal(16)
        # The bus holds still for a clock before a word is written.
        opens, submits, repeats, follows = Signal(), Signal(), Signal(), Signal()
        adjoins, complete = Signal(), Signal()
        m.d.comb += offset.eq(bus.addr - where.input)
        m.d.comb += ahead.eq(bus.w_data[:16] - samples.started)
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
        held = Signal()
        with m.If(bus.begin):
            m.d.sync += held.eq(~samples.free)
        m.d.comb += [
            samples.w_addr.eq(offset),
            samples.w_data.eq(bus.w_data),
            bus.w_status.eq(Status.OK),
        ]
        with m.If(opens):
            with m.If(bus.w_en):
                m.d.sync += [session.eq(bus.w_data), opened.eq(1), filled.eq(0)]
        with m.Elif(submits & repeats):
            with m.If(bus.w_en):
                m.d.sync += filled.eq(0)
        with m.Elif(submits & ~follows):
            m.d.comb += bus.w_status.eq(Status.ORDER)
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

    def _read(self, m, samples, session):
        """First the address, then what lies there, then its word."""
        where = self._map
        read = Signal(16)
        m.d.sync += read.eq(self.bus.addr)
        inside = where.stride.bit_length() - 1
        slots = SLOTS.bit_length() - 1
        is_result = read[inside + slots:] == where.result >> inside + slots
        word, slot = read[:inside], read[inside:inside + slots]
        facts = [
            *self._identity, self.frames, self.crc_errors, self.dropped, samples.started,
            samples.completed, samples.started != samples.completed, where.input_words,
            where.classes, session,
        ]
        places = [*(read == address for address in range(len(facts))),
                  is_result & (word == 0), is_result & (word == 1)]
        values = [*facts, samples.completed, samples.r_cycles]
        here, is_logit, fact = Signal(len(places)), Signal(2), Signal(32)
        logit = Signal(32)
        m.d.sync += [
            here.eq(Cat(places)),
            is_logit.eq(Cat(is_result & (word >= 2), is_logit)),
            fact.eq(one_hot_mux(here, values)),
            logit.eq(samples.r_logit),
        ]
        m.d.comb += [
            samples.r_slot.eq(slot),
            samples.r_addr.eq(word - 2),
            self.bus.r_data.eq(Mux(is_logit[1], logit, fact)),
        ]


class Device(wiring.Component):
    """A device without its links.

    Parameters
    ----------
    array : the component that computes: streams ``i`` (input beats) and ``o`` (logits)
    config, digest, clock_hz : as for :class:`Registers`

    Members
    -------
    bus : ``In(Bus)``
    frames, crc_errors, dropped : ``In(16)``, counters of the link
    """

    def __init__(self, array, config, *, digest, clock_hz):
        identity(config, digest=digest, clock_hz=clock_hz)
        self._array, self._config, self._digest, self._clock_hz = array, config, digest, clock_hz
        super().__init__({
            "bus": In(Bus),
            "frames": In(16),
            "crc_errors": In(16),
            "dropped": In(16),
        })

    @property
    def map(self):
        """The :class:`~hw.registers.RegisterMap`."""
        return register_map(self._config)

    def elaborate(self, platform):
        m = Module()

        m.submodules.array = array = self._array
        m.submodules.registers = registers = Registers(
            self._config, digest=self._digest, clock_hz=self._clock_hz)
        connect(m, flipped(self.bus), registers.bus)
        connect(m, registers.o, array.i)
        connect(m, array.o, registers.i)
        m.d.comb += [getattr(registers, name).eq(getattr(self, name))
                     for name in ("frames", "crc_errors", "dropped")]

        return m
