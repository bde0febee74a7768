"""Replicas: several cores that compute one layer, each its share of the output rows."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .contents import ContentsBus, share
from .core import Core
from .past import begun_member, tell
from .run import timesteps_member
from .stream import Fork, Merge, Queue

__all__ = ["Replicas"]


class Replicas(wiring.Component):
    """``core.replicas`` cores that take turns at the rows of the output map.

    Every replica receives the whole source maps. It may be a row ahead: its rows wait in a queue
    until it is their turn.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`
    weights, parameters : see :class:`hw.lanes.Lanes`; every replica has them
    most : see :class:`hw.core.Core`
    number : of the core, if weights and parameters may be written

    Members
    -------
    i0, i1, ... : ``In(stream)``: beats of each source
    o : ``Out(stream)``: beats
    busy : ``Out(replicas)``: which replicas are adding a row
    timesteps, begun, contents : ``In``, see there
    """

    status = ("busy",)

    def __init__(self, core, weights, parameters, *, most=0, number=None):
        height, width = core.sources[0].positions
        if not 1 < core.replicas <= height:
            raise ValueError(f"replicas must be 2 to {height} (the output rows), not "
                             f"{core.replicas!r}")
        self._core = core
        # A row of results waits in the lanes' queue until it is its turn.
        self._row = width * core.position_beats
        self._written = number is not None
        self._replicas = [
            Core(own, weights, parameters, results=max(2, own.waiting, self._row), most=most,
                 place=None if number is None else (number, copy))
            for copy, own in enumerate(core.shares)]
        super().__init__({
            **{f"i{s}": In(stream.Signature(source.map.beat_bits))
               for s, source in enumerate(core.sources)},
            "o": Out(stream.Signature(core.out.beat_bits)),
            "busy": Out(core.replicas),
            **timesteps_member(core.timesteps),
            **begun_member(most if core.continues else 0),
            **({"contents": In(ContentsBus)} if self._written else {}),
        })

    @property
    def i(self):
        return [getattr(self, f"i{s}") for s in range(len(self._core.sources))]

    def elaborate(self, platform):
        m = Module()
        core, count = self._core, self._core.replicas
        m.submodules.merge = merge = Merge(core.out.beat_bits, count, burst=self._row,
                                               turns=core.sources[0].positions[0])
        for k, replica in enumerate(self._replicas):
            m.submodules[f"replica_{k}"] = replica
            connect(m, replica.o, merge.i[k])
        for s, source in enumerate(core.sources):
            m.submodules[f"fork_{s}"] = fork = Fork(source.map.beat_bits, count)
            connect(m, flipped(self.i[s]), fork.i)
            for o, replica in zip(fork.o, self._replicas, strict=True):
                connect(m, o, replica.i[s])
        # The consumers may be far away.
        m.submodules.merged = merged = Queue(core.out.beat_bits, depth=3)
        connect(m, merge.o, merged.i)
        connect(m, merged.o, flipped(self.o))
        m.d.comb += self.busy.eq(Cat(replica.busy for replica in self._replicas))
        if core.schedule.timed:
            m.d.comb += [replica.timesteps.eq(self.timesteps) for replica in self._replicas]
        if self._written:
            share(m, self.contents, [replica.contents for replica in self._replicas])
        if core.continues:
            tell(m, self.begun, self._replicas)
        return m
