"""A core: everything between a layer's spike memories and the counts it fires."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .changes import Changes
from .contents import ContentsBus
from .encoder import EventEncoder, word_layout
from .fetch import Fetch
from .lanes import Lanes
from .past import begun_member, tell
from .run import timesteps_member
from .select import Select
from .spikes import SpikeMemory
from .stream import Queue
from .window import Window

__all__ = ["Core"]

# Words between the fetching of spikes and their encoding: enough that planes without spikes, which
# cost the scan a clock, hide behind words with several.
_WORDS_AHEAD = 4

# The shortest queue that can pass a command every clock.
_COMMANDS_AHEAD = 3


class Core(wiring.Component):
    """A layer of neurons, or the read-out, over its spike memories.

    Spike memories -> windows -> select -> queue -> fetch -> queue -> event encoder -> lanes. Counts
    that are received as changes become such in front of the spike memory.
    Samples follow each other without a gap: while the lanes work on one, the windows gather the
    next.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`
    weights, parameters, results : see :class:`hw.lanes.Lanes`; by default results wait where there
        is more than one position, or more than one slice
    most : samples that may be under way, if a source ``continues`` (see :class:`hw.past.Begun`)
    place : see :class:`hw.lanes.Lanes`

    Members
    -------
    i0, i1, ... : ``In(stream)``: beats of each source
    o : ``Out(stream)``: beats, or logits (see :class:`hw.lanes.Lanes`)
    busy : ``Out(1)``: the lanes are adding a row
    timesteps : ``In``, of the run; only if it makes a difference
    begun : ``In``, see :class:`hw.past.Begun`; only if a source ``continues``
    contents : ``In(ContentsBus)``; only if there is a ``place``
    """

    status = ("busy",)

    def __init__(self, core, weights, parameters, *, results=None, most=0, place=None):
        self._core, self._place = core, place
        self._most = most if core.continues else 0
        self._lanes = Lanes(core, weights, parameters,
                            results=core.waiting if results is None else results, most=self._most,
                            place=place)
        super().__init__({
            **{f"i{s}": In(stream.Signature(source.arriving.beat_bits))
               for s, source in enumerate(core.sources)},
            "o": Out(self._lanes.o.signature),
            "busy": Out(1),
            **timesteps_member(core.timesteps),
            **begun_member(self._most),
            **({} if place is None else {"contents": In(ContentsBus)}),
        })

    @property
    def i(self):
        return [getattr(self, f"i{s}") for s in range(len(self._core.sources))]

    def elaborate(self, platform):
        m = Module()
        core = self._core
        m.submodules.select = select = Select(core)
        m.submodules.fetch = fetch = Fetch(core)
        m.submodules.words = words = Queue(word_layout(core), depth=_WORDS_AHEAD)
        m.submodules.encoder = encoder = EventEncoder(core)
        m.submodules.lanes = lanes = self._lanes

        told = [lanes] if core.keeps else []
        for s, source in enumerate(core.sources):
            m.submodules[f"spikes_{s}"] = spikes = SpikeMemory(source)
            m.submodules[f"window_{s}"] = window = Window(source, core.groups,
                                                                most=self._most)
            if source.past:
                told.append(window)
            arriving = flipped(self.i[s])
            if source.changes:
                m.submodules[f"changes_{s}"] = changes = Changes(source, most=self._most)
                connect(m, arriving, changes.i)
                arriving = changes.o
                told.append(changes)
            connect(m, arriving, spikes.i)
            connect(m, window.o, select.i[s])
            m.d.comb += [
                window.filled.eq(spikes.filled),
                spikes.occupancy_en.eq(window.occupancy_en),
                spikes.occupancy_address.eq(window.occupancy_address),
                window.occupancy.eq(spikes.occupancy),
                spikes.counts_en.eq(getattr(fetch, f"en{s}")),
                spikes.counts_address.eq(getattr(fetch, f"address{s}")),
                getattr(fetch, f"counts{s}").eq(spikes.counts),
                spikes.descend.eq(fetch.descend),
                spikes.finish.eq(fetch.finish),
            ]

        # With a queue, a stall of the fetching does not reach the scan in the same clock.
        m.submodules.commands = commands = Queue(select.o.p.shape(), depth=_COMMANDS_AHEAD)
        connect(m, select.o, commands.i)
        connect(m, commands.o, fetch.i)
        connect(m, fetch.o, words.i)
        connect(m, words.o, encoder.i)
        connect(m, encoder.o, lanes.i)
        connect(m, lanes.o, flipped(self.o))
        m.d.comb += self.busy.eq(lanes.busy)
        if self._place is not None:
            connect(m, flipped(self.contents), lanes.contents)
            # What is on its way to the lanes will read their memories.
            coming = [*(i.valid for i in select.i), select.o.valid, commands.o.valid,
                      fetch.o.valid, words.o.valid, encoder.o.valid]
            m.d.comb += self.contents.active.eq(Cat(coming).any() | lanes.contents.active)
        if core.continues:
            tell(m, self.begun, told)
        if core.schedule.timed:
            m.d.comb += [component.timesteps.eq(self.timesteps) for component in (select, lanes)]
        return m
