"""The lanes: membrane potentials, and the one adder that charges and fires them."""

from dataclasses import replace

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .encoder import event_layout
from .stream import Queue
from .weights import Weights

__all__ = ["Lanes"]

_LANES_PER_COPY = 4
"""A control signal gets further copies while more lanes than this share one."""


class Lanes(wiring.Component):
    """``lanes`` integrate-and-fire neurons side by side, each a register, an adder and a sign.

    Each clock does one operation: the potential is kept or doubled, and a row is added. The
    operations of the layer's schedule follow the event marked ``last``, a clock each. The initial
    potential is added, and then the lanes fire: they add negated thresholds, and a lane keeps the
    difference only if it is not negative, which is its spike. In phase code spikes are the bits of
    the count; in rate code they are counted. The read-out does not fire; its potentials are the
    result. The potentials are cleared with the result.

    An output position therefore takes as many clocks as it has events and operations; a last event
    without a spike takes none, unless the lanes do not fire. Results wait in a queue. While it is
    full, the lanes stall when the next result is about to be made, not before; nothing behind the
    first stage ever stops.

    Sums may wrap until they are compared. A potential that is compared, the negated threshold and
    their sum must be numbers of ``membrane_bits``.

    Parameters
    ----------
    core : :class:`hw.config.CoreConfig`
    weights, parameters : rows of ``lanes`` weights, and of ``lanes`` potentials
        (see ``CoreConfig.parameter_rows``), the first lane in the lowest bits
    results : entries of the queue, at least 2; or 0 for no queue: a result then stalls the lanes
        until it is taken

    Members
    -------
    i : ``In(stream.Signature(event_layout(core)))``
    o : ``Out(stream)``: a beat of counts, or ``lanes`` potentials; one for each group in turn
    busy : ``Out(1)``: a row is being added: of weights, initial potentials or thresholds
    """

    def __init__(self, core, weights, parameters, *, results=2):
        if len(weights) != core.weight_rows:
            raise ValueError(f"weights must have {core.weight_rows} rows, not {len(weights)}")
        if len(parameters) != core.parameter_rows:
            raise ValueError(f"parameters must have {core.parameter_rows} rows, not "
                             f"{len(parameters)}")
        self._core = core
        self._weights = weights
        self._parameters = parameters
        self._results = results
        result = core.logit_bits if core.out is None else core.out.beat_bits
        super().__init__({
            "i": In(stream.Signature(event_layout(core))),
            "o": Out(stream.Signature(result)),
            "busy": Out(1),
        })

    def model(self, events):
        """Dicts in the shape of ``event_layout`` -> results, as integers, group by group."""
        core, schedule, results, group = self._core, self._core.schedule, [], 0
        width, half = core.membrane_bits, 1 << core.membrane_bits - 1

        def unpack(row, bits):
            lanes = [row >> k * bits & (1 << bits) - 1 for k in range(core.lanes)]
            return [lane - (lane >> bits - 1 << bits) for lane in lanes]

        def add(v, row):
            return [(a + b + half) % (1 << width) - half for a, b in zip(v, row, strict=True)]

        v = [0] * core.lanes
        for event in events:
            if event["double"]:
                v = add(v, v)
            if event["add"]:
                row = (unpack(self._parameters[event["row"]], width) if event["fixed"]
                       else unpack(self._weights[event["row"]], core.weight_bits))
                mask = event["mask"] if event["masked"] else -1
                v = add(v, [w * (mask >> k & 1) for k, w in enumerate(row)])
            if event["last"]:
                number, (step,) = len(schedule.rows), schedule.steps
                rows = [unpack(row, width) for row in self._parameters[group * number:][:number]]
                for row in step.adds:
                    v = add(v, rows[row])
                fires = replace(step, adds=())
                v, counts = zip(*(fires.finish(x, own) for x, *own in zip(v, *rows, strict=True)),
                                strict=True)
                bits = core.membrane_bits if core.out is None else core.out.bits
                made = v if core.out is None else map(schedule.clip, counts)
                results.append(sum((x & (1 << bits) - 1) << k * bits for k, x in enumerate(made)))
                v, group = [0] * core.lanes, (group + 1) % core.groups
        return results

    def elaborate(self, platform):
        m = Module()
        core, width = self._core, self._core.membrane_bits

        m.submodules.weights = weights = Weights(core, self._weights)
        m.submodules.parameters = parameters = memory.Memory(
            shape=core.lanes * width, depth=max(2, len(self._parameters)), init=self._parameters)
        parameter = parameters.read_port()

        # First stage: an event, or one of the operations that complete a position ("tail").
        op = Signal(data.StructLayout({
            "valid": 1, "add": 1, "parameter": 1, "first": 1, "fire": 1, "emit": 1}))
        operations = core.schedule.operations
        current, idle = Signal(range(max(2, len(operations)))), Signal(init=1)
        row = Signal(range(max(2, core.groups * len(core.schedule.rows))))
        parameter_row = Signal(range(max(2, len(self._parameters))))
        m.d.comb += weights.row.eq(self.i.p.row)
        # An event that ends a position without a spike only doubles. The first operation is done in
        # the same clock, unless it is the last one.
        along = self.i.p.last & ~self.i.p.add & (len(operations) > 1)
        fixed = self.i.p.add & self.i.p.fixed.any()
        move, room = Signal(), Signal()
        m.d.comb += self.i.ready.eq(idle)
        with m.If(idle):
            m.d.comb += [
                op.valid.eq(self.i.valid),
                op.add.eq(self.i.p.add & ~fixed),
                op.parameter.eq(along | fixed),
                move.eq(self.i.valid & along),
            ]
            with m.If(self.i.valid & self.i.p.last):
                m.d.sync += [current.eq(along), idle.eq(0)]
        with m.Else():
            moves = Signal()
            m.d.comb += [
                op.valid.eq(room | ~(op.fire | op.emit)),
                op.parameter.eq(1),
                move.eq(op.valid & moves),
            ]
            with m.Switch(current):
                for number, (operation, after) in enumerate(
                        zip(operations, (*operations[1:], None), strict=True)):
                    with m.Case(number):
                        m.d.comb += [
                            op.fire.eq(operation.fire),
                            op.first.eq(operation.first),
                            op.emit.eq(operation.final),
                            # In rate code every fire compares with the one threshold row.
                            moves.eq(after is None or after.row != operation.row),
                        ]
            with m.If(op.valid):
                m.d.sync += [current.eq(current + 1), idle.eq(op.emit)]
        with m.If(move):
            end = core.groups * len(core.schedule.rows) - 1
            m.d.sync += row.eq(Mux(row == end, 0, row + 1))

        # The next result may be made if the queue has room for all results before it. They are in
        # the queue by the time that it is made.
        ahead = Signal(range(self._results + 2))
        m.d.comb += room.eq(ahead != self._results + 1)
        m.d.sync += ahead.eq(ahead + (op.valid & op.emit) - (self.o.valid & self.o.ready))

        # Second stage: the weights arrive, the parameters are looked up.
        chosen, loaded, running = Signal.like(op), Signal.like(op), Signal.like(op)
        m.d.sync += [
            chosen.eq(op),
            parameter_row.eq(Mux(idle & fixed, self.i.p.row, row)),
            loaded.eq(chosen),
        ]
        m.d.comb += parameter.addr.eq(parameter_row)

        # Third stage: the row to be added is chosen.
        addend = Signal(data.ArrayLayout(signed(width), core.lanes), reset_less=True)
        m.d.sync += running.eq(loaded)
        adds, others = (self._forked(m, name, op[name], stages=2) for name in ("add", "parameter"))
        sees = self._sees(m, idle)
        for k in range(core.lanes):
            charge = weights.weights.word_select(k, core.weight_bits).as_signed()
            with m.If(self._own(adds, k) & sees[k]):
                m.d.sync += addend[k].eq(charge)
            with m.Elif(self._own(others, k) & sees[k]):
                m.d.sync += addend[k].eq(parameter.data.word_select(k, width).as_signed())
            with m.Else():
                m.d.sync += addend[k].eq(0)

        # Fourth stage: the adder. A reset clears the potentials, as a result does.
        m.d.comb += self.busy.eq(running.valid & (running.add | running.parameter))
        clear, fires = Signal(init=1), Signal()
        m.d.sync += clear.eq(loaded.valid & loaded.emit)
        m.d.sync += fires.eq(loaded.valid & loaded.fire)
        doubles = self._forked(m, "double", idle & self.i.p.double, stages=3)

        # A bit takes one LUT if a register feeds the carry chain's data input, and the choice
        # between the potential and its double is left to the LUT in front of the adder. Yosys takes
        # the narrower operand for the chain; that is why the other one has a bit more.
        results = []
        for k in range(core.lanes):
            v = Signal(signed(width), name=f"v_{k}", reset_less=True)
            base = Signal(signed(width + 1), name=f"base_{k}")
            total = Signal(signed(width + 1), name=f"sum_{k}")
            spike = Signal(name=f"spike_{k}")
            m.d.comb += [
                base.eq(Mux(self._own(doubles, k), v << 1, v)),
                total.eq(addend[k] + base),
                spike.eq(~total[-1]),
            ]
            with m.If(clear):
                m.d.sync += v.eq(0)
            with m.Elif(running.valid & ~(running.fire & ~spike)):
                m.d.sync += v.eq(total)
            results.append(self._result(m, k, total, spike, fires, clear, running.first))

        made, taken = Signal(), Signal()
        with m.If(running.valid & running.emit):
            m.d.sync += made.eq(1)
        with m.Elif(taken):
            m.d.sync += made.eq(0)
        out = self.o
        if self._results:
            m.submodules.results = queue = Queue(self.o.p.shape(), depth=self._results)
            connect(m, queue.o, flipped(self.o))
            out = queue.i
        m.d.comb += [out.payload.eq(Cat(results)), out.valid.eq(made), taken.eq(out.ready)]
        return m

    def _forked(self, m, name, source, stages):
        """``source``, ``stages`` clocks later, in a register for every few lanes, since it goes to
        a LUT in front of each of their bits. Where two registers copy the same one, their initial
        values differ, because synthesis merges equal registers."""
        copies = [source]
        for stage in range(stages):
            forks = 2 if len(copies) * _LANES_PER_COPY < self._core.lanes else 1
            behind = [(copy, begins) for copy in copies for begins in range(forks)]
            copies = [Signal(name=f"{name}_{stage}_{k}", init=begins, reset_less=True)
                      for k, (_, begins) in enumerate(behind)]
            m.d.sync += [copy.eq(source)
                         for copy, (source, _) in zip(copies, behind, strict=True)]
        return copies

    def _sees(self, m, idle):
        """For each lane whether the row is added there, two clocks later."""
        if not self._core.masked:
            return [1] * self._core.lanes
        masked = idle & self.i.p.add & self.i.p.masked
        sees = self.i.p.mask | (~masked).replicate(self._core.lanes)
        for name in ("sees_0", "sees_1"):
            register = Signal(self._core.lanes, name=name, reset_less=True)
            m.d.sync += register.eq(sees)
            sees = register
        return sees

    def _own(self, copies, k):
        """The copy of lane ``k``."""
        return copies[k * len(copies) // self._core.lanes]

    def _result(self, m, k, total, spike, fires, emits, first):
        """What a lane offers: a count that grows spike by spike, or its potential."""
        core = self._core
        if core.out is None:
            logit = Signal(core.membrane_bits, name=f"logit_{k}", reset_less=True)
            with m.If(emits):
                m.d.sync += logit.eq(total)
            return logit
        bits = core.out.bits
        count = Signal(bits, name=f"count_{k}", reset_less=True)
        with m.If(fires):
            if core.out.code == "rate":
                m.d.sync += count.eq(Mux(first, 0, count) + spike)
            else:
                m.d.sync += count.eq(Cat(spike, count)[:bits])
        levels = core.out.levels
        if core.out.code == "phase" and levels != (1 << bits) - 1:
            return Mux(count > levels, Const(levels, bits), count)[:bits]
        return count
