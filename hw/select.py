"""From windows to words: which words of spikes a group of lanes has to look at, and when."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bits import more_than, place
from .run import timesteps_member
from .sequence import Loop, Sequence

__all__ = ["Select", "command_layout"]


def command_layout(core):
    """A word to fetch, for a :class:`hw.config.CoreConfig`.

    ``index`` is the tap plus ``taps`` times the group, ``step`` counts the remaining spike planes,
    ``corners`` are the addresses of the window's corner in each source's spike memory, minus the
    memory's size if the word lies past its end, modulo their width. An ``empty`` command fetches
    nothing. ``descend`` marks the last command of an output row, ``finish`` that of a sample.
    """
    return data.StructLayout({
        "index": range(max(2, core.groups * core.taps)),
        "step": range(max(2, len(core.schedule.charges))),
        "corners": data.StructLayout({
            str(s): range(max(2, source.beats))
            for s, source in enumerate(core.sources)}),
        "empty": 1, "double": 1, "last": 1, "descend": 1, "finish": 1,
    })


class Select(wiring.Component):
    """Scans the windows of all sources for words with spikes, plane by plane.

    For each output position and group of lanes the planes come in the order of
    ``Schedule.charges``. Words without spikes cost nothing. A plane without spikes costs one empty
    command, because the potential must still double, or a step ends; the empty planes before the
    first spike of the first step are skipped. This takes a clock more for each group than there are
    commands, which run ahead of the lanes.

    Parameters
    ----------
    core : :class:`hw.config.CoreConfig`

    Members
    -------
    i : array of windows, one a source (see :class:`hw.window.Window`)
    o : ``Out(stream.Signature(command_layout(core)))``
    timesteps : ``In``, of the run; only if it makes a difference
    """

    def __init__(self, core):
        self._core = core
        super().__init__({
            **{f"i{s}": In(stream.Signature(data.ArrayLayout(source.map.planes, source.taps)))
               for s, source in enumerate(core.sources)},
            "o": Out(stream.Signature(command_layout(core))),
            **timesteps_member(core.timesteps),
        })

    @property
    def i(self):
        return [getattr(self, f"i{s}") for s in range(len(self._core.sources))]

    def model(self, windows, timesteps=None):
        """``windows[source]``: bits of each tap. -> Commands ``(group, tap, step, double, last)``
        of a position, with ``tap`` ``None`` for an empty one; ``last`` of a step. ``timesteps`` are
        those of the run, by default all."""
        core, steps, commands = self._core, self._core.schedule.charges, []
        ends = core.schedule.shortened(timesteps or core.schedule.timesteps).ends
        for group, mask in enumerate(core.masks):
            planes = [[tap for tap, bit in enumerate(self._bits(windows, step))
                       if bit and mask >> tap & 1] for step in range(len(steps))]
            top = next(k for k, plane in enumerate(planes) if plane or k in ends)
            for step in range(top, len(steps)):
                taps = planes[step] or [None]
                for turn, tap in enumerate(taps):
                    commands.append((
                        group, tap, step,
                        step != top and turn == 0 and steps[step].double,
                        step in ends and turn == len(taps) - 1))
        return commands

    def _bits(self, windows, step):
        """Occupancy bits of all taps, source after source, in one step."""
        return [0 if plane is None else tap >> plane & 1
                for window, plane in zip(windows, self._core.schedule.charges[step].planes,
                                         strict=True)
                for tap in window]

    def elaborate(self, platform):
        m = Module()
        core = self._core
        taps, steps, groups = core.taps, core.schedule.charges, core.groups

        # The windows of a position, rearranged by step; the last step is number 0.
        offered = [Cat(Const(0) if plane is None else i.payload[tap][plane]
                       for i, source, plane in zip(self.i, core.sources, step.planes,
                                                  strict=True)
                       for tap in range(source.taps))
                   for step in reversed(steps)]

        step_ends = self._step_ends(m)

        # Of the windows of one position, of one group of lanes.
        occupancy = data.ArrayLayout(taps, len(steps))
        facts = data.StructLayout({"top": len(steps), "alone": len(steps)})

        def find(planes, mask, name):
            """The first plane with spikes, one-hot, and the planes with no more than one word that
            has any."""
            # An expression would be written out in full for each of its bits; a signal is not.
            masked = Signal(occupancy, name=name)
            m.d.comb += masked.eq(Cat(plane & mask for plane in planes))
            spiking = Cat(plane.any() for plane in masked) | step_ends
            return {"top": Cat(spikes & ~spiking[number + 1:].any()
                               for number, spikes in enumerate(spiking)),
                    "alone": Cat(~more_than(1, plane) for plane in masked)}

        # The next position waits in a register, with the facts that are needed when it begins. Each
        # position takes at least two clocks, so the register may be empty for one.
        take, waits = Signal(), Signal()
        waiting, held = (Signal(occupancy, name=name, reset_less=True)
                         for name in ("waiting", "held"))
        first, others = (Signal(facts, name=name) for name in ("first", "others"))
        accept = Cat(i.valid for i in self.i).all() & ~waits
        m.d.comb += [i.ready.eq(accept if len(self.i) > 1 else ~waits) for i in self.i]
        m.d.sync += waits.eq(accept | waits & ~take)
        with m.If(accept):
            for name, value in find(offered, core.masks[0], "offered").items():
                m.d.sync += first[name].eq(value)
            m.d.sync += waiting.eq(Cat(offered))
        with m.If(take):
            m.d.sync += held.eq(waiting)

        group, last_group = Signal(range(max(2, groups))), Signal(init=groups == 1)
        first_index = Signal(range(max(2, groups * taps)))
        mask, next_mask = Signal(taps), Signal(taps)
        with m.Switch(group):
            for number, value in enumerate(core.masks):
                with m.Case(number):
                    m.d.comb += mask.eq(value)
                    m.d.comb += next_mask.eq(core.masks[(number + 1) % groups])
        if len(set(core.masks)) == 1:
            with m.If(take):
                m.d.sync += others.eq(first)
        else:
            for name, value in find(held, next_mask, "coming").items():
                m.d.sync += others[name].eq(value)

        # The scan enters a plane when a group begins, or after the last word of the plane above.
        # Ahead is the plane that it enters next, one-hot.
        begin, scan, move = Signal(), Signal(), Signal()
        ahead, alone = (Signal(len(steps), name=name) for name in ("ahead", "alone"))
        step = Signal(range(max(2, len(steps))))
        todo, rest = Signal(taps), Signal(taps)
        # enter: the present word is the last one of its plane, or there is none; last: it is the
        # last one of its group; entered: the word before was the last one of its plane.
        enter, last, entered = Signal(init=1), Signal(), Signal()
        upcoming = Cat((ahead & Cat(planes)).any() for planes in zip(*held, strict=True))
        m.d.comb += rest.eq(todo & (todo - 1))
        with m.If(begin | scan & move):
            m.d.sync += [
                entered.eq(scan & enter),
                todo.eq(Mux(enter, upcoming & mask, rest)),
                enter.eq(Mux(enter, (ahead & alone).any() | (ahead == 0), ~more_than(2, todo))),
                last.eq(Mux(enter, ahead[0] & alone[0], (ahead == 0) & ~more_than(2, todo))),
            ]
            with m.If(enter):
                m.d.sync += step.eq(place(ahead))
                m.d.sync += ahead.eq(ahead >> 1)
        with m.If(scan & move & last):
            m.d.sync += [ahead.eq(others.top), alone.eq(others.alone)]
        with m.If(take):
            m.d.sync += [ahead.eq(first.top), alone.eq(first.alone)]

        doubles = Signal(len(steps))
        m.d.comb += doubles.eq(Cat(step.double for step in reversed(steps)))

        height, width = core.sources[0].positions
        corners, leaves, ends = [], None, None
        for s, source in enumerate(core.sources):
            m.submodules[f"corner_{s}"] = corner = Sequence(
                [Loop(height, dy=source.descent),
                 Loop(width, step=source.stride[1] * source.map.chunks)],
                start=source.corner, size=(source.map.height, source.map.width),
                offset=source.corner[1] * source.map.chunks, row=source.row, rows=source.rows)
            corners.append(corner)
            leaves, ends = corner.last[1], corner.last.all()

        # Finding a word, its place and its index would be too much for one clock.
        base, picked = Signal.like(first_index), Signal(taps)
        m.d.comb += move.eq(~self.o.valid | self.o.ready)
        m.d.comb += self.o.p.index.eq(base + place(picked))
        with m.If(move):
            m.d.sync += [
                self.o.valid.eq(scan),
                base.eq(first_index),
                picked.eq(todo & ~rest),
                self.o.p.step.eq(step),
                self.o.p.empty.eq(todo == 0),
                self.o.p.double.eq(entered & doubles.bit_select(step, 1)),
                self.o.p.last.eq(last if len(core.schedule.ends) == 1
                                 else enter & step_ends.bit_select(step, 1)),
                self.o.p.descend.eq(last & last_group & leaves),
                self.o.p.finish.eq(ends),
            ]
        first_tap = 0
        for s, (source, corner) in enumerate(zip(core.sources, corners, strict=True)):
            address = Signal.like(corner.address, name=f"address_{s}")
            with m.If(move):
                m.d.sync += address.eq(corner.address)
            m.d.comb += self.o.p.corners[str(s)].eq(address - Mux(
                self._beyond(m, source, corner.slot, move, picked[first_tap:]), source.beats, 0))
            first_tap += source.taps

        with m.FSM():
            with m.State("Take"):
                m.d.comb += take.eq(waits)
                with m.If(waits):
                    m.next = "Begin"

            with m.State("Begin"):
                m.d.comb += begin.eq(1)
                m.next = "Scan"

            with m.State("Scan"):
                m.d.comb += scan.eq(1)
                with m.If(move & last):
                    m.next = "Begin"
                    m.d.sync += group.eq(Mux(last_group, 0, group + 1))
                    if groups > 1:
                        m.d.sync += last_group.eq(group == groups - 2)
                    m.d.sync += first_index.eq(Mux(last_group, 0, first_index + taps))
                    with m.If(last_group):
                        m.d.comb += [corner.next.eq(1) for corner in corners]
                        m.d.comb += take.eq(waits)
                        with m.If(~waits):
                            m.next = "Take"
        return m

    def _step_ends(self, m):
        """With which planes steps of the program end, in the order in which they are numbered."""
        schedule = self._core.schedule
        ends = [number in schedule.ends for number in range(len(schedule.charges))]
        if not schedule.timed:
            return Const(sum(is_one << k for k, is_one in enumerate(reversed(ends))), len(ends))
        # The trains of a run with fewer time-steps are as long, but empty before the first one.
        begun = Signal(len(ends))
        m.d.comb += begun.eq(Cat(
            Const(is_one, 1) if charge.number is None or not is_one else
            (self.timesteps >= schedule.timesteps - charge.number)
            for is_one, charge in zip(reversed(ends), reversed(schedule.charges), strict=True)))
        return begun

    @staticmethod
    def _beyond(m, source, slot, move, picked):
        """Whether the picked word lies past the end of the ring that the window's corner lies in.

        Parameters
        ----------
        slot : row of the ring that the corner lies in, while the word is found
        picked : one-hot, of the source's taps, a clock later
        """
        # If the size of the memory is a power of two, addresses wrap by themselves.
        if source.beats & source.beats - 1 == 0:
            return Const(0)
        slots = {(run * source.map.height + top) % source.rows
                 for run in range(source.rows) for top in source.tops}
        found = []
        for ky in range(1, source.kernel[0]):
            if max(slots) + ky >= source.rows:
                lies = Signal(name=f"beyond_{ky}")
                with m.If(move):
                    m.d.sync += lies.eq(slot >= source.rows - ky)
                taps = [picked[tap] for tap in range(source.taps)
                        if tap // source.map.chunks % source.kernel[0] == ky]
                found.append(lies & Cat(taps).any())
        return Cat(found).any()
