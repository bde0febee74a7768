"""Asynchronous serial line, 8N1: one start bit, eight data bits (lowest first), one stop bit."""

from amaranth import *
from amaranth.lib import cdc, data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BAUD_TOLERANCE", "Receiver", "Symbol", "Transmitter", "divisor"]

BAUD_TOLERANCE = 0.02
"""Greatest relative error of the rate: two ends that are this far off still meet mid-bit."""

_LEAST = 8
"""Clocks that a bit must last for the majority vote to stay inside it."""

Symbol = data.StructLayout({"data": 8, "bad": 1})
"""A received byte; ``bad``: it had no stop bit, or stands for bytes that were lost."""


def divisor(clock_hz, baud):
    """Clocks a bit lasts.

    Raises
    ------
    ValueError
        If the clock is too slow for the rate, or the rounded divisor misses it by over 2 %.
    """
    for name, value in (("clock_hz", clock_hz), ("baud", baud)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, not {value!r}")
    result = (2 * clock_hz + baud) // (2 * baud)
    if result < _LEAST:
        raise ValueError(f"baud must be at most {clock_hz // _LEAST} with a clock of {clock_hz} "
                         f"Hz, not {baud!r}")
    if abs(clock_hz / result / baud - 1) > BAUD_TOLERANCE:
        raise ValueError(f"baud must be within 2 % of a divisor of the clock, not {baud!r}; "
                         f"{round(clock_hz / result)} is the nearest that {clock_hz} Hz allow")
    return result


def _check_divisor(divisor):
    if not isinstance(divisor, int) or divisor < _LEAST:
        raise ValueError(f"divisor must be an integer of at least {_LEAST}, not {divisor!r}")


class Receiver(wiring.Component):
    """Receives bytes.

    The line is synchronised, then filtered by a majority of three clocks, and sampled in the
    middle of each bit. A start bit that ends before its middle was a glitch. A byte without a stop
    bit is handed on as ``bad``; the receiver then waits for the line to be idle, so that a break is
    one bad byte. Bytes that arrive while an earlier one has not been taken are lost, and one bad
    byte stands for them.

    Parameters
    ----------
    divisor : clocks a bit lasts, at least 8

    Members
    -------
    rx : ``In(1)``, the line, asynchronous
    o : ``Out(stream.Signature(Symbol))``
    """

    def __init__(self, divisor):
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(Symbol))})

    @property
    def divisor(self):
        return self._divisor

    def model(self, levels):
        """Levels of the line, one a clock, to pairs ``(data, bad)``, when all are taken at once."""
        padded = [1, 1, *levels]
        filtered = [int(sum(padded[t:t + 3]) >= 2) for t in range(len(levels))]
        symbols, clock = [], 0
        while clock < len(filtered):
            if filtered[clock]:
                clock += 1
                continue
            start = clock + self._divisor // 2
            samples = [filtered[t] for t in range(start, len(filtered), self._divisor)][:10]
            if samples[:1] == [1]:
                clock = start + 1
            elif len(samples) < 10:
                break
            else:
                bad = 1 - samples[9]
                symbols.append((sum(bit << k for k, bit in enumerate(samples[1:9])), bad))
                clock = start + 9 * self._divisor + 1
                while bad and clock < len(filtered) and not filtered[clock]:
                    clock += 1
        return symbols

    def elaborate(self, platform):
        m = Module()

        level = Signal(init=1)
        m.submodules.sync = cdc.FFSynchronizer(self.rx, level, init=1)
        window = Signal(2, init=0b11)
        m.d.sync += window.eq(Cat(level, window))
        line = Signal()
        m.d.comb += line.eq((level & window[0]) | (level & window[1]) | window.all())

        timer = Signal(range(self._divisor))
        count = Signal(range(10))
        bits = Signal(8)
        sample = Signal()
        m.d.comb += sample.eq(timer == 0)
        m.d.sync += timer.eq(Mux(sample, self._divisor - 1, timer - 1))

        arrived = Signal()
        lost = Signal()
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(arrived | lost)
            m.d.sync += self.o.p.data.eq(bits)
            m.d.sync += self.o.p.bad.eq(~line | lost)
            m.d.sync += lost.eq(0)
        with m.Elif(arrived):
            m.d.sync += lost.eq(1)

        with m.FSM():
            with m.State("Idle"):
                with m.If(~line):
                    m.d.sync += timer.eq(self._divisor // 2 - 1)
                    m.next = "Start"

            with m.State("Start"):
                m.d.sync += count.eq(0)
                with m.If(sample):
                    m.next = "Idle"
                    with m.If(~line):
                        m.next = "Data"

            with m.State("Data"):
                with m.If(sample):
                    m.d.sync += bits.eq(Cat(bits[1:], line))
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == 7):
                        m.next = "Stop"

            with m.State("Stop"):
                with m.If(sample):
                    m.d.comb += arrived.eq(1)
                    m.next = "Idle"
                    with m.If(~line):
                        m.next = "Break"

            with m.State("Break"):
                with m.If(line):
                    m.next = "Idle"

        return m


class Transmitter(wiring.Component):
    """Transmits bytes, without a gap when the next one is ready in time.

    Parameters
    ----------
    divisor : clocks a bit lasts, at least 8

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``, the line
    """

    def __init__(self, divisor):
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    @property
    def divisor(self):
        return self._divisor

    def model(self, values):
        """Bytes to levels of the line, one a clock, when bytes come without a gap."""
        return [level for value in values
                for level in (0, *(value >> k & 1 for k in range(8)), 1)
                for _ in range(self._divisor)]

    def elaborate(self, platform):
        m = Module()

        timer = Signal(range(self._divisor))
        bits = Signal(9)
        left = Signal(range(10))
        tick = Signal()
        m.d.comb += tick.eq(timer == 0)
        m.d.comb += self.i.ready.eq(tick & (left == 0))

        with m.If(~tick):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += timer.eq(self._divisor - 1)
            m.d.sync += Cat(self.tx, bits).eq(Cat(C(0, 1), self.i.payload, C(1, 1)))
            m.d.sync += left.eq(9)
        with m.Elif(left != 0):
            m.d.sync += timer.eq(self._divisor - 1)
            m.d.sync += Cat(self.tx, bits).eq(bits)
            m.d.sync += left.eq(left - 1)

        return m
