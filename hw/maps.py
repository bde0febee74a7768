"""Feature maps between layers, and the windows through which layers look at them."""

from dataclasses import dataclass, replace

__all__ = ["SLICE_STEPS", "MapConfig", "SourceConfig", "grown", "signed_digits"]

SLICE_STEPS = 16
"""Time-steps of a slice, at the most, unless there is a reason for fewer."""


def grown(train, fired, *, low, levels):
    """A train with one time-step more, see :class:`MapConfig`.

    Parameters
    ----------
    train, fired : the train so far, and the spikes of the step: integers, or arrays of them
    low, levels : least and greatest number of spikes
    """
    train = train << levels.bit_length() | fired * (fired > 0)
    return train << (-low).bit_length() | -fired * (fired < 0)


def signed_digits(number, digits):
    """A number as digits -1, 0 and 1, of which no two neighbours are others than 0: its
    *non-adjacent form* (Reitwiesner, 1960), which has the fewest digits that are not 0.

    Parameters
    ----------
    number : integer, or an array of them
    digits : number of digits

    Returns
    -------
    Which digits are 1, in the lowest bits, and above them which are -1.
    """
    half = number >> 1
    tripled = number + half
    digit = half ^ tripled
    return tripled & digit | (half & digit & (1 << digits) - 1) << digits


@dataclass(frozen=True)
class MapConfig:
    """A feature map on its way between two layers.

    It travels as *beats*. A beat holds the binary spike counts of ``word`` channels (a *chunk*) at
    one position, the first channel in the lowest bits. Channels beyond ``channels`` are zero. The
    beats of a sample are in the order of y, then x, then chunk.

    A train of more than ``most_steps`` time-steps is cut into *slices* of as many time-steps each,
    and each slice of a chunk is a beat, the first time-steps first. What is missing from the first
    slice is empty.

    Parameters
    ----------
    levels : greatest count; of a train, that of a time-step
    word : channels in a beat
    code : how a receiver replays a count as spikes. ``"phase"``: bit k is a spike of weight 2^k,
        most significant first. ``"rate"``: a count n is n spikes of weight 1. ``"train"``: for
        each time-step, the first in the highest bits, the number of spikes that add charge, and
        below it that of those that take it back; each is replayed in its time-step. ``"change"``:
        what a count differs by from one of an earlier row, see :func:`signed_digits`; the digits
        are spikes of weight 2^k, most significant first, which add charge or take it back. Maps do
        not travel in this code: the receiver makes it (:mod:`hw.changes`)
    timesteps : of a train
    low : least count of a time-step: less than 0 if spikes take charge back
    most_steps : time-steps of a slice of a train, at most; the same for all maps of a network
    """

    channels: int
    height: int
    width: int
    levels: int
    word: int
    code: str = "phase"
    timesteps: int = 1
    low: int = 0
    most_steps: int = SLICE_STEPS

    def __post_init__(self):
        for name in ("channels", "height", "width", "levels", "word", "timesteps", "most_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.code not in ("phase", "rate", "train", "change"):
            raise ValueError(f"code must be 'phase', 'rate', 'train' or 'change', not "
                             f"{self.code!r}")
        if not isinstance(self.low, int) or self.low > 0:
            raise ValueError(f"low must be an integer of at most 0, not {self.low!r}")
        if self.code != "train" and (self.timesteps, self.low) != (1, 0):
            raise ValueError("only a train has time-steps, and spikes that take charge back")

    @property
    def slices(self):
        """Slices of a train; 1 if it is not cut, or if there are no trains."""
        return -(-self.timesteps // self.most_steps)

    @property
    def slice_steps(self):
        """Time-steps of a slice."""
        return -(-self.timesteps // self.slices)

    @property
    def missing(self):
        """Time-steps of the first slice that no train has."""
        return self.slices * self.slice_steps - self.timesteps

    @property
    def one_slice(self):
        """The map of one slice: its counts are what a beat holds."""
        return self if self.slices == 1 else replace(self, timesteps=self.slice_steps)

    @property
    def digits(self):
        """Signed digits of the greatest count."""
        return (3 * self.levels).bit_length() - 1

    @property
    def bits(self):
        """Bits of a count, of a train, or of the signed digits of a change."""
        if self.code == "change":
            return 2 * self.digits
        return self.timesteps * sum(self.step_bits)

    @property
    def step_bits(self):
        """Bits of the two numbers of a time-step: of the spikes that take charge back, in the
        lowest bits, and of those that add it."""
        return (-self.low).bit_length(), self.levels.bit_length()

    @property
    def planes(self):
        """Spikes that the greatest count is replayed as; of a train, all that there may be."""
        if self.code == "train":
            return self.timesteps * (self.levels - self.low)
        return self.levels if self.code == "rate" else self.bits

    def units(self, sign):
        """Spikes of a time-step that add charge, or that take it back, at the most."""
        return self.levels if sign > 0 else -self.low

    def train_plane(self, number, sign, unit):
        """The plane of one of the :meth:`units` of a time-step."""
        return number * (self.levels - self.low) + unit + (self.levels if sign < 0 else 0)

    def train_field(self, plane):
        """Where a train holds the number of spikes that a plane is one of: ``(offset, width,
        unit)``."""
        number, unit = divmod(plane, self.levels - self.low)
        low, high = self.step_bits
        offset = (self.timesteps - 1 - number) * (high + low)
        return (offset + low, high, unit) if unit < self.levels else (
            offset, low, unit - self.levels)

    def has_spike(self, count, plane):
        """Whether a count, a train or a change has the spike of a plane.

        Parameters
        ----------
        count : integer, or array of them
        """
        if self.code in ("phase", "change"):
            return count >> plane & 1
        if self.code == "rate":
            return count > plane
        offset, width, unit = self.train_field(plane)
        return (count >> offset & (1 << width) - 1) > unit

    @property
    def chunks(self):
        """Words of a position."""
        return -(-self.channels // self.word)

    @property
    def position_beats(self):
        """Beats of a position."""
        return self.chunks * self.slices

    @property
    def beats(self):
        """Beats of a sample."""
        return self.height * self.width * self.position_beats

    @property
    def beat_bits(self):
        """Bits of a beat."""
        return self.word * self.one_slice.bits

    def cut(self, train):
        """The slices of a train, or the count alone, in the order in which they travel.

        Parameters
        ----------
        train : integer, or array of them
        """
        bits = self.one_slice.bits
        return [train >> bits * k & (1 << bits) - 1 for k in reversed(range(self.slices))]


@dataclass(frozen=True)
class SourceConfig:
    """A map as a layer sees it: through a window that slides over it.

    A *tap* is one chunk at one place of the kernel. Taps are numbered column by column:
    ``(kx * KY + ky) * chunks + chunk``.

    Parameters
    ----------
    layer : index of the layer whose map this is, or -1 for the input
    kernel, stride, padding : ``(y, x)``. Rows of zeros above the map; if negative, rows at its
        beginning that no window looks at. Columns of zeros on each side
    below : rows of zeros below the map, or, if negative, rows at its end that no window looks at;
        by default as many as above
    lanes : how a word charges the lanes. If None, each channel of the word has a weight row, and a
        spike adds the row in all lanes. Otherwise the word has a single weight row, and each lane
        sees the spikes of one channel, which is given here by its place in the word. Lanes that
        see a spike add the row (a *masked* row: depthwise convolution, identity)
    fixed : whether the weight rows are in the parameter memory, which is as wide as the membranes
    rows : rows of the map that the spike memory in front of the window holds, at least
        :attr:`least_rows`; by default two whole maps
    first, every : which output rows are computed: ``first``, and then one of every ``every`` rows
    continues : whether the map goes on from sample to sample: above it are no zeros, but the last
        rows of the samples before, back to the beginning of a sequence (see :mod:`hw.past`). No
        window looks below the map, and its rows stay until no later sample looks at them

    A source whose map has the code ``"change"`` receives counts, and holds what each differs by
    from the count ``stride`` rows above. The layer then keeps the charge from output row to output
    row (:mod:`hw.membranes`).

    Raises
    ------
    ValueError
        If there are so few rows that a window waits forever, if the kernel does not fit, or if a
        layer can't have its charge from changes.
    """

    map: MapConfig
    layer: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    lanes: tuple[int, ...] | None = None
    fixed: bool = False
    rows: int | None = None
    first: int = 0
    every: int = 1
    below: int | None = None
    continues: bool = False

    def __post_init__(self):
        for name, least in (("kernel", 1), ("stride", 1), ("first", 0), ("every", 1)):
            value = getattr(self, name)
            if min(value) < least if isinstance(value, tuple) else value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}")
        if self.padding[1] < 0:
            raise ValueError(f"padding must have columns of zeros, not {self.padding[1]!r}")
        if min(self.positions) < 1:
            raise ValueError(f"kernel must fit the map and its padding, not {self.kernel!r}")
        if self.continues and self.tops[-1] + self.kernel[0] > self.map.height:
            raise ValueError(f"a map continues if no window looks below it, not with a kernel of "
                             f"{self.kernel} and a padding of {self.padding}")
        if self.changes and (self.every > 1 or not self.follows):
            raise ValueError(f"counts can be received as changes if a window sees no more than its "
                             f"stride of new rows, and none below the map, not with a kernel of "
                             f"{self.kernel}, a stride of {self.stride} and edges of {self.edges}")
        if self.rows is None:
            object.__setattr__(self, "rows", max(2 * self.map.height, self.least_rows))
        if not isinstance(self.rows, int) or self.rows < self.least_rows:
            raise ValueError(f"rows must be at least {self.least_rows} for a kernel of "
                             f"{self.kernel[0]} rows, not {self.rows!r}")

    @property
    def changes(self):
        """Whether the layer gets changes of counts, and not counts."""
        return self.map.code == "change"

    @property
    def follows(self):
        """Whether each window has the rows of the window before and at most ``stride`` new ones,
        which are in the map, or above it; so has the first window of the map."""
        return (self.tops[0] + self.kernel[0] <= self.stride[0]
                and self.tops[-1] + self.kernel[0] <= self.map.height)

    @property
    def arriving(self):
        """The map as it travels."""
        return replace(self.map, code="phase") if self.changes else self.map

    @property
    def taps(self):
        """Taps of the window."""
        return self.kernel[0] * self.kernel[1] * self.map.chunks

    @property
    def tap_rows(self):
        """Weight rows of a tap."""
        return self.map.word if self.lanes is None else 1

    @property
    def edges(self):
        """``((above, below), (left, right))``: rows and columns of zeros around the map."""
        above, beside = self.padding
        return (above, above if self.below is None else self.below), (beside, beside)

    @property
    def positions(self):
        """Numbers of output positions ``(y, x)``."""
        height, width = ((size + sum(edge) - k) // step + 1 for size, edge, k, step in zip(
            (self.map.height, self.map.width), self.edges, self.kernel, self.stride,
            strict=True))
        return -(-(height - self.first) // self.every), width

    @property
    def row(self):
        """Beats of a row of the map."""
        return self.map.width * self.map.position_beats

    @property
    def beats(self):
        """Beats that the spike memory holds."""
        return self.rows * self.row

    @property
    def corner(self):
        """``(y, x)`` of the first window's corner, negative in the padding."""
        return self.first * self.stride[0] - self.padding[0], -self.padding[1]

    @property
    def past(self):
        """Rows above the map that belong to it, if the map continues: at most those that the first
        window looks at."""
        return max(0, -self.tops[0]) if self.continues else 0

    @property
    def descent(self):
        """Rows of the map from one computed output row to the next."""
        return self.stride[0] * self.every

    @property
    def tops(self):
        """Top rows of the windows of the computed output rows, negative in the padding."""
        return range(self.corner[0], self.corner[0] + self.positions[0] * self.descent,
                     self.descent)

    @property
    def ascent(self):
        """Rows of the map from the last window of a sample to the first window of the next
        sample."""
        return self.map.height - (self.positions[0] - 1) * self.descent

    @property
    def reach(self):
        """The most rows, from the top of the present window on, that may have arrived. Rows in the
        padding count."""
        return self.rows - self.beyond

    @property
    def beyond(self):
        """Rows from the bottom of the map to the last window, if that begins below it; or from the
        top of the map, if it begins above it, which is a negative number. From that window on as
        many rows less may have arrived as are not of its sample."""
        last = self.tops[-1]
        return 0 if self.continues else min(0, last) + max(0, last - self.map.height)

    @property
    def most_free(self):
        """The most rows that may still arrive. Rows in the padding count. There can be more than
        :attr:`reach`, because the next window may begin below the last row that the window before
        it looked at."""
        height, tops = self.map.height, self.tops
        steps = zip(tops, (*tops[1:], height + tops[0]), strict=True)
        return self.reach + max(tops[0], *(below - self._arrived(top) for top, below in steps))

    def _arrived(self, top):
        """Rows of the sample that must have arrived for a window with a top row. A negative number
        is that of rows of the past that need not."""
        edge = min(top + self.kernel[0], self.map.height)
        return edge if self.continues else max(0, edge)

    @property
    def least_arrived(self):
        """Rows of the sample that have arrived when its last window is left, at the least."""
        return self._arrived(self.tops[-1])

    @property
    def least_rows(self):
        """The fewest rows of the spike memory with which every window becomes complete, and with
        which a word lies in the same lap of the ring as its window's corner or in the next lap,
        wherever the corner is."""
        first = self.tops[0]
        if self.continues:
            return max(self.kernel[0], self.past + 1)
        reach = min(self.kernel[0], self.map.height - first)
        return max(1, -first, reach + self.beyond, reach - 1)

    def offset(self, tap):
        """Beats from the window's corner to the first slice of a tap."""
        column, chunk = divmod(tap, self.map.chunks)
        kx, ky = divmod(column, self.kernel[0])
        return ((ky * self.map.width + kx) * self.map.chunks + chunk) * self.map.slices
