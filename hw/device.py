"""The device that a host talks to: an array behind registers and a link."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bits import one_hot_mux
from .config import ArrayConfig
from .feeder import Collector, Feeder, Packing
from .link import Bus, Link, Status
from .registers import MAGIC, VERSION, RegisterMap
from .slip import Decoder, Encoder
from .stream import Queue, Stage
from .uart import Symbol

__all__ = ["packing", "register_map", "identity", "DeviceModel", "Registers", "Device"]


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
        self._logits = [0] * self.registers.classes
        self._filled = self.submitted = self.cycles = 0
        self.session = None
        """Number of the session that is open, if one is."""
        self.link = None
        """The :class:`hw.link.Model` whose counters are read, once there is one."""

    def owner(self, session):
        return session == self.session

    def read(self, addr):
        where = self.registers
        logits = (logit >> 32 * k for logit in self._logits for k in range(where.logit_words))
        result = [self.submitted, self.cycles, *logits]
        if addr >= where.result:
            return result[addr - where.result] & 0xffffffff
        counters = (self.link.frames, self.link.crc_errors, self.link.dropped)
        return [*self._identity, *counters, self.submitted, self.submitted, self.cycles, 0,
                where.input_words, where.classes, self.session or 0][addr]

    def begin(self):
        pass

    def write(self, addr, value):
        if addr == self.registers.open:
            self.session = value
            self._filled = self.submitted = 0
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
        if number == self.submitted:
            return Status.OK
        if number != (self.submitted + 1) & 0xffffffff:
            return Status.ORDER
        if self._filled != self._packing.words:
            return Status.INCOMPLETE
        self._logits, self.cycles = self._compute(self._packing.unpack(self._words))
        self.submitted, self._filled = number, 0
        return Status.OK


class Registers(wiring.Component):
    """The register map: identity, counters, the input buffer and the results of an array.

    The input is written in ascending order. A word may be written again, and then those after it
    must be, too: a sample starts only if all of its words were written in this session and after
    the sample before had started. While it is under way its input can't be overwritten: such words
    are ignored, and the status is ``BUSY``, unless the last word repeats the number of this very
    sample. What counts is whether it was under way at ``bus.begin``.

    The answer to a sample that was under way when another session was opened is dropped: it counts
    for neither.

    Parameters
    ----------
    config : :class:`~hw.config.ArrayConfig`
    digest : 64 hexadecimal digits, what the device is known by
    clock_hz : frequency of the clock

    Members
    -------
    bus : ``In(Bus)``
    frames, crc_errors, dropped : ``In(32)``, counters of the link
    o : ``Out(stream.Signature(config.input.beat_bits))``, beats to the array
    i : ``In(stream.Signature(config.readout.logit_bits))``, logits from it
    """

    def __init__(self, config, *, digest, clock_hz):
        self._identity = identity(config, digest=digest, clock_hz=clock_hz)
        self._config, self._digest, self._clock_hz = config, digest, clock_hz
        self._map = register_map(config)
        super().__init__({
            "bus": In(Bus),
            "frames": In(32),
            "crc_errors": In(32),
            "dropped": In(32),
            "o": Out(stream.Signature(config.input.beat_bits)),
            "i": In(stream.Signature(config.readout.logit_bits)),
        })

    @property
    def map(self):
        """The :class:`~hw.registers.RegisterMap`."""
        return self._map

    def elaborate(self, platform):
        m = Module()

        where, readout, bus = self._map, self._config.readout, self.bus
        m.submodules.feeder = feeder = Feeder(packing(self._config))
        m.submodules.collector = collector = Collector(
            readout.channels, readout.lanes, readout.membrane_bits)
        # Whether the array takes a beat does not reach the feeder in the same clock.
        m.submodules.beats = beats = Queue(feeder.o.p.shape(), depth=3)
        connect(m, feeder.o, beats.i)
        connect(m, beats.o, flipped(self.o))
        connect(m, flipped(self.i), collector.i)

        session = Signal(32)
        opened = Signal()
        submitted = Signal(32)
        completed = Signal(32)
        cycles = Signal(32)
        busy = Signal()
        # Whether the session that started the sample under way is still open.
        awaited = Signal()
        m.d.sync += bus.owner.eq(opened & (bus.session == session))
        with m.If(collector.done):
            m.d.sync += busy.eq(0)
            with m.If(awaited):
                m.d.sync += completed.eq(submitted)

        clocks = Signal(32, reset_less=True)
        running = Signal()
        with m.If(self.o.valid & self.o.ready & ~running):
            m.d.sync += running.eq(1)
            m.d.sync += clocks.eq(1)
        with m.Elif(running):
            m.d.sync += clocks.eq(clocks + 1)
        with m.If(self.i.valid & self.i.ready & collector.last):
            m.d.sync += running.eq(0)
            m.d.sync += cycles.eq(clocks)

        # Words of the input that are there, and where the word that comes would lie.
        filled = Signal(range(where.input_words + 1))
        offset = Signal.like(filled)
        # The bus holds still for a clock before a word is written.
        opens, submits, repeats, follows = Signal(), Signal(), Signal(), Signal()
        adjoins, complete = Signal(), Signal()
        m.d.comb += offset.eq(bus.addr - where.input)
        m.d.sync += [
            opens.eq(bus.addr == where.open),
            submits.eq(bus.addr == where.submit),
            repeats.eq(bus.w_data == submitted),
            follows.eq(bus.w_data == (submitted + 1)[:32]),
            adjoins.eq(offset <= filled),
            complete.eq(filled == where.input_words),
        ]
        held = Signal()
        start = Signal()
        with m.If(bus.begin):
            m.d.sync += held.eq(busy)
        m.d.comb += [
            feeder.w_addr.eq(offset),
            feeder.w_data.eq(bus.w_data),
            feeder.start.eq(start),
            bus.w_status.eq(Status.OK),
        ]
        with m.If(opens):
            with m.If(bus.w_en):
                m.d.sync += [
                    session.eq(bus.w_data),
                    opened.eq(1),
                    Cat(submitted, completed, filled, awaited).eq(0),
                ]
        with m.Elif(submits & repeats):
            pass
        with m.Elif(submits & ~follows):
            m.d.comb += bus.w_status.eq(Status.ORDER)
        with m.Elif(held):
            m.d.comb += bus.w_status.eq(Status.BUSY)
        with m.Elif(Mux(submits, ~complete, ~adjoins)):
            m.d.comb += bus.w_status.eq(Status.INCOMPLETE)
        with m.Elif(submits):
            m.d.comb += start.eq(bus.w_en)
            with m.If(bus.w_en):
                m.d.sync += submitted.eq(bus.w_data)
                m.d.sync += Cat(busy, awaited).eq(~0)
                m.d.sync += filled.eq(0)
        with m.Else():
            m.d.comb += feeder.w_en.eq(bus.w_en)
            with m.If(bus.w_en):
                m.d.sync += filled.eq(offset + 1)

        facts = [
            *self._identity, self.frames, self.crc_errors, self.dropped,
            submitted, completed, cycles, busy, where.input_words, where.classes, session,
        ]
        facts = {**dict(enumerate(facts)), where.result: completed, where.result + 1: cycles}
        # First the address, then what lies there, then its word.
        read = Signal(16)
        m.d.sync += read.eq(bus.addr)
        here, is_logit, word = Signal(len(facts)), Signal(2), Signal(32)
        m.d.sync += here.eq(Cat(read == address for address in facts))
        m.d.sync += is_logit.eq(Cat(read >= where.result + 2, is_logit))
        m.d.sync += word.eq(one_hot_mux(here, facts.values()))
        logit = Signal(32)
        m.d.sync += logit.eq(collector.r_data)
        m.d.comb += [
            collector.r_addr.eq(read - (where.result + 2)),
            bus.r_data.eq(Mux(is_logit[1], logit, word)),
        ]

        return m


class Device(wiring.Component):
    """A device without its serial line: received bytes in, bytes to be sent out.

    Parameters
    ----------
    array : the component that computes: streams ``i`` (input beats) and ``o`` (logits)
    config, digest, clock_hz : as for :class:`Registers`

    Members
    -------
    i : ``In(stream.Signature(Symbol))``
    o : ``Out(stream.Signature(8))``
    """

    def __init__(self, array, config, *, digest, clock_hz):
        identity(config, digest=digest, clock_hz=clock_hz)
        self._array, self._config, self._digest, self._clock_hz = array, config, digest, clock_hz
        super().__init__({"i": In(stream.Signature(Symbol)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()

        m.submodules.array = array = self._array
        m.submodules.registers = registers = Registers(
            self._config, digest=self._digest, clock_hz=self._clock_hz)
        m.submodules.decoder = decoder = Decoder()
        m.submodules.link = link = Link(registers.map)
        m.submodules.stage = stage = Stage(link.o.p.shape())
        m.submodules.encoder = encoder = Encoder()

        connect(m, flipped(self.i), decoder.i)
        connect(m, decoder.o, link.i)
        connect(m, link.o, stage.i)
        connect(m, stage.o, encoder.i)
        connect(m, encoder.o, flipped(self.o))
        connect(m, link.bus, registers.bus)
        connect(m, registers.o, array.i)
        connect(m, array.o, registers.i)
        m.d.comb += [
            registers.frames.eq(link.frames),
            registers.crc_errors.eq(link.crc_errors),
            registers.dropped.eq(link.dropped),
        ]

        return m
