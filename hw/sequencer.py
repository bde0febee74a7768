"""What the lanes do in each clock: the events that charge them, and then their program."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .encoder import event_layout
from .run import beginning, timesteps_member

__all__ = ["Sequencer", "operation_layout"]


def operation_layout(core):
    """What the lanes of a :class:`hw.layers.CoreConfig` do in a clock.

    ``add`` says that a row of weights is added, ``parameter`` one of the parameter memory, ``held``
    the charge that is held; ``hold`` that the sum is held. What ``fire`` marks is added only if the
    lane spikes: if the sum is not negative, or, for a spike that is taken back (``negative``), if
    the potential is. ``bound`` is what the tracer has to be below. ``first`` marks the first fire
    of a position, ``emit`` its last operation. Where spikes are added up, ``tally`` is their
    number, and ``opens`` marks the first fire of a step. ``restart`` says that the row replaces the
    potential, and that a potential that is not above 0 silences the lane. ``aside`` says that the
    sum is held alone, and the potential begins anew at 0. Of trains with several
    slices, ``emit`` marks the last operation of each slice, and ``stays`` says that another slice
    of the same position follows. ``leak`` has a bit for each shift of a leak, which says that the
    potential, shifted so far, is subtracted from it, or is added. ``reset`` says that only lanes
    which have spiked in the last fire do what the operation says, and ``blank`` that the potential
    begins anew at 0. ``current`` says that what is held is the synaptic current.
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
        {"aside": 1} if core.schedule.puts_aside else {}) | (
        {"stays": 1} if core.sends_slices else {}) | (
        {"leak": len(core.schedule.shifts)} if core.schedule.shifts else {}) | (
        {"reset": 1} if core.schedule.resets else {}) | (
        {"blank": 1} if core.schedule.blanks else {}) | (
        {"current": 1} if core.schedule.currents else {})


def _fields(operation, shifts):
    """The nonzero fields of an operation. ``emit`` is left out where only shorter runs end."""
    fire = operation.fire
    fields = {"parameter": operation.row is not None, "held": operation.held,
              "hold": operation.hold, "first": operation.first, "fire": fire is not None,
              "emit": operation.until is None, "negative": fire is not None and fire.value < 0,
              "bound": fire is not None and fire.value > 0 and fire.bound,
              "opens": operation.opens, "tally": operation.tally, "restart": operation.restart,
              "aside": operation.aside, "reset": operation.reset,
              "leak": operation.leak is not None and 1 << shifts.index(operation.leak),
              "blank": operation.reset and operation.row is None,
              "current": operation.current}
    return {name: int(value) for name, value in fields.items() if value}


class Sequencer(wiring.Component):
    """Issues the operations of the lanes: those of the events, and after the event marked ``last``
    those of the layer's schedule, up to the next step that waits for charge. The program of a run
    with fewer time-steps ends early.

    An empty event at the end of a step shares its clock with the next operation, unless that
    operation is the position's last.

    Trains with several slices leave slice by slice. In a run with fewer time-steps there are slices
    before its first time-step: they leave as soon as the position has an event, each in two clocks
    and an operation that adds nothing.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`
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
        schedule, op = self._core.schedule, self.op
        operations = schedule.operations
        rows = [operation.row for operation in operations]
        # Otherwise each position begins anew, and so does what is known while idle.
        resumes = (self._core.sends_slices or schedule.timed or len(schedule.arrivals) > 1
                   or None in rows or rows != sorted(rows))
        current = Signal(range(max(2, len(operations))))
        results = (_Slices if self._core.sends_slices else _Whole)(
            m, self._core, self.timesteps if schedule.timed else None)
        waits, room = Signal(), Signal()
        tail = self._program(m, current, waits, results)
        results.begin(m, op, self.idle & (current == 0), tail)

        begin = self._begin(tail, results.fields, resumes)
        along, accepts = Signal(), Signal(init=1)
        nothing = {"emit": Const(0, 1), "fire": Const(0, 1)}
        m.d.comb += along.eq(self.i.p.last & ~self.i.p.add & ~results.alone(nothing | begin))
        # A fire needs room for what it makes.
        m.d.comb += accepts.eq(room | ~(nothing | begin)["fire"])
        fixed = self.i.p.add & self.i.p.fixed.any()
        listens, final = results.listens(self.idle), results.final(op)
        m.d.comb += self.i.ready.eq(listens & accepts)
        with m.If(listens):
            m.d.comb += [op.valid.eq(self.i.valid & accepts), op.add.eq(self.i.p.add & ~fixed),
                         op.parameter.eq(fixed)]
            with m.If(along):
                m.d.comb += [op[name].eq(value) for name, value in begin.items()]
            with m.If(op.valid & self.i.p.last):
                m.d.sync += current.eq(current + along if resumes else along)
                m.d.sync += self.idle.eq(along & waits if resumes else 0)
        if results.leads is not None:
            with m.Elif(results.leads):
                m.d.comb += [op.valid.eq(self.i.valid & room & results.may_lead), op.emit.eq(1),
                             op.stays.eq(1)]
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
        results.count(m, op.valid, current == 0, done)
        row = (self._looked_up(m, current, done & final, rows) if resumes else
               self._in_order(m, current, done, rows))
        m.d.comb += self.row.eq(Mux(self.idle & fixed, self.i.p.row, row))
        return m

    def _program(self, m, current, waits, results):
        """Look up an operation.

        Parameters
        ----------
        current : its number
        waits : set if the charge of another step has to arrive after it

        Returns
        -------
        Its fields: a signal for each that is not always 0.
        """
        operations = self._core.schedule.operations
        # A signal for each field, because a part of a signal must not be constant.
        shifts = self._core.schedule.shifts
        names = {name for operation in operations
                 for name in _fields(operation, shifts)} | results.fields
        tail = {name: Signal(len(self.op[name]), name=f"tail_{name}") for name in sorted(names)}
        with m.Switch(current):
            for number, operation in enumerate(operations):
                with m.Case(number):
                    m.d.comb += [tail[name].eq(value)
                                 for name, value in _fields(operation, shifts).items()
                                 if name not in results.fields]
                    if operation.waits:
                        m.d.comb += waits.eq(1)
                    results.look_up(m, operation, tail)
        return tail

    def _begin(self, tail, unknown, resumes):
        """The operation that an event may take along.

        Parameters
        ----------
        tail : fields of the present operation
        unknown : names of those that are not looked up in the program
        resumes : whether it may be another one than the first

        Returns
        -------
        Its fields, in the order of their names.
        """
        operations, shifts = self._core.schedule.operations, self._core.schedule.shifts
        begins = [operations[0]] + [operations[k + 1] for k, operation in enumerate(operations)
                                    if operation.waits]
        names = {name for begin in begins for name in _fields(begin, shifts)} | unknown
        names |= {"emit" for begin in begins if begin.until}
        first = _fields(operations[0], shifts)
        return {name: tail[name] if resumes else Const(first.get(name, 0), len(tail[name]))
                for name in sorted(names)}

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


class _Whole:
    """The result of a position leaves with the last operation of the program.

    :class:`_Slices` has the same members.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`
    timesteps : of the run, or ``None`` if all runs have as many

    Attributes
    ----------
    fields : of the operations, those that are not looked up in the program
    leads : whether the next result comes before the program of the position; ``None`` if none does
    may_lead : whether such a result may be made in this clock
    """

    fields = frozenset()
    leads = may_lead = None

    def __init__(self, m, core, timesteps):
        self._timesteps = timesteps

    def look_up(self, m, operation, tail):
        """An operation of the program, whose fields are ``tail``, is the present one."""
        if operation.until:
            m.d.comb += tail["emit"].eq(self._timesteps <= operation.until)

    def begin(self, m, op, begins, tail):
        """Say what leaves with the present operation.

        Parameters
        ----------
        begins : the lanes have not begun with the position
        tail : fields of the operation
        """

    def final(self, operation):
        """Whether this is the last operation of the position."""
        return operation["emit"]

    def alone(self, operation):
        """Whether no event may take this operation along."""
        return self.final(operation)

    def listens(self, idle):
        """Whether the lanes do what the event asks for."""
        return idle

    def count(self, m, valid, begins, done):
        """Go on.

        Parameters
        ----------
        valid : there is an operation
        begins : the lanes have not begun with the position
        done : an operation of the program is carried out
        """


class _Slices:
    """The slices of a position's trains leave one by one, those without a time-step of the run
    first."""

    fields = frozenset({"emit", "stays"})

    def __init__(self, m, core, timesteps):
        fmap = core.out
        self._slice, self._step = Signal(range(fmap.slices)), Signal(range(fmap.slice_steps))
        first, self._first = ((Const(0), Const(fmap.missing)) if timesteps is None else
                              beginning(m, timesteps, fmap))
        self._is_empty = self._slice < first
        self._is_full = self._step == fmap.slice_steps - 1
        self._is_last = self._slice == fmap.slices - 1
        self._closes, self.leads, self._emitted = Signal(), Signal(), Signal()
        # The queue takes a result every two clocks.
        self.may_lead = ~self._emitted

    def look_up(self, m, operation, tail):
        m.d.comb += self._closes.eq(operation.closes)

    def begin(self, m, op, begins, tail):
        m.d.comb += self.leads.eq(begins & self._is_empty)
        m.d.comb += tail["emit"].eq(self._closes & self._is_full)
        m.d.comb += tail["stays"].eq(~self._is_last)
        m.d.sync += self._emitted.eq(op.valid & op.emit)

    def final(self, operation):
        return operation["emit"] & ~operation["stays"]

    def alone(self, operation):
        return self.leads | self.final(operation)

    def listens(self, idle):
        return idle & ~self.leads

    def count(self, m, valid, begins, done):
        leaves, closes = self.leads & valid, done & self._closes
        with m.If(begins):
            m.d.sync += self._step.eq(self._first)
        with m.If(closes):
            m.d.sync += self._step.eq(Mux(self._is_full, 0, self._step + 1))
        with m.If(leaves | closes & self._is_full):
            m.d.sync += self._slice.eq(Mux(self._is_last, 0, self._slice + 1))
