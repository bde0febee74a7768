"""From windows to words: which words of spikes a group of lanes has to look at, and when."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bits import more_than, place
from .run import timesteps_member
from .sequence import Loop, Sequence
from .turns import turns

__all__ = ["Select", "command_layout"]


def command_layout(core):
    """A word to fetch, for a :class:`hw.layers.CoreConfig`.

    ``index`` is the tap plus ``taps`` times the group. ``step`` is the number of the spike plane in
    the slice, counted from the last one. ``corners`` are the addresses of the window's corner in
    each source's spike memory, minus the memory's size if the word lies past its end, modulo their
    width. An ``empty`` command fetches nothing. ``descend`` marks the last command of an output
    row, ``finish`` that of a sample.
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
    the first slice. There, and where sources send changes, a plane without spikes costs nothing,
    unless it ends a step or there is something to double.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`

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
                data.ArrayLayout(source.map.one_slice.planes, source.taps)))
               for s, source in enumerate(core.sources)},
            "o": Out(stream.Signature(command_layout(core))),
            **timesteps_member(core.timesteps),
        })

    @property
    def i(self):
        return [getattr(self, f"i{s}") for s in range(len(self._core.sources))]

    def model(self, windows, timesteps=None):
        """``windows[source]``: bits of each tap, a list of them for each slice. -> Commands
        ``(group, slice_index, tap, plane, double, last)`` of a position, with ``plane`` the
        place in the scan of the slice, and ``tap`` ``None`` for an empty one; ``last`` of a step.
        ``timesteps`` are those of the run, by default all."""
        core, charges, commands = self._core, self._core.scan.charges, []
        ends = core.schedule.shortened(timesteps or core.schedule.timesteps).ends
        for group, mask in enumerate(core.masks):
            for slice_index, numbers in enumerate(core.scan.numbers):
                spiking = [[tap for tap, bit in enumerate(self._bits(windows, slice_index, plane))
                            if bit and mask >> tap & 1] for plane in range(len(charges))]
                last = [number is not None and number in ends for number in numbers]
                top = next((k for k, taps in enumerate(spiking) if taps or last[k]), len(charges))
                charged = False
                for plane in range(top, len(charges)):
                    taps = spiking[plane] or [None]
                    double = plane != top and charges[plane].double
                    doubles, charged = double and charged, charged or bool(spiking[plane])
                    if core.skips and not (spiking[plane] or doubles or last[plane]):
                        continue
                    charged = charged and not last[plane]
                    for tap in taps:
                        commands.append((group, slice_index, tap, plane, double and tap == taps[0],
                                         last[plane] and tap == taps[-1]))
        return commands

    def _bits(self, windows, slice_index, place):
        """Occupancy bits of all taps, source after source, at a place in the scan of a slice."""
        scan, bits = self._core.scan, []
        replayed = scan.numbers[slice_index][place] is not None
        for own, plane in zip(windows, scan.charges[place].planes, strict=True):
            window = own[slice_index if len(own) > 1 else 0]
            bits += [tap >> plane & 1 if replayed and plane is not None else 0 for tap in window]
        return bits

    def elaborate(self, platform):
        m = Module()
        core = self._core
        turn = turns(m, core, self.timesteps if core.schedule.timed else None)
        windows, scan = _Windows(core), _Scan(core)
        windows.accept(m, self.i, turn)
        mask = turn.mask(m)
        scan.advance(m, windows, mask, turn.coming(m, windows))
        corners = self._corners(m, turn.loops)
        picked = self._command(m, scan, turn, corners[-1])
        self._addresses(m, scan.move, corners, picked)

        with m.FSM():
            with m.State("Take"):
                m.d.comb += windows.take.eq(windows.waits)
                with m.If(windows.waits):
                    m.next = "Begin"

            with m.State("Begin"):
                m.d.comb += scan.begin.eq(1)
                m.next = "Scan"

            with m.State("Scan"):
                m.d.comb += scan.active.eq(1)
                with m.If(scan.move & scan.last):
                    m.next = "Begin"
                    turn.go_on(m)
                    with m.If(turn.last):
                        m.d.comb += [corner.next.eq(1) for corner in corners]
                        m.d.comb += windows.take.eq(windows.waits)
                        with m.If(~windows.waits):
                            m.next = "Take"
        return m

    def _corners(self, m, loops):
        """The walks of the windows' corners through the spike memories, one a source.

        Parameters
        ----------
        loops : those that the turns at a position add
        """
        corners = []
        height, width = self._core.sources[0].positions
        for s, source in enumerate(self._core.sources):
            m.submodules[f"corner_{s}"] = corner = Sequence(
                [Loop(height, dy=source.descent),
                 Loop(width, words=source.stride[1] * source.map.position_beats),
                 *loops(source)],
                start=source.corner, size=(source.map.height, source.map.width),
                offset=source.corner[1] * source.map.position_beats, row=source.row,
                rows=source.rows)
            corners.append(corner)
        return corners

    def _command(self, m, scan, turn, corner):
        """Send the commands, without the addresses. -> The tap of the command, one-hot."""
        # Finding a word, its place and its index would be too much for one clock.
        base, picked = Signal.like(turn.index), Signal(self._core.taps)
        m.d.comb += scan.move.eq(~self.o.valid | self.o.ready)
        m.d.comb += self.o.p.index.eq(base + place(picked))
        with m.If(scan.move):
            m.d.sync += [
                self.o.valid.eq(turn.sends(scan)),
                base.eq(turn.index),
                picked.eq(scan.todo & ~scan.rest),
                self.o.p.step.eq(scan.plane),
                self.o.p.empty.eq(scan.todo == 0),
                self.o.p.double.eq(scan.entered & scan.doubles.bit_select(scan.plane, 1)),
                self.o.p.last.eq(turn.ends_step(scan)),
                self.o.p.descend.eq(turn.ends_row(scan, corner.last)),
                self.o.p.finish.eq(corner.last[:2].all()),
            ]
        return picked

    def _addresses(self, m, move, corners, picked):
        """Send the addresses of the corners with the commands."""
        first_tap = 0
        for s, (source, corner) in enumerate(zip(self._core.sources, corners, strict=True)):
            address = Signal.like(corner.address, name=f"address_{s}")
            with m.If(move):
                m.d.sync += address.eq(corner.address)
            m.d.comb += self.o.p.corners[str(s)].eq(address - Mux(
                _beyond(m, source, corner.slot, move, picked[first_tap:]), source.beats, 0))
            first_tap += source.taps


class _Windows:
    """The windows of all sources: the present ones, and the next ones, which wait in a register
    with the facts that are needed when they begin.

    Facts are ``top``, the first plane with spikes, one-hot, and ``alone``, the planes with no more
    than one word that has any. Where planes are skipped, ``below`` are those that the
    scan enters after the first one.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`

    Attributes
    ----------
    take : the next windows become the present ones
    waits : whether the next windows are there
    first : facts of the next windows
    held : occupancy of the present windows, ``[plane][tap]``; the last plane is number 0
    """

    def __init__(self, core):
        self._core, planes = core, len(core.scan.charges)
        self._doubles = [charge.double for charge in reversed(core.scan.charges)]
        # Each position takes at least two clocks, so the register may be empty for one.
        self.take, self.waits = Signal(), Signal()
        self._occupancy = data.ArrayLayout(core.taps, planes)
        self._waiting, self.held = (Signal(self._occupancy, name=name, reset_less=True)
                                    for name in ("waiting", "held"))
        facts = ("top", "alone", *(("below",) if core.skips else ()))
        self.first = Signal(data.StructLayout(dict.fromkeys(facts, planes)))

    def accept(self, m, streams, turn):
        """Accept windows for a turn as soon as those before them are taken."""
        accept = Cat(i.valid for i in streams).all() & ~self.waits
        accepts = accept if len(streams) > 1 else ~self.waits
        m.d.comb += [i.ready.eq(turn.ready(source, accepts))
                     for i, source in zip(streams, self._core.sources, strict=True)]
        m.d.sync += self.waits.eq(accept | self.waits & ~self.take)
        offered = turn.replayed(self._planes(streams))
        with m.If(accept):
            self.find(m, self.first, offered, turn.offered_mask, turn.stops, "offered")
            m.d.sync += self._waiting.eq(Cat(offered))
            turn.accept(m)
        with m.If(self.take):
            m.d.sync += self.held.eq(self._waiting)
            turn.take(m)

    def _planes(self, streams):
        """The windows of the streams, rearranged by plane."""
        return [Cat(Const(0) if plane is None else i.payload[tap][plane]
                    for i, source, plane in zip(streams, self._core.sources, charge.planes,
                                                strict=True)
                    for tap in range(source.taps))
                for charge in reversed(self._core.scan.charges)]

    def find(self, m, facts, planes, mask, stops, name):
        """Register the facts of planes, of the taps in a mask.

        Parameters
        ----------
        stops : the planes that the scan does not skip
        """
        # An expression would be written out in full for each of its bits; a signal is not.
        masked = Signal(self._occupancy, name=name)
        m.d.comb += masked.eq(Cat(plane & mask for plane in planes))
        spiking = Cat(plane.any() for plane in masked) | stops
        if self._core.skips:
            entered = Signal(len(planes), name=f"{name}_entered")
            m.d.comb += entered.eq(spiking)
            spiking = entered
        m.d.sync += facts.top.eq(Cat(spikes & ~spiking[number + 1:].any()
                                     for number, spikes in enumerate(spiking)))
        m.d.sync += facts.alone.eq(Cat(~more_than(1, plane) for plane in masked))
        if self._core.skips:
            m.d.sync += facts.below.eq(Cat(
                (self._doubled(spiking, number) if doubles else spiking[number])
                & spiking[number + 1:].any() for number, doubles in enumerate(self._doubles)))

    def _doubled(self, spiking, number):
        """Whether the scan enters a plane before which the potential doubles, if it has entered one
        before: if there is anything to double, or a spike."""
        planes = len(self._core.scan.charges)
        earlier = [planes - 1 - end for end in self._core.schedule.ends
                   if end < planes - 1 - number] if self._core.slices == 1 else []
        if not earlier:  # the first step
            return Const(1)
        return spiking[number:min(earlier)].any()


class _Scan:
    """The scan over the planes of a window, and over the words with spikes of each plane.

    It enters a plane when a turn begins, or after the last word of the plane before. These are all
    planes below the first one; or, where planes are skipped, only those with an effect.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`

    Attributes
    ----------
    begin, active, move : a turn begins; there is a present word; it is done with
    todo, rest : taps of the plane, from the present word and from the next one
    plane : its number
    enter : whether the present word is the last one of its plane, or there is none
    entered : whether the word before was the last one of its plane
    last : whether the present word is the last one of its turn
    doubles : the planes before which the potential doubles
    """

    def __init__(self, core):
        self._charges, self._skips = core.scan.charges, core.skips
        planes, taps = len(self._charges), core.taps
        self.begin, self.active = Signal(), Signal()
        self.move = Signal()
        # Ahead is the plane that the scan enters next, one-hot.
        self._ahead, self._alone = (Signal(planes, name=name) for name in ("ahead", "alone"))
        self._below = Signal(planes, name="below")
        self.plane = Signal(range(max(2, planes)), name="step")
        self.todo, self.enter, self.last = Signal(taps), Signal(init=1), Signal()
        self.rest = Signal(taps)
        self.entered = Signal()
        self.doubles = Signal(planes)

    def advance(self, m, windows, mask, coming):
        """Move on from word to word.

        Parameters
        ----------
        mask : taps that the turn looks at
        coming : facts of the next turn, if it is at the same window
        """
        ahead, alone, todo = self._ahead, self._alone, self.todo
        upcoming = Cat((ahead & Cat(planes)).any() for planes in zip(*windows.held, strict=True))
        m.d.comb += self.rest.eq(todo & (todo - 1))
        with m.If(self.begin | self.active & self.move):
            m.d.sync += [
                self.entered.eq(self.active & self.enter),
                todo.eq(Mux(self.enter, upcoming & mask, self.rest)),
                self.enter.eq(Mux(self.enter, (ahead & alone).any() | (ahead == 0),
                                  ~more_than(2, todo))),
                self.last.eq(Mux(self.enter, ahead[0] & alone[0],
                                 (ahead == 0) & ~more_than(2, todo))),
            ]
            with m.If(self.enter):
                m.d.sync += self.plane.eq(place(ahead))
                m.d.sync += ahead.eq(self._next(m))
        for begins, facts in ((self.active & self.move & self.last, coming),
                              (windows.take, windows.first)):
            with m.If(begins):
                m.d.sync += [ahead.eq(facts.top), alone.eq(facts.alone)]
                if self._skips:
                    m.d.sync += self._below.eq(facts.below)
        m.d.comb += self.doubles.eq(Cat(charge.double for charge in reversed(self._charges)))

    def _next(self, m):
        """The plane after the one ahead, one-hot."""
        if not self._skips:
            return self._ahead >> 1
        below = self._below
        first = Cat(plane & ~below[number + 1:].any() for number, plane in enumerate(below))
        m.d.sync += below.eq(below & ~first)
        return first


def _beyond(m, source, slot, move, picked):
    """Whether the picked word lies past the end of the ring that the window's corner lies in.

    Parameters
    ----------
    slot : row of the ring that the corner lies in, while the word is found
    picked : one-hot, of the source's taps, a clock later
    """
    # If the size of the memory is a power of two, addresses wrap by themselves. That of a single
    # word has a bit of address, too.
    if source.beats > 1 and source.beats & source.beats - 1 == 0:
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
