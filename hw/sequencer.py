"""What the lanes do in each clock: the events that charge them, and then their program."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .encoder import event_layout
from .run import beginning, timesteps_member

__all__ = ["Sequencer", "operation_layout"]


def operation_layout(core):
    """What the lanes of a :class:`hw.config.CoreConfig` do in a clock.

    ``add`` says that a row of weights is added, ``parameter`` one of the parameter memory, ``held``
    the charge that is held; ``hold`` that the sum is held. What ``fire`` marks is added only if the
    lane spikes: if the sum is not negative, or, for a spike that is taken back (``negative``), if
    the potential is. ``bound`` is what the tracer has to be below. ``first`` marks the first fire
    of a position, ``emit`` its last operation. Where spikes are added up, ``tally`` is their
    number, and ``opens`` marks the first fire of a step. ``restart`` says that the row replaces the
    potential, and that a potential that is not above 0 silences the lane. Of trains with several
    slices, ``emit`` marks the last operation of each slice, and ``stays`` says that another slice
    of the same position follows.
    """
    # What a core does not need takes no bit.
    schedule, fires = core.schedule, int(not core.sends_logits)
    return data.StructLayout({
        "valid": 1, "add": 1, "parameter": 1, "first": fires, "fire": fires, "emit": 1,
        "held": int(schedule.holds), "hold": int(schedule.holds),
        "negative": int(schedule.low < 0), "bound": (schedule.bound or 0).bit_length(),
        **_rare(core)})


def _rare(core):
    most = max(operation.tally for operation in core.schedule.operations)
    return ({"opens": 1, "tally": most.bit_length()} if most else {}) | (
        {"restart": 1} if core.schedule.restarts else {}) | (
        {"stays": 1} if core.sends_slices else {})


def _fields(operation):
    """The fields of an operation that are not 0, but ``emit`` of one that only short runs end
    with."""
    fire = operation.fire
    fields = {"parameter": operation.row is not None, "held": operation.row is None,
              "hold": operation.hold, "first": operation.first, "fire": fire is not None,
              "emit": operation.until is None, "negative": fire is not None and fire.value < 0,
              "bound": fire is not None and fire.value > 0 and fire.bound,
              "opens": operation.opens, "tally": operation.tally, "restart": operation.restart}
    return {name: int(value) for name, value in fields.items() if value}


class Sequencer(wiring.Component):
    """Issues the operations of the lanes: those of the events, and after the event marked ``last``
    those of the layer's schedule, as far as the next step that charge arrives for. The program of a
    run with fewer time-steps ends early.

    An event without a spike that ends a step takes the operation after it along, unless that is the
    last one of all.

    Trains with several slices leave slice by slice. In a run with fewer time-steps there are slices
    before its first time-step: they leave as soon as the position has an event, each in two clocks
    and an operation that adds nothing.

    Parameters
    ----------
    core : :class:`hw.config.CoreConfig`
    results : entries of the queue behind the lanes

    Members
    -------
    i : ``In(stream.Signature(event_layout(core)))``
    op : ``Out(operation_layout(core))``
    row : ``Out``: row of the parameter memory that ``op`` adds
    idle : ``Out(1)``: an event may come; ``op`` is what it asks for
    taken : ``In(1)``: a result has been taken
    timesteps : ``In``, of the run; only if it makes a difference
    """

    def __init__(self, core, *, results):
        self._core, self._results = core, results
        super().__init__({
            "i": In(stream.Signature(event_layout(core))),
            "op": Out(operation_layout(core)),
            "row": Out(range(max(2, core.parameter_rows))),
            "idle": Out(1, init=1),
            "taken": In(1),
            **timesteps_member(core.timesteps),
        })

    def elaborate(self, platform):
        m = Module()
        operations, op = self._core.schedule.operations, self.op
        rows = [operation.row for operation in operations]
        # Otherwise each position begins anew, and so does what is known while idle.
        sliced = self._core.sends_slices
        closes = Signal()
        resumes = (sliced or self._core.schedule.timed or len(self._core.schedule.arrivals) > 1
                   or None in rows or rows != sorted(rows))
        current = Signal(range(max(2, len(operations))))
        # A signal for each field, because a part of a signal must not be constant.
        own = {"emit", "stays"} if sliced else set()
        tail = {name: Signal(len(op[name]), name=f"tail_{name}")
                for name in sorted({name for each in operations for name in _fields(each)} | own)}
        waits, room = Signal(), Signal()
        with m.Switch(current):
            for number, operation in enumerate(operations):
                with m.Case(number):
                    m.d.comb += [tail[name].eq(value)
                                 for name, value in _fields(operation).items()
                                 if name not in own]
                    if operation.waits:
                        m.d.comb += waits.eq(1)
                    if sliced:
                        m.d.comb += closes.eq(operation.closes)
                    elif operation.until:
                        m.d.comb += tail["emit"].eq(self.timesteps <= operation.until)

        slices = leads = None
        if sliced:
            slices = _Slices(m, self._core, self.timesteps if self._core.schedule.timed else None)
            leads = self.idle & (current == 0) & slices.leads
            m.d.comb += [tail["emit"].eq(closes & slices.full),
                         tail["stays"].eq(~slices.final)]
            # The queue takes a result every two clocks.
            emitted = Signal()
            m.d.sync += emitted.eq(op.valid & op.emit)

        # Operations that an event may take along.
        begins = [operations[0]] + [operations[k + 1] for k, operation in enumerate(operations)
                                    if operation.waits]
        fields = {name for begin in begins for name in _fields(begin)}
        fields |= {"emit" for begin in begins if begin.until} | own
        begin = {name: tail[name] if resumes else Const(value, len(tail[name]))
                 for name, value in ((name, _fields(begins[0]).get(name, 0)) for name in fields)}
        along, accepts = Signal(), Signal(init=1)
        whole = begin.get("emit", Const(0, 1))
        if sliced:
            whole = leads | whole & ~begin["stays"]
        m.d.comb += along.eq(self.i.p.last & ~self.i.p.add & ~whole)
        # A fire needs room for what it makes.
        m.d.comb += accepts.eq(room | ~begin.get("fire", Const(0, 1)))
        fixed = self.i.p.add & self.i.p.fixed.any()
        listens = self.idle & ~leads if sliced else self.idle
        m.d.comb += self.i.ready.eq(listens & accepts)
        with m.If(listens):
            m.d.comb += [op.valid.eq(self.i.valid & accepts), op.add.eq(self.i.p.add & ~fixed),
                         op.parameter.eq(fixed)]
            with m.If(along):
                m.d.comb += [op[name].eq(begin[name]) for name in sorted(fields)]
            with m.If(op.valid & self.i.p.last):
                m.d.sync += current.eq(current + along if resumes else along)
                m.d.sync += self.idle.eq(along & waits if resumes else 0)
        if sliced:
            with m.Elif(leads):
                m.d.comb += [op.valid.eq(self.i.valid & room & ~emitted), op.emit.eq(1),
                             op.stays.eq(1)]
        final = op.emit & ~op.stays if sliced else op.emit
        with m.Else():
            m.d.comb += [op[name].eq(signal) for name, signal in tail.items()]
            m.d.comb += op.valid.eq(room | ~(op.fire | op.emit))
            with m.If(op.valid):
                m.d.sync += current.eq(Mux(final, 0, current + 1) if resumes else current + 1)
                m.d.sync += self.idle.eq(waits | final)

        # The next result may be made if those before it have room in the queue: then they are there
        # by the time it is.
        ahead = Signal(range(self._results + 2))
        m.d.comb += room.eq(ahead != self._results + 1)
        m.d.sync += ahead.eq(ahead + (op.valid & op.emit) - self.taken)

        done = op.valid & (~self.idle | along)
        if sliced:
            slices.count(m, current == 0, leads & op.valid, done & closes)
        row = (self._looked_up(m, current, done & final, rows) if resumes else
               self._in_order(m, current, done, rows))
        m.d.comb += self.row.eq(Mux(self.idle & fixed, self.i.p.row, row))
        return m

    def _in_order(self, m, current, done, rows):
        """The row of the present operation, if they come one after the other, after one event.

        Parameters
        ----------
        current : number of the operation
        done : it is carried out
        rows : of all operations
        """
        last = self._core.groups * len(self._core.schedule.rows) - 1
        row, moves = Signal(range(max(2, last + 1))), Signal()
        with m.Switch(current):
            for k, (own, after) in enumerate(zip(rows, (*rows[1:], None), strict=True)):
                with m.Case(k):
                    # In rate code every fire compares with the one threshold row.
                    m.d.comb += moves.eq(own != after)
        with m.If(done & (self.idle | moves)):
            m.d.sync += row.eq(Mux(row == last, 0, row + 1))
        return row

    def _looked_up(self, m, current, ends, rows):
        """The same for rows in any order.

        Parameters
        ----------
        ends : the last operation is carried out
        """
        number = len(self._core.schedule.rows)
        last = (self._core.groups - 1) * number
        first, offset = Signal(range(max(2, last + 1))), Signal(range(max(2, number)))
        with m.Switch(current):
            for k, row in enumerate(rows):
                with m.Case(k):
                    m.d.comb += offset.eq(row or 0)
        with m.If(ends):
            m.d.sync += first.eq(Mux(first == last, 0, first + number))
        return first + offset


class _Slices:
    """The slice and the time-step that the lanes work on.

    Parameters
    ----------
    core : :class:`hw.config.CoreConfig`
    timesteps : of the run, or ``None`` if all runs have as many

    Attributes
    ----------
    full, final : whether a slice ends with this time-step, and whether it is the last slice
    leads : whether the slice ends before the first time-step of the run
    """

    def __init__(self, m, core, timesteps):
        fmap = core.out
        self._slice, self._step = Signal(range(fmap.slices)), Signal(range(fmap.slice_steps))
        first, self._first = ((Const(0), Const(fmap.missing)) if timesteps is None else
                              beginning(m, timesteps, fmap))
        self.leads = self._slice < first
        self.full = self._step == fmap.slice_steps - 1
        self.final = self._slice == fmap.slices - 1

    def count(self, m, begins, leads, closes):
        """Go on.

        Parameters
        ----------
        begins : the lanes have not begun with a position
        leads : a slice leaves that ends before the first time-step
        closes : a time-step ends
        """
        with m.If(begins):
            m.d.sync += self._step.eq(self._first)
        with m.If(closes):
            m.d.sync += self._step.eq(Mux(self.full, 0, self._step + 1))
        with m.If(leads | closes & self.full):
            m.d.sync += self._slice.eq(Mux(self.final, 0, self._slice + 1))
