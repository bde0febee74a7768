"""The lanes: membrane potentials, and the one adder that charges and fires them."""

import operator
from functools import partial, reduce

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .contents import ContentsBus, ContentsPort, Rows
from .encoder import event_layout
from .forks import copies, own_copy
from .membranes import Membranes
from .neuron import State
from .past import begun_member, tell
from .run import timesteps_member
from .sequencer import Sequencer
from .stream import Queue
from .weights import Weights

__all__ = ["Lanes"]

class Lanes(wiring.Component):
    """``lanes`` integrate-and-fire neurons side by side, each a register, an adder and a sign.

    Every clock one operation: the potential is kept or doubled, and a row is added or subtracted.
    After the charge of a step the operations of the layer's schedule follow
    (:class:`hw.sequencer.Sequencer`), a clock each: rows are added, such as the initial potential,
    and then the lanes fire. They add negated thresholds, and a lane keeps the difference only if it
    is not negative, which is its spike. Where spikes are taken back, a lane whose potential is
    negative adds the threshold; where they are bounded, a tracer counts them. In phase code spikes
    are the bits of the count, in a train those of the time-steps; in rate code they are counted.
    A burst whose spikes are not the bits of a number is a *tally*, the sum of the spikes of a
    time-step. The read-out does not fire; its potentials are the result. With the result, of trains
    with the last of their slices, the potentials are cleared.

    Some registers of a lane exist only where the schedule uses them. The *held* charge is a sum
    that is added again later; what is kept from row to row is in a memory instead
    (:class:`hw.membranes.Membranes`). The *silent* bit keeps the lane from firing. A *restart*,
    which replaces the potential by a row, sets it if the potential was not above zero. The *spiked*
    bit remembers a fire, which then moves no potential, until a *reset* does. A *leak* adds the
    potential to itself, shifted, and negated if it is to become less. The shift is made where rows
    are chosen, a clock before the addition, so the potential must not change in between.

    An output position therefore takes as many clocks as it has events and operations; a last event
    without a spike takes none, unless only one operation is left. Results wait in a queue. While it
    is full the lanes stall when the next result is about to be made, not before; nothing behind the
    first stage ever stops.

    Sums may wrap until they are compared. A potential that is compared, the negated threshold and
    their sum must be numbers of ``membrane_bits``.

    Parameters
    ----------
    core : :class:`hw.layers.CoreConfig`
    weights, parameters : rows of ``lanes`` weights, and of ``lanes`` potentials
        (see ``CoreConfig.parameter_rows``), the first lane in the lowest bits
    results : entries of the queue, at least 2; or 0 for no queue: a result then stalls the lanes
        until it is taken
    most : samples that may be under way, if a source ``continues`` (see :class:`hw.past.Begun`)
    place : numbers of the core and of the replica, if weights and parameters may be written

    Members
    -------
    i : ``In(stream.Signature(event_layout(core)))``
    o : ``Out(stream)``: a beat of counts, or ``lanes`` potentials; one for each group in turn, or
        for each slice of each group
    busy : ``Out(1)``: a row is being added: of weights, initial potentials or thresholds
    timesteps : ``In``, of the run; only if it makes a difference
    begun : ``In``, see there; only if charge is kept, and a source ``continues``
    contents : ``In(ContentsBus)``; only if there is a ``place``
    """

    def __init__(self, core, weights, parameters, *, results=2, most=0, place=None):
        if len(weights) != core.weight_rows:
            raise ValueError(f"weights must have {core.weight_rows} rows, not {len(weights)}")
        if len(parameters) != core.parameter_rows:
            raise ValueError(f"parameters must have {core.parameter_rows} rows, not "
                             f"{len(parameters)}")
        self._core = core
        self._weights = weights
        self._parameters = parameters
        self._results = results
        self._most = most if core.keeps else 0
        self._place = place
        super().__init__({
            "i": In(stream.Signature(event_layout(core))),
            "o": Out(stream.Signature(core.beat_bits)),
            "busy": Out(1),
            **timesteps_member(core.timesteps),
            **begun_member(self._most),
            **({} if place is None else {"contents": In(ContentsBus)}),
        })

    def model(self, events, timesteps=None):
        """Dicts in the shape of ``event_layout`` -> results, as integers, group by group. Every
        sample begins a sequence.

        Parameters
        ----------
        timesteps : of the run, by default all
        """
        core = self._core
        schedule = core.schedule.shortened(timesteps or core.schedule.timesteps)
        width, half = core.membrane_bits, 1 << core.membrane_bits - 1
        results, turn, arrived, kept = [], 0, 0, []
        lanes, made = self._begin(turn, kept)

        def unpack(row, bits):
            lanes = [row >> k * bits & (1 << bits) - 1 for k in range(core.lanes)]
            return [lane - (lane >> bits - 1 << bits) for lane in lanes]

        def wrap():
            for lane in lanes:
                lane.potential = (lane.potential + half) % (1 << width) - half

        for event in events:
            row = (unpack(self._parameters[event["row"]], width) if event["fixed"]
                   else unpack(self._weights[event["row"]], core.weight_bits))
            mask = event["add"] and (event["mask"] if event["masked"] else -1)
            for k, lane in enumerate(lanes):
                lane.potential <<= event["double"]
                lane.potential += (-1) ** event["subtract"] * row[k] * (mask >> k & 1)
            wrap()
            if not event["last"]:
                continue
            number, (start, end, *_) = len(schedule.rows), (*schedule.arrivals[arrived:],
                                                            len(schedule.steps))
            first_row = turn % core.groups * number
            own_rows = [unpack(row, width) for row in self._parameters[first_row:][:number]]
            for step in schedule.steps[start:end]:
                for lane, *own in zip(lanes, *own_rows, strict=True):
                    lane.add(step.adds, own)
                wrap()
                if step.fires:
                    made = [schedule.encode(lane.fire(step.fires, own), before)
                            for lane, before, *own in zip(lanes, made, *own_rows, strict=True)]
            arrived += 1
            if end == len(schedule.steps):
                made = ([lane.potential for lane in lanes] if core.sends_logits else
                        made if core.out.code == "train" else map(schedule.clip, made))
                results += self._beats(made)
                kept.append(lanes)
                arrived, turn = 0, turn + 1
                lanes, made = self._begin(turn, kept)
        return results

    def _begin(self, turn, kept):
        """States of the lanes in a turn, and counts that are zero.

        Parameters
        ----------
        kept : states after each turn before
        """
        (rows, columns), groups = self._core.sources[0].positions, self._core.groups
        fresh = turn // (columns * groups) % rows == 0
        above = [State()] * self._core.lanes if fresh else kept[turn - columns * groups]
        return [lane.following() for lane in above], [0 for _ in above]

    def _beats(self, made):
        """The beats of a position, from the potentials or trains of all lanes."""
        bits, out = self._core.value_bits, self._core.out
        cut = [[value] if out is None else out.cut(value) for value in made]
        return [sum((x & (1 << bits) - 1) << k * bits for k, x in enumerate(beat))
                for beat in zip(*cut, strict=True)]

    def elaborate(self, platform):
        m = Module()
        core, width = self._core, self._core.membrane_bits

        m.submodules.weights = weights = Weights(core, self._weights,
                                                 written=self._place is not None)
        if self._place is None:
            m.submodules.parameters = parameters = memory.Memory(
                shape=core.lanes * width, depth=max(2, len(self._parameters)),
                init=self._parameters)
            parameter = parameters.read_port()
        else:
            m.submodules.parameters = parameter = Rows(core.lanes * width, len(self._parameters),
                                                       self._parameters)

        # First stage: an event, or one of the operations that complete a step.
        m.submodules.sequence = sequence = Sequencer(core, results=self._results)
        connect(m, flipped(self.i), sequence.i)
        op, idle = sequence.op, sequence.idle
        m.d.comb += weights.row.eq(self.i.p.row)
        m.d.comb += sequence.taken.eq(self.o.valid & self.o.ready)
        if core.schedule.timed:
            m.d.comb += sequence.timesteps.eq(self.timesteps)

        # Second stage: the weights arrive, the parameters are looked up.
        chosen, loaded, running = (Signal.like(op, name=name)
                                   for name in ("chosen", "loaded", "running"))
        parameter_row = Signal(range(max(2, len(self._parameters))))
        m.d.sync += [chosen.eq(op), parameter_row.eq(sequence.row), loaded.eq(chosen)]
        m.d.comb += parameter.addr.eq(parameter_row)
        if self._place is not None:
            self._open(m, weights, parameter)

        # Third stage: the row to be added is chosen.
        forked, ours = partial(copies, m, core.lanes), partial(own_copy, lanes=core.lanes)
        addend = Signal(data.ArrayLayout(signed(width), core.lanes), reset_less=True)
        m.d.sync += running.eq(loaded)
        adds, others = (forked(name, op[name], stages=2) for name in ("add", "parameter"))
        held = Signal(data.ArrayLayout(signed(width), core.lanes), reset_less=True)
        again = op.held
        if core.keeps:
            m.submodules.membranes = membranes = Membranes(core, most=self._most)
            held = data.View(held.shape(), membranes.o)
            again = op.held & ~(op.hold & membranes.fresh)
            if core.schedule.currents:
                m.d.comb += membranes.current.eq(op.current)
            m.d.comb += membranes.done.eq(op.valid & op.emit)
            if core.continues:
                tell(m, self.begun, [membranes])
        keeps = forked("held", again, stages=2) if core.schedule.holds else [Const(0)]
        taken_back = idle & self.i.p.add & self.i.p.subtract.any()
        subtracts = forked("subtract", taken_back, stages=2) if core.subtracts else None
        shifts = core.schedule.shifts
        leaking = [forked(f"leak_{j}", op.leak[j], stages=2) for j in range(len(shifts))]
        sees = self._sees(m, idle)
        v = [Signal(signed(width), name=f"v_{k}", reset_less=True) for k in range(core.lanes)]
        for k in range(core.lanes):
            # Of a row that is subtracted the complement, and 1 when it is added.
            sign = ours(subtracts, k).as_signed() if subtracts else 0
            with m.If(ours(adds, k) & sees[k]):
                charge = weights.weights.word_select(k, core.weight_bits).as_signed()
                m.d.sync += addend[k].eq(charge ^ sign if subtracts else charge)
            with m.Elif(ours(others, k) & sees[k]):
                own = parameter.data.word_select(k, width).as_signed()
                m.d.sync += addend[k].eq(own ^ sign if subtracts else own)
            for shift, leaks in zip(shifts, leaking, strict=True):
                with m.Elif(ours(leaks, k)):
                    shifted = v[k][min(abs(shift), width - 1):].as_signed()
                    m.d.sync += addend[k].eq(~shifted if shift >= 0 else shifted)
            with m.Elif(ours(keeps, k)):
                m.d.sync += addend[k].eq(held[k])
            with m.Else():
                m.d.sync += addend[k].eq(sign)

        # Fourth stage: the adder. A reset clears the potentials as a result does.
        m.d.comb += self.busy.eq(running.valid & Cat(
            running.add, running.parameter, running.held, running.leak if shifts else []).any())
        clear, fires = Signal(init=1), Signal()
        m.d.sync += clear.eq(loaded.valid & loaded.emit & ~loaded.stays if core.sends_slices else
                             loaded.valid & loaded.emit)
        m.d.sync += fires.eq(loaded.valid & loaded.fire)
        doubles = forked("double", idle & self.i.p.double, stages=3)
        carried = [taken_back] * core.subtracts + [
            op.leak[j] for j, shift in enumerate(shifts) if shift >= 0]
        carries = (forked("carry", reduce(operator.or_, carried), stages=3)
                   if carried else None)
        restarts = (forked("restart", op.restart, stages=3) if core.schedule.restarts
                    else forked("blank", op.blank, stages=3) if core.schedule.blanks
                    else None)

        # A bit takes one LUT if a register feeds the carry chain's data input, and the choice
        # between the potential and its double is left to the LUT in front of the adder. Yosys takes
        # the narrower operand for the chain; that is why the other one has a bit more.
        results, made, taken = [], Signal(), Signal()
        vacated = Signal()
        if core.schedule.timed or core.sends_slices:
            begun = Signal()
            whole = Signal()
            m.d.sync += begun.eq(1)
            m.d.comb += vacated.eq((made & whole if core.sends_slices else made) & taken | ~begun)
        for k in range(core.lanes):
            base = Signal(signed(width + 1), name=f"base_{k}")
            total = Signal(signed(width + 1), name=f"sum_{k}")
            spike = Signal(name=f"spike_{k}")
            kept = Mux(ours(doubles, k), v[k] << 1, v[k])
            m.d.comb += [
                base.eq(Mux(ours(restarts, k), 0, kept) if restarts else kept),
                total.eq(self._sum(addend[k], base, carries and ours(carries, k))),
                spike.eq(self._spikes(m, k, v[k], total, spike, running, fires, clear)),
            ]
            moves = self._moves(m, k, running, spike, fires)
            with m.If(clear | running.valid & running.aside if core.schedule.puts_aside else clear):
                m.d.sync += v[k].eq(0)
            with m.Elif(running.valid & moves):
                m.d.sync += v[k].eq(total)
            if core.keeps:
                m.d.comb += membranes.i.word_select(k, width).eq(total)
            elif core.schedule.holds:
                with m.If(running.valid & running.hold):
                    m.d.sync += held[k].eq(total)
            results.append(self._result(m, k, total, spike, fires, clear, running, vacated))

        if core.keeps:
            m.d.comb += membranes.write.eq(running.valid & running.hold)
        with m.If(running.valid & running.emit):
            m.d.sync += made.eq(1)
            if core.sends_slices:
                m.d.sync += whole.eq(~running.stays)
        with m.Elif(taken):
            m.d.sync += made.eq(0)
        out = self.o
        if self._results:
            m.submodules.results = queue = Queue(self.o.p.shape(), depth=self._results)
            connect(m, queue.o, flipped(self.o))
            out = queue.i
        m.d.comb += [out.payload.eq(Cat(results)), out.valid.eq(made), taken.eq(out.ready)]
        return m

    def _open(self, m, weights, parameters):
        """Let the bus write words of the memories, and read rows while the lanes do not."""
        core = self._core
        m.submodules.port = port = ContentsPort(
            (core.lanes * core.weight_bits, core.lanes * core.membrane_bits), *self._place)
        connect(m, flipped(self.contents), port.bus)
        row = Signal.like(parameters.data, reset_less=True)
        m.d.sync += row.eq(parameters.data)
        m.d.comb += [
            weights.w_row.eq(port.row), weights.w_data.eq(port.data),
            weights.w_en.eq(port.writes0),
            parameters.w_addr.eq(port.row), parameters.w_data.eq(port.data),
            parameters.w_en.eq(port.writes1),
            port.rows0.eq(weights.weights), port.rows1.eq(row),
        ]
        m.d.comb += self.contents.active.eq(~m.submodules.sequence.idle)
        for memory_row, asked in ((weights.row, port.reads[0]), (parameters.addr, port.reads[1])):
            with m.If(asked):
                m.d.comb += memory_row.eq(port.row)

    def _moves(self, m, k, running, spike, fires):
        """Whether a lane keeps what it has added."""
        if not self._core.schedule.resets:
            return ~(running.fire & ~spike)
        spiked = Signal(name=f"spiked_{k}", reset_less=True)
        with m.If(fires):
            m.d.sync += spiked.eq(spike)
        return ~running.fire & (~running.reset | spiked)

    def _sum(self, addend, base, carry):
        if carry is None:
            return addend + base
        # One bit more below, from which the carry comes.
        return (Cat(carry, addend).as_signed() + Cat(carry, base).as_signed()) >> 1

    def _spikes(self, m, k, v, total, spike, running, fires, clear):
        """Whether a lane may keep what it has added in order to fire. Then it is a ``spike``, which
        the tracer counts, if there is one."""
        if self._core.schedule.restarts:
            silent = Signal(name=f"silent_{k}", reset_less=True)
            with m.If(clear):
                m.d.sync += silent.eq(0)
            with m.Elif(running.valid & running.restart):
                m.d.sync += silent.eq(v <= 0)
            return ~total[-1] & ~silent
        if self._core.schedule.bound is None:
            return ~total[-1]
        tracer = Signal(range(self._core.schedule.bound + 1), name=f"tracer_{k}", reset_less=True)
        taken_back = running.negative.any()
        with m.If(clear):
            m.d.sync += tracer.eq(0)
        with m.Elif(fires & spike):
            m.d.sync += tracer.eq(Mux(taken_back, tracer - 1, tracer + 1))
        return Mux(taken_back, v[-1] & (tracer != 0), ~total[-1] & (tracer < running.bound))

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

    def _result(self, m, k, total, spike, fires, clear, running, vacated):
        """What a lane offers: a count that grows spike by spike, or its potential."""
        core = self._core
        if core.sends_logits:
            logit = Signal(core.membrane_bits, name=f"logit_{k}", reset_less=True)
            with m.If(clear):
                m.d.sync += logit.eq(total)
            return logit
        bits = core.out.one_slice.bits
        count = Signal(bits, name=f"count_{k}", reset_less=True)
        with m.If(fires):
            if core.out.code == "rate":
                m.d.sync += count.eq(Mux(running.first, 0, count) + spike)
            elif core.schedule.tallied:
                width = core.out.levels.bit_length()
                tally = Mux(running.opens, 0, count[:width]) + Mux(spike, running.tally, 0)
                older = Mux(running.opens, count[:-width], count[width:])
                m.d.sync += count.eq(Cat(tally[:width], older))
            else:
                m.d.sync += count.eq(Cat(spike, count)[:bits])
        if core.schedule.timed or core.sends_slices:
            # Of fewer time-steps than the slice has, nothing shifts out what was there before. A
            # result is taken before the next one begins; after a reset there is none.
            with m.If(vacated):
                m.d.sync += count.eq(0)
        levels = core.out.levels
        if core.schedule.clips:
            return Mux(count > levels, Const(levels, bits), count)[:bits]
        return count
