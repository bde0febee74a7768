"""The serial link: requests in frames become reads and writes of registers, and are answered.

A frame is ``seq op addr(2) count session(4) data(4 * count) crc(4)``, all little-endian, the CRC-32
being that of zlib over all before it. A request reads (no data) or writes ``count`` words from
``addr``; an exchange writes and then reads the result of the sample before the one that its last
word numbers. The answer repeats ``seq``, ``addr``, ``count`` and ``session``, so that no host takes
an answer to another one for its own; its ``op`` is ``0x80 | status << 4 | op & 15``, and only a
successful read or exchange carries data.
"""

import zlib

from amaranth import *
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .answer import Answers
from .bus import Bus, DeviceBus, Status
from .feeder import Word
from .loader import LoadBus
from .mailbox import Mailbox
from .registers import MAX_WORDS, RegisterMap
from .request import HEADER, Header, Requests
from .run import timesteps_member
from .slip import Decoder, Encoder, Token
from .stream import Stage
from .uart import Symbol

__all__ = ["ByteLink", "Link", "Model", "Op"]


class Op(enum.Enum, shape=8):
    """What a request asks for."""

    READ = 1
    WRITE = 2
    EXCHANGE = 3


_LONGEST = HEADER + 4 * MAX_WORDS + 4


class Model:
    """The link engine in integers.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`
    target : has ``owner(session)``, ``read(addr)``, ``begin()``, ``write(addr, value)`` (returns a
        :class:`Status`), ``answer(value)`` (returns the address that an exchange reads whose last
        word has this value), and ``counters``, which are counted here
    """

    def __init__(self, registers, target):
        self.registers, self.target = registers, target
        self._counters = target.counters
        self._frame, self._poisoned = bytearray(), False

    def feed(self, tokens):
        """Tokens ``(data, end, bad)`` received to tokens sent."""
        answers = []
        for value, end, bad in tokens:
            if end:
                frame, poisoned = bytes(self._frame), self._poisoned
                self._frame, self._poisoned = bytearray(), False
                if frame or poisoned:
                    answers += self._answer(frame, poisoned)
            elif bad:
                self._poisoned = True
            else:
                self._frame.append(value)
        return answers

    def _answer(self, frame, poisoned):
        words = (len(frame) - HEADER) // 4
        if poisoned or words < 1 or len(frame) > _LONGEST:
            self._counters.dropped += 1
            return []
        if int.from_bytes(frame[-4:], "little") != zlib.crc32(frame[:-4]):
            self._counters.crc_errors += 1
            return []
        header = Header.from_bits(int.from_bytes(frame[:HEADER], "little"))
        known = header.op in (op.value for op in Op)
        write = header.op in (Op.WRITE.value, Op.EXCHANGE.value)
        if known and len(frame) != HEADER + 4 + write * 4 * header.count:
            self._counters.dropped += 1
            return []
        self._counters.frames += 1
        status, words = self._execute(header, frame[HEADER:-4], known, write)
        op = 0x80 | status.value << 4 | header.op & 15
        answer = bytes((header.seq, op)) + frame[2:HEADER]
        answer += b"".join(word.to_bytes(4, "little") for word in words)
        answer += zlib.crc32(answer).to_bytes(4, "little")
        return [(0, 1, 0), *((byte, 0, 0) for byte in answer), (0, 1, 0)]

    def _execute(self, header, body, known, write):
        """Status, and words that are read."""
        region = self.registers.region(header.addr, header.count, write=write)
        exchange = header.op == Op.EXCHANGE.value
        if not known:
            return Status.UNKNOWN, []
        if region is None or (exchange and not region.exchanged):
            return Status.RANGE, []
        if region.owned and not self.target.owner(header.session):
            return Status.SESSION, []
        addr, count = header.addr, header.count
        if write:
            status = self._write(header, body)
            if not exchange or status != Status.OK:
                return status, []
            addr = self.target.answer(int.from_bytes(body[-4:], "little"))
            count = self.registers.exchanged
        return Status.OK, [self.target.read(addr + k) for k in range(count)]

    def _write(self, header, body):
        self.target.begin()
        for k in range(header.count):
            value = int.from_bytes(body[4 * k:4 * k + 4], "little")
            status = self.target.write(header.addr + k, value)
        return status


class _Progress:
    """Registers of the link: how far the present request is carried out.

    Attributes
    ----------
    address : where the next word is written or read
    left : words that are left
    index : number of the word that is written
    code : of the operation, as the answer repeats it
    outcome : status so far
    reads : whether a result is read when all words are written
    frames : requests so far
    """

    def __init__(self):
        self.address = Signal(16)
        self.left = Signal(range(MAX_WORDS + 1))
        self.index = Signal(range(MAX_WORDS + 1))
        self.code = Signal(4)
        self.outcome = Signal(Status)
        self.reads = Signal()
        self.frames = Signal(16)


class Link(wiring.Component):
    """Executes requests.

    A request is stored while it arrives and acts only after its end, and only if its CRC and its
    length are right: frames that are damaged, too short, too long or of a length that contradicts
    their header are counted and dropped without an answer; those that ask for something that isn't
    there, or that belongs to another session, are answered with a :class:`~hw.bus.Status`. The
    status of a write is that of its last word. A request arrives while the one before is executed
    and answered, and then waits; until it is executed no input is taken.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`

    Members
    -------
    i : ``In(stream.Signature(Token))``
    o : ``Out(stream.Signature(Token))``, answers, each with an end before and after it
    bus : ``Out(Bus)``
    """

    def __init__(self, registers):
        if not isinstance(registers, RegisterMap):
            raise TypeError(f"registers must be a RegisterMap, not {registers!r}")
        self._registers = registers
        super().__init__({
            "i": In(stream.Signature(Token)),
            "o": Out(stream.Signature(Token)),
            "bus": Out(Bus),
        })

    @property
    def registers(self):
        return self._registers

    def elaborate(self, platform):
        m = Module()

        m.submodules.requests = requests = Requests()
        m.submodules.answers = answers = Answers()
        connect(m, flipped(self.i), requests.i)
        connect(m, answers.o, flipped(self.o))
        m.d.comb += [
            requests.position.eq(answers.position),
            answers.octet.eq(requests.octet),
            self.bus.counters.crc_errors.eq(requests.crc_errors),
            self.bus.counters.dropped.eq(requests.dropped),
        ]
        write, exchange, refused, status = self._judge(m, requests.o.p)
        m.d.comb += requests.data.eq(write)
        m.d.comb += requests.bare.eq(requests.o.p.op == Op.READ)
        self._execute(m, requests, answers, write, exchange, refused, status)
        return m

    def _judge(self, m, header):
        """Whether a request writes, whether it is an exchange, and whether it is refused at once
        with a status; all of it two clocks after its header."""
        stop = Signal(17)
        write, exchange, known = Signal(), Signal(), Signal()
        free, owned = Signal(), Signal()
        exchanges = header.op == Op.EXCHANGE
        writes = (header.op == Op.WRITE) | exchanges
        m.d.sync += [
            stop.eq(header.addr + header.count),
            exchange.eq(exchanges),
            write.eq(writes),
            known.eq(writes | (header.op == Op.READ)),
            free.eq(self._within(header, stop, write, exchange, owned=False)),
            owned.eq(self._within(header, stop, write, exchange, owned=True)),
        ]
        status = Signal(Status)
        with m.If(~known):
            m.d.comb += status.eq(Status.UNKNOWN)
        with m.Elif(~(free | owned)):
            m.d.comb += status.eq(Status.RANGE)
        with m.Elif(owned & ~self.bus.owner):
            m.d.comb += status.eq(Status.SESSION)
        return write, exchange, status != Status.OK, status

    def _within(self, header, stop, write, exchange, *, owned):
        """Whether the words of the request, up to ``stop``, lie in a region that allows it and that
        is, or is not, owned."""
        return (header.count != 0) & (header.count <= MAX_WORDS) & Cat(
            self._holds(region, header, stop) & (
                write if region.exchanged else write & ~exchange if region.writable else ~write)
            for region in self._registers.regions if region.owned == owned).any()

    @staticmethod
    def _holds(region, header, stop):
        if region.copies == 1:
            return (header.addr >= region.start) & (stop <= region.stop)
        inside = region.stride.bit_length() - 1
        above = inside + region.copies.bit_length() - 1
        return (header.addr[above:] == region.start >> above) & (
            header.addr[:inside] + header.count <= region.stop - region.start)

    def _execute(self, m, requests, answers, write, exchange, refused, status):
        header, bus, now = requests.o.p, self.bus, _Progress()
        m.d.comb += [
            bus.addr.eq(now.address),
            bus.session.eq(header.session),
            bus.w_data.eq(requests.word),
            requests.index.eq(now.index),
            answers.op.eq(Cat(now.code, now.outcome, C(1, 1))),
            answers.word.eq(bus.r_data),
            answers.more.eq(now.left != 0),
            bus.counters.frames.eq(now.frames),
        ]

        with m.FSM():
            with m.State("Wait"):
                m.d.comb += requests.o.ready.eq(~answers.busy)
                m.d.sync += [
                    now.address.eq(header.addr),
                    now.left.eq(Mux(refused, 0, header.count)),
                    now.index.eq(0),
                    now.code.eq(header.op),
                    now.outcome.eq(status),
                    now.reads.eq(exchange),
                ]
                with m.If(requests.o.valid & requests.o.ready):
                    m.d.sync += now.frames.eq(now.frames + 1)
                    m.next = "Answer"
                    with m.If(write & ~refused):
                        m.d.comb += bus.begin.eq(1)
                        m.next = "Fetch"

            self._write(m, requests, now)

            with m.State("Answer"):
                m.d.comb += answers.start.eq(1)
                m.next = "Answered"

            with m.State("Answered"):
                with m.If(answers.taken):
                    m.d.sync += now.address.eq(now.address + 1)
                    m.d.sync += now.left.eq(now.left - 1)
                with m.If(~answers.busy):
                    m.next = "Wait"

    def _write(self, m, requests, now):
        """The states in which the words of a request are written one after the other."""
        bus = self.bus
        with m.State("Fetch"):
            m.d.comb += requests.hold.eq(1)
            m.next = "Load"

        with m.State("Load"):
            m.d.comb += requests.hold.eq(1)
            m.next = "Offer"

        with m.State("Offer"):
            m.d.comb += requests.hold.eq(1)
            m.next = "Write"

        with m.State("Write"):
            m.d.comb += requests.hold.eq(1)
            m.d.comb += bus.w_en.eq(1)
            m.d.sync += [
                now.outcome.eq(bus.w_status),
                now.address.eq(now.address + 1),
                now.index.eq(now.index + 1),
                now.left.eq(now.left - 1),
            ]
            m.next = "Fetch"
            with m.If(now.left == 1):
                m.next = "Answer"
                with m.If(now.reads & (bus.w_status == Status.OK)):
                    m.d.sync += now.address.eq(bus.answer)
                    m.d.sync += now.left.eq(self._registers.exchanged)


class ByteLink(wiring.Component):
    """The adapter from a device to received bytes and bytes to be sent.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`

    Members
    -------
    i : ``In(stream.Signature(Symbol))``
    o : ``Out(stream.Signature(8))``
    samples : ``Out(stream.Signature(32))``, to the device
    results : ``In(stream.Signature(Word))``, from it
    device : ``Out(DeviceBus)``
    timesteps : ``Out``, of the run; only if there are several
    load : ``Out(LoadBus)``; only if memories may be loaded
    """

    def __init__(self, registers):
        self._registers = registers
        super().__init__({
            "i": In(stream.Signature(Symbol)),
            "o": Out(stream.Signature(8)),
            "samples": Out(stream.Signature(32)),
            "results": In(stream.Signature(Word)),
            "device": Out(DeviceBus),
            **timesteps_member(registers.most_timesteps, Out),
            **({"load": Out(LoadBus)} if registers.memories else {}),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.decoder = decoder = Decoder()
        m.submodules.link = link = Link(self._registers)
        m.submodules.stage = stage = Stage(link.o.p.shape())
        m.submodules.encoder = encoder = Encoder()
        m.submodules.mailbox = mailbox = Mailbox(self._registers)
        connect(m, flipped(self.i), decoder.i)
        connect(m, decoder.o, link.i)
        connect(m, link.o, stage.i)
        connect(m, stage.o, encoder.i)
        connect(m, encoder.o, flipped(self.o))
        connect(m, link.bus, mailbox.bus)
        connect(m, mailbox.o, flipped(self.samples))
        connect(m, flipped(self.results), mailbox.i)
        connect(m, mailbox.device, flipped(self.device))
        if self._registers.most_timesteps > 1:
            m.d.comb += self.timesteps.eq(mailbox.timesteps)
        if self._registers.memories:
            connect(m, mailbox.load, flipped(self.load))

        return m
