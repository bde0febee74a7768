"""From windows to words: which words of spikes a group of lanes has to look at, and when."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bits import more_than, place
from .run import beginning, timesteps_member
from .sequence import Loop, Sequence

__all__ = ["Select", "command_layout"]


def command_layout(core):
    """A word to fetch, for a :class:`hw.config.CoreConfig`.

    ``index`` is the tap plus ``taps`` times the group, ``step`` counts the remaining spike planes
    of the slice, ``corners`` are the addresses of the window's corner in each source's spike
    memory, minus the memory's size if the word lies past its end, modulo their width. An ``empty``
    command fetches nothing. ``descend`` marks the last command of an output row, ``finish`` that of
    a sample.
    """
    return data.StructLayout({
        "index": range(max(2, core.groups * core.taps)),
        "step": range(max(2, len(core.scan.charges))),
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

    Where trains have several slices, a window is that of one group and one slice: slice after slice
    for each group. The windows of other sources stay for all of them, and their planes come before
    the first slice. A plane without spikes that neither doubles the potential nor ends a step
    costs nothing.

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
            **{f"i{s}": In(stream.Signature(
                data.ArrayLayout(source.map.slice.planes, source.taps)))
               for s, source in enumerate(core.sources)},
            "o": Out(stream.Signature(command_layout(core))),
            **timesteps_member(core.timesteps),
        })

    @property
    def i(self):
        return [getattr(self, f"i{s}") for s in range(len(self._core.sources))]

    def model(self, windows, timesteps=None):
        """``windows[source]``: bits of each tap, a list of them for each slice. -> Commands
        ``(group, slice, tap, step, double, last)`` of a position, with ``step`` the place in the
        scan of the slice, and ``tap`` ``None`` for an empty one; ``last`` of a step. ``timesteps``
        are those of the run, by default all."""
        core, steps, commands = self._core, self._core.scan.charges, []
        ends = core.schedule.shortened(timesteps or core.schedule.timesteps).ends
        for group, mask in enumerate(core.masks):
            for turn, numbers in enumerate(core.scan.numbers):
                planes = [[tap for tap, bit in enumerate(self._bits(windows, turn, step))
                           if bit and mask >> tap & 1] for step in range(len(steps))]
                last = [number is not None and number in ends for number in numbers]
                top = next((k for k, plane in enumerate(planes) if plane or last[k]), len(steps))
                for step in range(top, len(steps)):
                    taps = planes[step] or [None]
                    double = step != top and steps[step].double
                    if core.slices > 1 and not (planes[step] or double or last[step]):
                        continue
                    for tap in taps:
                        commands.append((group, turn, tap, step, double and tap == taps[0],
                                         last[step] and tap == taps[-1]))
        return commands

    def _bits(self, windows, turn, step):
        """Occupancy bits of all taps, source after source, in one step of a slice."""
        scan, bits = self._core.scan, []
        for own, plane in zip(windows, scan.charges[step].planes, strict=True):
            window = own[turn if len(own) > 1 else 0]
            bits += [0 if plane is None or scan.numbers[turn][step] is None else tap >> plane & 1
                     for tap in window]
        return bits

    def elaborate(self, platform):
        m = Module()
        core = self._core
        taps, steps, groups = core.taps, core.scan.charges, core.groups
        sliced = core.slices > 1

        # The windows of a position, rearranged by step; the last step is number 0.
        offered = [Cat(Const(0) if plane is None else i.payload[tap][plane]
                       for i, source, plane in zip(self.i, core.sources, step.planes,
                                                  strict=True)
                       for tap in range(source.taps))
                   for step in reversed(steps)]

        if sliced:
            # At the last plane of a slice the scan ends, whether a step does or not.
            accept = Signal()
            arriving = _Turn(core, "arriving")
            arriving.count(m, accept)
            offered = self._replayed(offered, arriving)
            step_ends = self._slice_ends(m, arriving)
            stops, offered_mask = step_ends | 1, arriving.mask(m)
        else:
            step_ends = stops = self._step_ends(m)
            offered_mask = core.masks[0]

        # Of the windows of one position, of one group of lanes.
        occupancy = data.ArrayLayout(taps, len(steps))
        facts = data.StructLayout({"top": len(steps), "alone": len(steps),
                                   **({"ends": len(steps)} if sliced else {})})

        def find(planes, mask, name):
            """The first plane with spikes, one-hot, and the planes with no more than one word that
            has any."""
            # An expression would be written out in full for each of its bits; a signal is not.
            masked = Signal(occupancy, name=name)
            m.d.comb += masked.eq(Cat(plane & mask for plane in planes))
            spiking = Cat(plane.any() for plane in masked) | stops
            return {"top": Cat(spikes & ~spiking[number + 1:].any()
                               for number, spikes in enumerate(spiking)),
                    "alone": Cat(~more_than(1, plane) for plane in masked)}

        # The next position waits in a register, with the facts that are needed when it begins. Each
        # position takes at least two clocks, so the register may be empty for one.
        take, waits = Signal(), Signal()
        waiting, held = (Signal(occupancy, name=name, reset_less=True)
                         for name in ("waiting", "held"))
        first, others = (Signal(facts, name=name) for name in ("first", "others"))
        accepts = Cat(i.valid for i in self.i).all() & ~waits
        if sliced:
            m.d.comb += accept.eq(accepts)
            # What is no train stays for all slices and groups.
            m.d.comb += [i.ready.eq(accept if source.map.slices > 1 else accept & arriving.final)
                         for i, source in zip(self.i, core.sources, strict=True)]
        else:
            accept = accepts
            m.d.comb += [i.ready.eq(accept if len(self.i) > 1 else ~waits) for i in self.i]
        m.d.sync += waits.eq(accept | waits & ~take)
        with m.If(accept):
            for name, value in find(offered, offered_mask, "offered").items():
                m.d.sync += first[name].eq(value)
            if sliced:
                m.d.sync += first.ends.eq(step_ends)
            m.d.sync += waiting.eq(Cat(offered))
        with m.If(take):
            m.d.sync += held.eq(waiting)

        if sliced:
            leave = Signal()
            present = _Turn(core, "present")
            present.count(m, leave)
            group, last_group = present.group, Const(1)
        else:
            group, last_group = Signal(range(max(2, groups))), Signal(init=groups == 1)
        first_index = Signal(range(max(2, groups * taps)))
        mask, next_mask = Signal(taps), Signal(taps)
        with m.Switch(group):
            for number, value in enumerate(core.masks):
                with m.Case(number):
                    m.d.comb += mask.eq(value)
                    m.d.comb += next_mask.eq(core.masks[(number + 1) % groups])
        if len(set(core.masks)) == 1 or sliced:
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
        if sliced:
            step_ends = Signal(len(steps))
            with m.If(take):
                m.d.sync += step_ends.eq(first.ends)

        doubles = Signal(len(steps))
        m.d.comb += doubles.eq(Cat(step.double for step in reversed(steps)))

        height, width = core.sources[0].positions
        corners, leaves, ends = [], None, None
        for s, source in enumerate(core.sources):
            m.submodules[f"corner_{s}"] = corner = Sequence(
                [Loop(height, dy=source.descent),
                 Loop(width, step=source.stride[1] * source.map.position_beats),
                 *([Loop(groups), Loop(core.slices, step=int(source.map.slices > 1))]
                   if sliced else [])],
                start=source.corner, size=(source.map.height, source.map.width),
                offset=source.corner[1] * source.map.position_beats, row=source.row,
                rows=source.rows)
            corners.append(corner)
            leaves, ends = ((corner.last[1:].all(), corner.last[:2].all()) if sliced else
                            (corner.last[1], corner.last.all()))

        # Finding a word, its place and its index would be too much for one clock.
        base, picked = Signal.like(first_index), Signal(taps)
        m.d.comb += move.eq(~self.o.valid | self.o.ready)
        m.d.comb += self.o.p.index.eq(base + place(picked))
        # An empty plane does nothing if the potential does not double and no step ends.
        needed = ((todo != 0) | (doubles | step_ends).bit_select(step, 1)) if sliced else Const(1)
        with m.If(move):
            m.d.sync += [
                self.o.valid.eq(scan & needed if sliced else scan),
                base.eq(first_index),
                picked.eq(todo & ~rest),
                self.o.p.step.eq(step),
                self.o.p.empty.eq(todo == 0),
                self.o.p.double.eq(entered & doubles.bit_select(step, 1)),
                self.o.p.last.eq(last if len(core.schedule.ends) == 1 and not sliced
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
                    if sliced:
                        m.d.comb += leave.eq(1)
                        with m.If(present.final_slice):
                            m.d.sync += first_index.eq(Mux(present.final, 0, first_index + taps))
                    else:
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

    def _slice_ends(self, m, turn):
        """The same for the slice of a turn."""
        schedule, scan = self._core.schedule, self._core.scan
        ends = Signal(len(scan.charges))
        with m.Switch(turn.slice):
            for k, numbers in enumerate(scan.numbers):
                with m.Case(k):
                    m.d.comb += ends.eq(Cat(Const(number in schedule.ends, 1)
                                            for number in reversed(numbers)))
        if not schedule.timed:
            return ends
        fmap = next(source.map for source in self._core.sources if source.map.slices > 1)
        first, step = beginning(m, self.timesteps, fmap)
        later, now = turn.slice > first, turn.slice == first
        return ends & Cat(Const(1) if charge.number is None else
                          later | now & (step <= charge.number)
                          for charge in reversed(scan.charges))

    def _replayed(self, offered, turn):
        """The occupancy bits without the planes that are not replayed in the slice of a turn."""
        scan, planes = self._core.scan, []
        for number, plane in zip(reversed(range(len(scan.charges))), offered, strict=True):
            hidden = scan.hidden(number)
            is_hidden = Cat(turn.slice == k for k, is_one in enumerate(hidden) if is_one).any()
            planes.append(Mux(is_hidden, 0, plane) if any(hidden) else plane)
        return planes

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


class _Turn:
    """Which slice and which group of lanes a window is for.

    Parameters
    ----------
    core : :class:`hw.config.CoreConfig`

    Attributes
    ----------
    group, slice : counters
    final_slice, final : whether this is the last slice, and the last one of the last group
    """

    def __init__(self, core, name):
        self._core, self._name = core, name
        self.group = Signal(range(max(2, core.groups)), name=f"{name}_group")
        self.slice = Signal(range(core.slices), name=f"{name}_slice")
        self.final_slice = self.slice == core.slices - 1
        self.final = self.final_slice & (self.group == core.groups - 1)

    def count(self, m, moves):
        """Go on to the next window."""
        with m.If(moves):
            m.d.sync += self.slice.eq(Mux(self.final_slice, 0, self.slice + 1))
            with m.If(self.final_slice):
                m.d.sync += self.group.eq(Mux(self.final, 0, self.group + 1))

    def mask(self, m):
        """Which taps are connected to the group."""
        mask = Signal(self._core.taps, name=f"{self._name}_mask")
        with m.Switch(self.group):
            for number, value in enumerate(self._core.masks):
                with m.Case(number):
                    m.d.comb += mask.eq(value)
        return mask
