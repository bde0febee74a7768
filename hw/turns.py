"""Turns at the windows of a position: those of the groups of lanes, and of the slices of trains.

:class:`Groups` and :class:`Slices` have the same members; each decides whose turn an arrived window
serves. With :class:`Groups` a window stays until every group of lanes has used it. With
:class:`Slices` it serves one turn.

Members
-------
stops : planes of the arriving window that the scan visits even without spikes
offered_mask : the taps that are connected to the first group that the window is for
ends : of the present window, the planes with which a step ends
last : whether the present turn is the last one at its window
index : of the group's first tap, see :func:`hw.select.command_layout`

Planes are numbered backwards: the last one is number 0.
"""

from amaranth import *

from .run import beginning
from .sequence import Loop

__all__ = ["Groups", "Slices", "turns"]


def turns(m, core, timesteps):
    """The turns of a :class:`hw.layers.CoreConfig`.

    Parameters
    ----------
    timesteps : of the run, or ``None`` if all runs have as many
    """
    return (Slices if core.slices > 1 else Groups)(m, core, timesteps)


class Groups:
    """All groups of lanes take turns at a window."""

    def __init__(self, m, core, timesteps):
        self._core = core
        self.ends = self.stops = _step_ends(m, core.schedule, timesteps)
        self.offered_mask = core.masks[0]
        self._group, self._mask = Signal(range(max(2, core.groups))), Signal(core.taps)
        self._next_mask = Signal(core.taps, name="next_mask")
        self.last = Signal(init=core.groups == 1, name="last_group")
        self.index = Signal(range(max(2, core.groups * core.taps)), name="first_index")

    def loops(self, source):
        """The loops that the turns add to a source's :class:`hw.sequence.Sequence`, innermost."""
        return ()

    def replayed(self, planes):
        """Those planes of a window that are replayed in the turn that it is for."""
        return planes

    def ready(self, source, accepts):
        """Whether the source may move on, if ``accepts`` is set when a window is accepted."""
        return accepts

    def accept(self, m):
        """A window is accepted."""

    def take(self, m):
        """The window that was accepted becomes the present one."""

    def mask(self, m):
        """The taps that are connected to the present group."""
        masks = self._core.masks
        _look_up(m, self._group, (self._mask, masks), (self._next_mask, (*masks[1:], masks[0])))
        return self._mask

    def coming(self, m, windows):
        """The facts that the next turn begins with, if it is at the same window."""
        others = Signal(windows.first.shape())
        if len(set(self._core.masks)) == 1:
            with m.If(windows.take):
                m.d.sync += others.eq(windows.first)
        else:
            windows.find(m, others, windows.held, self._next_mask, self.stops, "coming")
        return others

    def go_on(self, m):
        """Go on to the next turn."""
        groups, taps = self._core.groups, self._core.taps
        m.d.sync += self._group.eq(Mux(self.last, 0, self._group + 1))
        if groups > 1:
            m.d.sync += self.last.eq(self._group == groups - 2)
        m.d.sync += self.index.eq(Mux(self.last, 0, self.index + taps))

    def sends(self, scan):
        """Whether there is a command for the place of the scan (see :class:`hw.select.Select`)."""
        return scan.active

    def ends_step(self, scan):
        """Whether a step ends with the command."""
        if len(self._core.schedule.ends) == 1:
            return scan.last
        return _ends_plane(scan, self.ends)

    def ends_row(self, scan, last):
        """Whether an output row ends with it.

        Parameters
        ----------
        last : of a source's :class:`hw.sequence.Sequence`
        """
        return scan.last & self.last & last[1]


class Slices:
    """One group of lanes takes a turn at a window, which is that of one slice: slice after slice
    for each group."""

    def __init__(self, m, core, timesteps):
        self._core = core
        self._arriving, self._present = _Turn(core, "arriving"), _Turn(core, "present")
        self._offered_ends = _slice_ends(m, core, timesteps, self._arriving.slice_index)
        self._waiting_ends, self.ends = (
            Signal(len(core.scan.charges), name=name) for name in ("waiting_ends", "ends"))
        # At the last plane of a slice the scan ends, whether a step does or not.
        self.stops = self._offered_ends | 1
        self.offered_mask = self._arriving.mask(m)
        self.last = Const(1)
        self.index = Signal(range(max(2, core.groups * core.taps)), name="first_index")

    def loops(self, source):
        # The slices of a chunk lie side by side.
        return Loop(self._core.groups), Loop(self._core.slices, words=int(source.map.slices > 1))

    def replayed(self, planes):
        scan, replayed = self._core.scan, []
        for number, plane in zip(reversed(range(len(scan.charges))), planes, strict=True):
            hidden = scan.hidden(number)
            is_hidden = Cat(self._arriving.slice_index == k
                            for k, is_one in enumerate(hidden) if is_one).any()
            replayed.append(Mux(is_hidden, 0, plane) if any(hidden) else plane)
        return replayed

    def ready(self, source, accepts):
        # What is no train stays for all slices and groups.
        return accepts if source.map.slices > 1 else accepts & self._arriving.final

    def accept(self, m):
        m.d.sync += self._waiting_ends.eq(self._offered_ends)
        self._arriving.go_on(m)

    def take(self, m):
        m.d.sync += self.ends.eq(self._waiting_ends)

    def mask(self, m):
        return self._present.mask(m)

    def coming(self, m, windows):
        return windows.first

    def go_on(self, m):
        self._present.go_on(m)
        with m.If(self._present.final_slice):
            m.d.sync += self.index.eq(Mux(self._present.final, 0, self.index + self._core.taps))

    def sends(self, scan):
        effects = (scan.doubles | self.ends).bit_select(scan.plane, 1)
        return scan.active & ((scan.todo != 0) | effects)

    def ends_step(self, scan):
        return _ends_plane(scan, self.ends)

    def ends_row(self, scan, last):
        return scan.last & last[1:].all()


class _Turn:
    """A counter of the slices and groups.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`

    Attributes
    ----------
    slice_index : counter
    final_slice, final : whether this is the last slice, and the last one of the last group
    """

    def __init__(self, core, name):
        self._masks, self._name = core.masks, name
        self._taps = core.taps
        self._group = Signal(range(max(2, core.groups)), name=f"{name}_group")
        self.slice_index = Signal(range(core.slices), name=f"{name}_slice")
        self.final_slice = self.slice_index == core.slices - 1
        self.final = self.final_slice & (self._group == core.groups - 1)

    def go_on(self, m):
        """Go on to the next turn."""
        m.d.sync += self.slice_index.eq(Mux(self.final_slice, 0, self.slice_index + 1))
        with m.If(self.final_slice):
            m.d.sync += self._group.eq(Mux(self.final, 0, self._group + 1))

    def mask(self, m):
        """The taps that are connected to the group."""
        mask = Signal(self._taps, name=f"{self._name}_mask")
        _look_up(m, self._group, (mask, self._masks))
        return mask


def _look_up(m, number, *columns):
    """Set signals to the row with a number of a table.

    Parameters
    ----------
    columns : pairs of a signal and its values, one for each row
    """
    signals, values = zip(*columns, strict=True)
    with m.Switch(number):
        for k, row in enumerate(zip(*values, strict=True)):
            with m.Case(k):
                m.d.comb += [signal.eq(value) for signal, value in zip(signals, row, strict=True)]


def _ends_plane(scan, planes):
    """Whether the word of the scan is the last one of its plane, and the plane is among these."""
    return scan.enter & planes.bit_select(scan.plane, 1)


def _step_ends(m, schedule, timesteps):
    """With which planes steps of the program end."""
    ends = [number in schedule.ends for number in range(len(schedule.charges))]
    if timesteps is None:
        return Const(sum(is_one << k for k, is_one in enumerate(reversed(ends))), len(ends))
    # The trains of a run with fewer time-steps are as long, but empty before the first one.
    begun = Signal(len(ends))
    m.d.comb += begun.eq(Cat(
        Const(is_one, 1) if charge.number is None or not is_one else
        (timesteps >= schedule.timesteps - charge.number)
        for is_one, charge in zip(reversed(ends), reversed(schedule.charges), strict=True)))
    return begun


def _slice_ends(m, core, timesteps, slice_index):
    """The same for a slice."""
    scan, fmap = core.scan, next(source.map for source in core.sources if source.map.slices > 1)
    ends = Signal(len(scan.charges))
    _look_up(m, slice_index, (ends, [Cat(Const(number in core.schedule.ends, 1)
                                         for number in reversed(numbers))
                                     for numbers in scan.numbers]))
    if timesteps is None:
        return ends
    first, step = beginning(m, timesteps, fmap)
    later, now = slice_index > first, slice_index == first
    return ends & Cat(Const(1) if charge.number is None else later | now & (step <= charge.number)
                      for charge in reversed(scan.charges))
