"""``hw.lanes``: results equal the integer model, whatever the events and however they are taken."""

import itertools
from dataclasses import replace

from amaranth import *
from amaranth.hdl import Assume, Cover

from hw.dynamics import Dynamics, Membrane
from hw.lanes import Lanes
from hw.layers import CoreConfig
from hw.maps import MapConfig, SourceConfig
from hw.neuron import Leak, Reset, Restart
from hw.programs import settle, step

from .properties import Proof, anything, in_order, moves, paced, waits
from .prover import BDD

__all__ = ["PROOFS"]

_BITS = 2
"""Of a weight. A lane's rows hold all weights there are."""

_LATENCY = 5
"""Clocks from the last operation of a position to its result, with a queue of results."""


def _pack(values, bits):
    return sum((value & (1 << bits) - 1) << k * bits for k, value in enumerate(values))


def _config(schedule, maps, channels, lanes, width, masked):
    """A core of so many sources, and, if ``masked``, one more."""
    sources = [SourceConfig(fmap, -1, (1, 1), (1, 1), (0, 0)) for fmap in maps]
    sources += masked * [replace(sources[0], lanes=tuple(range(lanes)), fixed=True)]
    return CoreConfig("c", "c", tuple(sources), lanes, channels, _BITS, width,
                      masks=((1 << len(sources)) - 1,) * -(-channels // lanes),
                      schedule=schedule([source.map for source in sources]))


def lanes(levels, code="phase", *, channels=1, lanes=1, width=4, bound=None, inside=4,
          results=2, masked=False):
    """``inside``: positions whose events are complete and whose result has not left; ``results``:
    entries of the queue; ``masked``: there are masked rows, and one in the parameter memory for
    each group."""
    config = _config(lambda maps: settle(maps, levels, code), [_map()], channels, lanes, width,
                     masked)
    return _proof(config, 12 + 3 * len(config.schedule.steps[0].fires), bound, inside, results)


def one_spike(phases, *, channels=1, width=4, bound=None, inside=4, results=2):
    config = _config(lambda maps: step(maps, 1, Dynamics(1, phases=phases)), [_map()], channels, 1,
                     width, False)
    return _proof(config, 8 + 3 * phases, bound, inside, results)


def stepping(dynamics, *kinds, levels=1, channels=1, width=3, bound=None, inside=4, results=2):
    """``kinds``: ``"image"``, ``"train"``, or both."""
    train = {"code": "train", "timesteps": dynamics.timesteps, "low": -int(dynamics.signed),
             "levels": dynamics.burst}
    maps = [_map(**train) if kind == "train" else _map() for kind in kinds]
    config = _config(lambda maps: step(maps, levels, dynamics), maps, channels, 1, width, False)
    depth = 6 + len(config.schedule.operations) + len(config.schedule.arrivals)
    return _proof(config, depth, bound, inside, results)


def _map(levels=1, **code):
    return MapConfig(1 << _BITS, 1, 1, levels, 1 << _BITS, **code)


def _proof(config, depth, bound, inside, results):
    schedule, lanes, width = config.schedule, config.lanes, config.membrane_bits
    weights = [[(row + lane * (row + 1)) % (1 << _BITS) for lane in range(lanes)]
               for row in range(config.weight_rows)]
    # Another initial potential, threshold and bias for each lane and group.
    values = [[schedule.parameters(1 - lane - group, 1 + (lane + group) % 2,
                                   2 * ((lane + group) % 2) - 1)
               for lane in range(lanes)] for group in range(config.groups)]
    first = config.groups * len(schedule.rows)
    fixed = [[1 - 2 * (lane % 2) - row for lane in range(lanes)]
             for row in range(config.parameter_rows - first)]

    def component():
        parameters = [_pack(row, width) for group in values for row in zip(*group, strict=True)]
        parameters += [_pack(row, width) for row in fixed]
        return Lanes(config, [_pack(row, _BITS) for row in weights], parameters,
                     results=results)

    def properties(m, dut):
        anything(m, dut.i.valid, dut.i.payload, dut.o.ready)
        m.d.comb += Assume(Mux(
            dut.i.p.fixed.any(), (dut.i.p.row >= first) & (dut.i.p.row < config.parameter_rows),
            dut.i.p.row < config.weight_rows))
        waits(m, dut.o)

        arrivals = len(schedule.arrivals)
        arrival, group = Signal(range(max(2, arrivals))), Signal(range(max(2, config.groups)))
        arrived = moves(dut.i) & dut.i.p.last
        complete = arrived & (arrival == arrivals - 1)
        with m.If(arrived):
            m.d.sync += arrival.eq(Mux(complete, 0, arrival + 1))
        with m.If(complete):
            m.d.sync += group.eq(Mux(group == config.groups - 1, 0, group + 1))
        # What doubles is the charge of an input, and something is added to that before a fire.
        for number, begin in enumerate(schedule.arrivals):
            if not schedule.steps[begin].adds:
                m.d.comb += Assume((arrival != number) | ~dut.i.p.double)

        results = []
        for lane in range(lanes):
            charge = _charge(m, dut.i, lane, [row[lane] for row in weights],
                             [0] * first * config.masked + [row[lane] for row in fixed])
            rows = [_choose(m, group, row, f"row_{k}_{lane}") for k, row in enumerate(
                zip(*(own[lane] for own in values), strict=True))]
            results.append(_lane(m, config, dut.i, arrival, charge, rows, lane))
        return in_order(m, complete, Cat(results), moves(dut.o), dut.o.payload, inside)

    def answers(m, dut, count):
        # Nothing waits for longer than all operations take, unless results are not taken.
        idle = ~moves(dut.i) & ~moves(dut.o) & ~(dut.o.valid & ~dut.o.ready)
        paced(m, (dut.i.valid | (count != 0)) & idle, len(schedule.operations) + _LATENCY)

    return Proof(component, properties, depth=depth, bound=bound, engine=BDD, bounded=answers)


def _choose(m, index, values, name):
    """A constant of a list, by a signal."""
    chosen = Signal(signed(max(len(Const(v)) + 1 for v in values)), name=name)
    with m.Switch(index):
        for k, value in enumerate(values):
            with m.Case(k):
                m.d.comb += chosen.eq(value)
    return chosen


def _charge(m, i, lane, weights, fixed):
    """What an event adds in a lane, if it adds anything."""
    weights = [w - (w >> _BITS - 1 << _BITS) for w in weights]
    weight = _choose(m, i.p.row, weights, f"weight_{lane}")
    if fixed:
        weight = Mux(i.p.fixed, _choose(m, i.p.row, fixed, f"fixed_{lane}"), weight)
        weight = Mux(i.p.masked & ~i.p.mask[lane], 0, weight)
    return Mux(i.p.subtract.any(), -weight, weight)


def _lane(m, config, i, arrival, charge, rows, lane):
    """The integer model of one lane, all of an event in one clock, as what it would send now.

    Between two arrivals of charge the potential is kept, the charge that is held, the tracer, and
    the spikes so far.
    """
    def signal(shape, value):
        made = Signal(shape, name=f"model_{lane}_{next(number)}")
        m.d.comb += made.eq(value)
        return made

    number, schedule, arrived = itertools.count(), config.schedule, moves(i) & i.p.last
    width = config.membrane_bits
    half = Const(1 << width - 1, width + 1)
    shapes = {"v": signed(width), "held": signed(width),
              "tracer": range((schedule.bound or 0) + (schedule.levels or 0) + 1),
              "spikes": unsigned(8), "silent": 1, "spiked": 1}
    kept = {name: Signal(shape, name=f"kept_{name}_{lane}") for name, shape in shapes.items()}

    now = signal(signed(width), Mux(i.p.double, 2 * kept["v"], kept["v"]))
    now = signal(signed(width), Mux(i.p.add, now + charge, now))
    after = {name: Signal(shape, name=f"after_{name}_{lane}") for name, shape in shapes.items()}
    with m.Switch(arrival):
        for turn, (begin, end) in enumerate(itertools.pairwise(
                (*schedule.arrivals, len(schedule.steps)))):
            v, (_, held, tracer, spikes, silent, spiked) = now, kept.values()
            for each in schedule.steps[begin:end]:
                for add in each.adds:
                    if isinstance(add, Leak):
                        left = v >> abs(add.shift)
                        v = signal(signed(width), v - left if add.shift >= 0 else v + left)
                        continue
                    if isinstance(add, Reset):
                        less = Const(0) if add.spent is None else v + rows[add.spent]
                        v = signal(signed(width), Mux(spiked, less, v))
                        continue
                    if isinstance(add, Restart):
                        silent, v = signal(1, v <= 0), Const(0)
                    v = signal(signed(width), v + (held if add.row is None else rows[add.row]))
                    held = v if add.hold else held
                fired = Const(0)
                for fire in each.fires:
                    moved = signal(signed(width + 1), v + rows[fire.row])
                    if fire.value > 0:
                        spike, free = moved >= 0, tracer < (fire.bound or 0)
                        compared = arrived & (arrival == turn)
                        m.d.comb += Assume(~compared | ((moved >= -half) & (moved < half)))
                    else:
                        spike, free = v < 0, tracer > fire.bound
                    spike = signal(1, ~silent & (spike if fire.bound is None else spike & free))
                    v = signal(signed(width), Mux(spike, moved, v)) if fire.moves else v
                    spiked = spike
                    tracer = signal(shapes["tracer"], tracer + Mux(spike, fire.value, 0))
                    fired = fired + Mux(spike, fire.value, 0)
                more = schedule.levels if schedule.code == "train" else 0
                spikes = signal(shapes["spikes"], Cat(
                    *[fired < 0] * -schedule.low, _bits(fired, more.bit_length()), spikes)
                    if more and each.fires else spikes + fired)
            with m.Case(turn):
                m.d.comb += [signal.eq(value) for signal, value in zip(
                    after.values(), (v, held, tracer, spikes, silent, spiked), strict=True)]
    complete = arrived & (arrival == len(schedule.arrivals) - 1)
    with m.If(moves(i)):
        m.d.sync += [signal.eq(Mux(complete, 0, Mux(i.p.last, value, signal)))
                     for signal, value in zip(kept.values(), after.values(), strict=True)]
        with m.If(~i.p.last):
            m.d.sync += kept["v"].eq(now)

    spikes = after["spikes"]
    if config.sends_logits:
        m.d.comb += Cover(complete & (kept["v"] != 0))
        return after["v"].as_unsigned()
    if schedule.code == "train":
        added, taken_back = spikes[-schedule.low::1 - schedule.low], spikes[::2]
        reached = spikes[:schedule.levels.bit_length()] == schedule.levels
        m.d.comb += Cover(complete & (
            added.any() & taken_back.any() if schedule.low else reached))
        return spikes[:config.out.bits]
    m.d.comb += Cover(complete & (spikes == config.out.levels) & (kept["v"] != 0))
    return Mux(spikes > config.out.levels, config.out.levels, spikes)[:config.out.bits]


def _bits(fired, bits):
    """How many spikes add charge, of a sum of them and of those that take it back."""
    return Mux(fired > 0, fired, 0)[:bits]


PROOFS = {
    "lanes-read-out": lanes(None, width=3),
    "lanes-phase-1": lanes(1, width=3),
    **{f"lanes-{code}-{levels}": lanes(levels, code, channels=2, bound=16)
       for levels, code in ((2, "phase"), (3, "phase"), (1, "rate"), (2, "rate"))},
    "lanes-masked": lanes(2, channels=4, lanes=2, bound=14, masked=True),
    "lanes-without-queue": lanes(2, channels=2, results=0),
    "lanes-side-by-side": lanes(3, channels=3, lanes=2, bound=14),
    "lanes-step-train": stepping(Dynamics(2), "train"),
    "lanes-step-once": stepping(Dynamics(1, 2), "train", channels=2, bound=18),
    "lanes-step-image": stepping(Dynamics(2), "image"),
    "lanes-step-signed": stepping(Dynamics(1, 1, signed=True, bound="levels"), "train"),
    "lanes-step-elapsed": stepping(Dynamics(2, 1, signed=True, bound="elapsed"), "train", bound=20),
    "lanes-step-levels": stepping(Dynamics(1, 2, signed=True, bound="levels"), "train", bound=20),
    "lanes-step-both": stepping(Dynamics(2), "image", "train", bound=16),
    "lanes-step-restart": stepping(Dynamics(1, probe=1), "train", bound=16),
    "lanes-step-leak": stepping(Dynamics(2, membrane=Membrane((1,))), "train", bound=18),
    "lanes-step-zero": stepping(Dynamics(2, membrane=Membrane(
        reset="zero", strict=True)), "train", bound=18),
    "lanes-step-delayed": stepping(Dynamics(2, membrane=Membrane(
        (1, -2), strict=True, delayed=True)), "train", width=4, bound=18),
    "lanes-one-spike": one_spike(2, channels=2, bound=16),
    "lanes-step-burst": stepping(Dynamics(2, burst=2), "train", width=4, bound=16),
    "lanes-step-read-out": stepping(Dynamics(2), "train", levels=None),
    "lanes-step-read-out-image": stepping(Dynamics(2), "image", levels=None),
    "lanes-step-read-out-both": stepping(Dynamics(2), "image", "train", levels=None, bound=16),
}
