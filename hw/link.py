"""The link engine: requests of a host become reads and writes of registers, and are answered.

A frame is ``seq op addr(2) count session(4) data(4 * count) crc(4)``, all little-endian, the CRC-32
being that of zlib over all before it. A request reads (no data) or writes ``count`` words from
``addr``. The answer repeats ``seq``, ``addr``, ``count`` and ``session``, so that no host takes an
answer to another one for its own; its ``op`` is ``0x80 | status << 4 | op & 15``, and only a
successful read carries data.
"""

import zlib

from amaranth import *
from amaranth.lib import crc, data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .registers import MAX_WORDS, RegisterMap
from .slip import Token

__all__ = ["Op", "Status", "Header", "Bus", "Model", "Link"]


class Op(enum.Enum, shape=8):
    READ = 1
    WRITE = 2


class Status(enum.Enum, shape=3):
    """Outcome of a request. Anything but ``OK`` means that nothing has happened."""

    OK = 0
    UNKNOWN = 1
    """There is no such operation."""
    RANGE = 2
    """The words don't lie in one region that may be accessed in this way."""
    BUSY = 3
    """A sample is under way."""
    ORDER = 4
    """This sample is not the next one."""
    SESSION = 5
    """The session is not the one that is open."""
    INCOMPLETE = 6
    """Words of the input that come before have not been written."""


Header = data.StructLayout({"seq": 8, "op": 8, "addr": 16, "count": 8, "session": 32})

Bus = wiring.Signature({
    "addr":     Out(16),
    "session":  Out(32),
    "owner":    In(1),
    "r_data":   In(32),
    "begin":    Out(1),
    "w_en":     Out(1),
    "w_data":   Out(32),
    "w_status": In(Status),
})
"""Access to registers, as the link sees it.

``owner`` tells whether ``session`` is the one that is open, a clock later; only then may regions be
accessed that are ``owned``. ``r_data`` is the word at ``addr``, three clocks later. ``begin`` is
high for a clock before the first word of a write. ``addr`` and ``w_data`` are there a clock before
``w_en`` is high; ``w_status`` is the outcome of the word that ``w_en`` writes, in the same clock.
"""

_HEADER = Header.size // 8
_LONGEST = _HEADER + 4 * MAX_WORDS + 4


class Model:
    """The link engine in integers.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`
    target : has ``owner(session)``, ``read(addr)``, ``begin()``, ``write(addr, value)`` (returns a
        :class:`Status`)
    """

    def __init__(self, registers, target):
        self.registers, self.target = registers, target
        self.frames = self.crc_errors = self.dropped = 0
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
        words = (len(frame) - _HEADER) // 4
        if poisoned or words < 1 or len(frame) > _LONGEST:
            self.dropped += 1
            return []
        if int.from_bytes(frame[-4:], "little") != zlib.crc32(frame[:-4]):
            self.crc_errors += 1
            return []
        header = Header.from_bits(int.from_bytes(frame[:_HEADER], "little"))
        known = header.op in (Op.READ.value, Op.WRITE.value)
        write = header.op == Op.WRITE.value
        if known and len(frame) != _HEADER + 4 + write * 4 * header.count:
            self.dropped += 1
            return []
        self.frames += 1
        status, body = Status.OK, b""
        region = self.registers.region(header.addr, header.count, write=write)
        if not known:
            status = Status.UNKNOWN
        elif region is None:
            status = Status.RANGE
        elif region.owned and not self.target.owner(header.session):
            status = Status.SESSION
        elif write:
            status = self._write(header, frame[_HEADER:-4])
        else:
            body = b"".join(self.target.read(header.addr + k).to_bytes(4, "little")
                            for k in range(header.count))
        op = 0x80 | status.value << 4 | header.op & 15
        answer = bytes((header.seq, op)) + frame[2:_HEADER] + body
        answer += zlib.crc32(answer).to_bytes(4, "little")
        return [(0, 1, 0), *((byte, 0, 0) for byte in answer), (0, 1, 0)]

    def _write(self, header, body):
        self.target.begin()
        for k in range(header.count):
            value = int.from_bytes(body[4 * k:4 * k + 4], "little")
            status = self.target.write(header.addr + k, value)
        return status


class Link(wiring.Component):
    """Executes requests.

    A request is stored while it arrives and acts only after its end, and only if its CRC and its
    length are right: frames that are damaged, too short, too long or of a length that contradicts
    their header are counted and dropped without an answer; those that ask for something that isn't
    there, or that belongs to another session, are answered with a :class:`Status`. The status of a
    write is that of its last word. No input is taken while a request is executed and answered.

    Parameters
    ----------
    registers : :class:`~hw.registers.RegisterMap`

    Members
    -------
    i : ``In(stream.Signature(Token))``
    o : ``Out(stream.Signature(Token))``, answers, each with an end before and after it
    bus : ``Out(Bus)``
    frames, crc_errors, dropped : ``Out(32)``, counters
    """

    def __init__(self, registers):
        if not isinstance(registers, RegisterMap):
            raise TypeError(f"registers must be a RegisterMap, not {registers!r}")
        self._registers = registers
        super().__init__({
            "i": In(stream.Signature(Token)),
            "o": Out(stream.Signature(Token)),
            "bus": Out(Bus),
            "frames": Out(32),
            "crc_errors": Out(32),
            "dropped": Out(32),
        })

    @property
    def registers(self):
        return self._registers

    def _within(self, header, stop, write, *, owned):
        """Whether the words of the request, up to ``stop``, lie in a region that allows it and that
        is, or is not, owned."""
        return (header.count != 0) & (header.count <= MAX_WORDS) & Cat(
            (header.addr >= region.start) & (stop <= region.stop) & (write == region.writable)
            for region in self._registers.regions if region.owned == owned).any()

    def elaborate(self, platform):
        # One CRC processor serves both directions, because a request is answered before the next
        # one is taken. The header's register shifts bytes in on reception and out on transmission;
        # so does `word`. Words of a request, its CRC being the last, are stored by `index`.
        m = Module()

        m.submodules.crc = check = crc.Processor(crc.catalog.CRC32_ISO_HDLC(8))
        m.submodules.words = words = memory.Memory(shape=32, depth=MAX_WORDS + 1, init=[])
        store = words.write_port()
        load = words.read_port()

        header = Signal(Header)
        position = Signal(range(_HEADER + 1))
        index = Signal(range(MAX_WORDS + 2))
        lane = Signal(2)
        word = Signal(32)
        poisoned = Signal()

        address = Signal(16)
        left = Signal(8)
        status = Signal(Status)

        write = Signal()
        known = Signal()
        complete = Signal()
        free, owned = Signal(), Signal()
        # The header and the index are there clocks before they are judged.
        stop = Signal(17)
        m.d.sync += [
            write.eq(header.op == Op.WRITE),
            known.eq((header.op == Op.WRITE) | (header.op == Op.READ)),
            stop.eq(header.addr + header.count),
            complete.eq((lane == 0) & (index == Mux(write, header.count + 1, 1))),
            free.eq(self._within(header, stop, write, owned=False)),
            owned.eq(self._within(header, stop, write, owned=True)),
        ]

        m.d.comb += [
            store.addr.eq(index),
            store.data.eq(Cat(word[8:], self.i.p.data)),
            load.addr.eq(index),
            self.bus.addr.eq(address),
            self.bus.session.eq(header.session),
            self.bus.w_data.eq(word),
        ]
        # Block RAM answers late in the clock.
        loaded = Signal.like(word)
        m.d.sync += loaded.eq(load.data)
        # The CRC is a clock behind what it is of, and whether it matches one more: an answer waits
        # for it, and so does the judgement of a request.
        checked, matches = Signal(), Signal()
        m.d.sync += matches.eq(check.match_detected)
        m.d.comb += check.valid.eq(checked)
        m.d.sync += [checked.eq(0), check.data.eq(self.o.p.data)]
        sent = Signal()
        m.d.comb += sent.eq(self.o.valid & self.o.ready)

        with m.FSM():
            with m.State("Receive"):
                byte = self.i.p.data
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += check.data.eq(byte)
                with m.If(self.i.valid):
                    with m.If(self.i.p.end):
                        with m.If(poisoned | (position != 0)):
                            m.next = "Match"
                    with m.Elif(self.i.p.bad):
                        m.d.sync += poisoned.eq(1)
                    with m.Else():
                        m.d.sync += checked.eq(1)
                        with m.If(position != _HEADER):
                            m.d.sync += header.eq(Cat(header.as_value()[8:], byte))
                            m.d.sync += position.eq(position + 1)
                        with m.Elif(index == MAX_WORDS + 1):
                            m.d.sync += poisoned.eq(1)
                        with m.Else():
                            m.d.sync += word.eq(store.data)
                            m.d.sync += lane.eq(lane + 1)
                            m.d.comb += store.en.eq(lane == 3)
                            m.d.sync += index.eq(index + store.en)

            with m.State("Match"):
                m.next = "Check"

            with m.State("Check"):
                m.d.comb += check.start.eq(1)
                m.d.sync += [
                    position.eq(0),
                    index.eq(0),
                    lane.eq(0),
                    poisoned.eq(0),
                    address.eq(header.addr),
                    left.eq(0),
                    status.eq(Status.OK),
                ]
                m.next = "Receive"
                with m.If(poisoned | (index == 0)):
                    m.d.sync += self.dropped.eq(self.dropped + 1)
                with m.Elif(~matches):
                    m.d.sync += self.crc_errors.eq(self.crc_errors + 1)
                with m.Elif(known & ~complete):
                    m.d.sync += self.dropped.eq(self.dropped + 1)
                with m.Else():
                    m.d.sync += self.frames.eq(self.frames + 1)
                    m.next = "Open"
                    with m.If(~known):
                        m.d.sync += status.eq(Status.UNKNOWN)
                    with m.Elif(~(free | owned)):
                        m.d.sync += status.eq(Status.RANGE)
                    with m.Elif(owned & ~self.bus.owner):
                        m.d.sync += status.eq(Status.SESSION)
                    with m.Else():
                        m.d.sync += left.eq(header.count)
                        with m.If(write):
                            m.d.comb += self.bus.begin.eq(1)
                            m.next = "Fetch"

            with m.State("Fetch"):
                m.d.sync += index.eq(index + 1)
                m.next = "Answer"

            with m.State("Answer"):
                m.next = "Hold"

            with m.State("Hold"):
                m.d.sync += word.eq(loaded)
                m.next = "Offer"

            with m.State("Offer"):
                m.next = "Write"

            with m.State("Write"):
                m.d.comb += self.bus.w_en.eq(1)
                m.d.sync += status.eq(self.bus.w_status)
                m.d.sync += address.eq(address + 1)
                m.d.sync += left.eq(left - 1)
                m.next = "Fetch"
                with m.If(left == 1):
                    m.next = "Open"

            with m.State("Open"):
                m.d.comb += self.o.valid.eq(1)
                m.d.comb += self.o.p.end.eq(1)
                with m.If(sent):
                    m.d.sync += header.op.eq(Cat(header.op[:4], status, C(1, 1)))
                    m.next = "Header"

            with m.State("Header"):
                m.d.comb += self.o.valid.eq(1)
                m.d.comb += self.o.p.data.eq(header.as_value()[:8])
                m.d.sync += checked.eq(sent)
                with m.If(sent):
                    m.d.sync += header.eq(header.as_value()[8:])
                    m.d.sync += position.eq(position + 1)
                    with m.If(position == _HEADER - 1):
                        m.d.sync += position.eq(0)
                        m.next = "Load"
                        with m.If(left == 0):
                            m.next = "Settle"

            with m.State("Load"):
                m.d.sync += word.eq(self.bus.r_data)
                m.d.sync += address.eq(address + 1)
                m.d.sync += left.eq(left - 1)
                m.next = "Data"

            with m.State("Data"):
                m.d.comb += self.o.valid.eq(1)
                m.d.comb += self.o.p.data.eq(word[:8])
                m.d.sync += checked.eq(sent)
                with m.If(sent):
                    m.d.sync += word.eq(word[8:])
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == 3):
                        m.next = "Load"
                        with m.If(left == 0):
                            m.next = "Settle"

            with m.State("Settle"):
                m.next = "Crc"

            with m.State("Crc"):
                m.d.comb += self.o.valid.eq(1)
                m.d.comb += self.o.p.data.eq(check.crc.word_select(lane, 8))
                with m.If(sent):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == 3):
                        m.next = "Close"

            with m.State("Close"):
                m.d.comb += self.o.valid.eq(1)
                m.d.comb += self.o.p.end.eq(1)
                m.d.comb += check.start.eq(1)
                m.d.sync += index.eq(0)
                with m.If(sent):
                    m.next = "Receive"

        return m
