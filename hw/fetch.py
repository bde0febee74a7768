"""From commands to words: looks up a tap, reads the spike memory, picks the plane."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .encoder import word_layout
from .select import command_layout
from .spikes import spike_plane

__all__ = ["Fetch"]


class Fetch(wiring.Component):
    """A pipeline of two reads: where a tap lies and its first weight row, then its counts.

    Where rows of zero weights are skipped, the first read also says which spikes count. A word that
    has none of them left is dropped, unless it doubles the potential or ends a step.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`

    Members
    -------
    i : ``In(stream.Signature(command_layout(core)))``
    o : ``Out(stream.Signature(word_layout(core)))``
    en, address, counts : read ports of the sources' spike memories, a member each (``en0``, ...)
    descend : ``Out(1)``: the last read of an output row has been issued
    finish : ``Out(1)``: that was the last one of a sample
    """

    def __init__(self, core):
        self._core = core
        ports = {}
        for s, source in enumerate(core.sources):
            ports[f"en{s}"] = Out(1)
            ports[f"address{s}"] = Out(range(max(2, source.beats)))
            ports[f"counts{s}"] = In(source.map.beat_bits)
        super().__init__({
            "i": In(stream.Signature(command_layout(core))),
            "o": Out(stream.Signature(word_layout(core))),
            "descend": Out(1),
            "finish": Out(1),
            **ports,
        })

    def table(self):
        """For each group and tap: the source, the offset from the window's corner, the row; and
        which spikes count, if not all do."""
        core = self._core
        places = [(s, source.offset(tap)) for s, source in enumerate(core.sources)
                  for tap in range(source.taps)]
        table = [{"source": s, "offset": offset, "row": row or 0}
                 for bases in core.row_bases
                 for (s, offset), row in zip(places, bases, strict=True)]
        if core.live is None:
            return table
        live = (spikes for group in core.live for spikes in group)
        return [place | {"live": spikes} for place, spikes in zip(table, live, strict=True)]

    def model(self, commands, counts):
        """Dicts in the shape of ``command_layout`` and ``counts[source][address]``, the contents of
        the spike memories -> dicts in the shape of ``word_layout``."""
        words, table, steps = [], self.table(), self._core.scan.charges[::-1]
        for command in commands:
            place = table[command["index"]]
            source = self._core.sources[place["source"]]
            word = {"spikes": 0, "fixed": int(source.fixed),
                    "masked": int(source.lanes is not None)}
            if not command["empty"]:
                s = place["source"]
                fmap, plane = self._core.sources[s].map.one_slice, steps[command["step"]].planes[s]
                beat = counts[s][(command["corners"][str(s)] + place["offset"]) % self._modulus(s)]
                for k, c in enumerate(source.lanes or range(fmap.word)):
                    count = beat >> c * fmap.bits & (1 << fmap.bits) - 1
                    spike = fmap.has_spike(count, plane)
                    word["spikes"] |= spike << k
            if self._core.live is not None:
                word["spikes"] &= place["live"]
                if not (word["spikes"] or command["double"] or command["last"]):
                    continue
            words.append(word | {"row": place["row"], "double": command["double"],
                                 "subtract": int(steps[command["step"]].subtract),
                                 "last": command["last"]})
        return words

    def _modulus(self, s):
        """The modulus of a source's addresses."""
        return 1 << len(getattr(self, f"address{s}"))

    def elaborate(self, platform):
        m = Module()
        core = self._core
        table = self.table()
        entry = data.StructLayout({
            "source": range(max(2, len(core.sources))),
            "offset": range(max(2, max(e["offset"] for e in table) + 1)),
            "row": self.o.p.row.shape(),
            **({} if core.live is None else {"live": self.o.p.spikes.shape()}),
        })
        m.submodules.table = taps = memory.Memory(shape=entry, depth=max(2, len(table)), init=table)
        port = taps.read_port()

        # Block RAM answers late in the clock, so its answer is registered before it is used.
        asked, found, reading, answered = (
            Signal(data.StructLayout({"valid": 1, "command": command_layout(core)}), name=name)
            for name in ("asked", "found", "reading", "answered"))
        advance = Signal()
        # Whether a word is dropped is known late in the clock, so it does not move the pipeline.
        waits = self.o.valid if core.live is None else answered.valid
        m.d.comb += advance.eq(~waits | self.o.ready)
        m.d.comb += self.i.ready.eq(advance)

        # First: the table is read.
        m.d.comb += port.en.eq(advance)
        m.d.comb += port.addr.eq(self.i.p.index)
        with m.If(advance):
            m.d.sync += asked.valid.eq(self.i.valid)
            m.d.sync += asked.command.eq(self.i.payload)

        # Second: the address. Third: the spike memory is read.
        place, source = Signal(entry), Signal.like(port.data.source)
        with m.If(advance):
            m.d.sync += found.eq(asked)
            m.d.sync += place.eq(port.data)
        m.d.comb += self.descend.eq(advance & found.valid & found.command.descend)
        m.d.comb += self.finish.eq(found.command.finish)
        for s in range(len(core.sources)):
            m.d.comb += [
                getattr(self, f"address{s}").eq(found.command.corners[str(s)] + place.offset),
                getattr(self, f"en{s}").eq(advance & found.valid & ~found.command.empty
                                           & (place.source == s)),
            ]
        row = Signal.like(self.o.p.row)
        with m.If(advance):
            m.d.sync += reading.eq(found)
            m.d.sync += source.eq(place.source)
            m.d.sync += row.eq(place.row)

        # Fourth: its answer. Then the plane is picked.
        counts, whose = [], Signal.like(source)
        for s, inner in enumerate(core.sources):
            counts.append(Signal(inner.map.beat_bits, name=f"counts_{s}", reset_less=True))
            with m.If(advance):
                m.d.sync += counts[s].eq(getattr(self, f"counts{s}"))
        with m.If(advance):
            m.d.sync += answered.eq(reading)
            m.d.sync += whose.eq(source)
            m.d.sync += self.o.p.row.eq(row)
        read = answered.command

        spikes = [Signal.like(self.o.p.spikes, name=f"spikes_{s}")
                  for s in range(len(core.sources))]
        with m.Switch(read.step):
            for number, step in enumerate(reversed(core.scan.charges)):
                with m.Case(number):
                    for s, (inner, plane) in enumerate(zip(core.sources, step.planes,
                                                           strict=True)):
                        if plane is not None:
                            word = spike_plane(inner.map, counts[s], plane)
                            if inner.lanes is not None:
                                word = Cat(word[channel] for channel in inner.lanes)
                            m.d.comb += spikes[s].eq(word)
        word = Array(spikes)[whose]
        if core.live is not None:
            word &= self._live(m, place.live, advance)
        with m.If(~read.empty):
            m.d.comb += self.o.p.spikes.eq(word)
        kinds = {"masked": [source.lanes is not None for source in core.sources],
                 "fixed": [source.fixed for source in core.sources]}
        m.d.comb += [self.o.p[name].eq(Array(Const(is_one, 1) for is_one in each)[whose])
                     for name, each in kinds.items()]
        subtracts = Const(sum(step.subtract << number for number, step in enumerate(
            reversed(core.scan.charges))), len(core.scan.charges))
        m.d.comb += [
            self.o.p.subtract.eq(subtracts.bit_select(read.step, 1)),
            self.o.p.double.eq(read.double),
            self.o.p.last.eq(read.last),
            self.o.valid.eq(answered.valid if core.live is None else answered.valid & (
                self.o.p.spikes.any() | read.double | read.last)),
        ]
        return m

    def _live(self, m, live, advance):
        """The spikes of a word that count, with the answer of the spike memory."""
        for name in ("live_reading", "live_answered"):
            register = Signal.like(live, name=name, reset_less=True)
            with m.If(advance):
                m.d.sync += register.eq(live)
            live = register
        return live
