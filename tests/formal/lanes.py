"""``hw.lanes``: results equal the integer model, whatever the events and however they are taken."""

from dataclasses import replace

from amaranth import *
from amaranth.hdl import Assume, Cover

from hw.config import CoreConfig
from hw.lanes import Lanes
from hw.maps import MapConfig, SourceConfig
from hw.schedule import settle

from .properties import Proof, anything, in_order, moves, waits
from .prover import BDD

__all__ = ["PROOFS"]

_BITS = 2
"""Of a weight. A lane's rows hold all weights there are."""


def _pack(values, bits):
    return sum((value & (1 << bits) - 1) << k * bits for k, value in enumerate(values))


def _config(levels, code, channels, lanes, width, masked):
    source = SourceConfig(MapConfig(1 << _BITS, 1, 1, 1, 1 << _BITS), -1, (1, 1), (1, 1), (0, 0))
    sources = [source] + masked * [replace(source, lanes=tuple(range(lanes)), fixed=True)]
    return CoreConfig("c", "c", tuple(sources), lanes, channels, _BITS, width,
                      masks=((1 << len(sources)) - 1,) * -(-channels // lanes),
                      schedule=settle([s.map for s in sources], levels, code))


def _fires(config):
    return sum(operation.fire is not None for operation in config.schedule.operations)


def lanes(levels, code="phase", *, channels=1, lanes=1, width=4, bound=None, inside=4,
          results=2, masked=False):
    """``inside``: positions whose events are complete and whose result has not left; ``results``:
    entries of the queue; ``masked``: there are masked rows, and one in the parameter memory for
    each group."""
    config = _config(levels, code, channels, lanes, width, masked)
    weights = [[(row + lane * (row + 1)) % (1 << _BITS) for lane in range(lanes)]
               for row in range(config.weight_rows)]
    # Initial potentials, then falling negated thresholds; another value for each lane and group.
    initial = [[1 - lane - group for lane in range(lanes)] for group in range(config.groups)]
    times = [row.threshold for row in config.schedule.rows if row.threshold]
    fires = [[[k * (1 + (lane + group) % 2) for lane in range(lanes)] for k in times]
             for group in range(config.groups)]

    first = config.groups * len(config.schedule.rows)
    fixed = [[1 - 2 * (lane % 2) - row for lane in range(lanes)]
             for row in range(config.parameter_rows - first)]

    def component():
        parameters = [_pack(row, width) for group in range(config.groups)
                      for row in (initial[group], *fires[group])]
        parameters += [_pack(row, width) for row in fixed]
        return Lanes(config, [_pack(row, _BITS) for row in weights], parameters,
                     results=results)

    def properties(m, dut):
        anything(m, dut.i.valid, dut.i.payload, dut.o.ready)
        m.d.comb += Assume(Mux(
            dut.i.p.fixed.any(), (dut.i.p.row >= first) & (dut.i.p.row < config.parameter_rows),
            dut.i.p.row < config.weight_rows))
        waits(m, dut.o)

        group = Signal(range(max(2, config.groups)))
        complete = moves(dut.i) & dut.i.p.last
        with m.If(complete):
            m.d.sync += group.eq(Mux(group == config.groups - 1, 0, group + 1))

        results = []
        for lane in range(lanes):
            v = Signal(signed(width), name=f"model_v_{lane}")
            charge = _charge(m, dut.i, lane, [row[lane] for row in weights],
                             [0] * first * masked + [row[lane] for row in fixed])
            results.append(_lane(m, config, dut.i, complete, group, v, charge,
                                 [row[lane] for row in initial],
                                 [[row[lane] for row in rows] for rows in fires]))
        in_order(m, complete, Cat(results), moves(dut.o), dut.o.payload, inside)

    return Proof(component, properties, depth=8 + 3 * _fires(config), bound=bound, engine=BDD)


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
    return weight


def _lane(m, config, i, complete, group, v, charge, initial, fires):
    """The integer model of one lane, all of an event in one clock, as what it would send now."""
    def signal(shape, value):
        made = Signal(shape, name=f"{v.name}_{len(steps)}")
        m.d.comb += made.eq(value)
        steps.append(made)
        return made

    steps, width = [], v.shape()
    half = Const(1 << width.width - 1, width.width + 1)
    now = signal(width, Mux(i.p.double, 2 * v, v))
    now = signal(width, Mux(i.p.add, now + charge, now))
    after = signal(width, now + _choose(m, group, initial, f"{v.name}_initial"))
    count = signal(unsigned(8), 0)
    for turn in range(_fires(config)):
        rate = config.schedule.code == "rate"
        theta = _choose(m, group, [rows[0 if rate else turn] for rows in fires],
                        f"{v.name}_theta_{turn}")
        left = signal(signed(width.width + 1), after + theta)
        m.d.comb += Assume(~complete | ((left >= -half) & (left < half)))
        count = signal(unsigned(8), (count if rate else 2 * count) + (left >= 0))
        after = signal(width, Mux(left >= 0, left, after))
    with m.If(moves(i)):
        m.d.sync += v.eq(Mux(i.p.last, 0, now))
    m.d.comb += Cover(complete & (count == (config.schedule.levels or 0)) & (v != 0))
    if config.out is None:
        return after.as_unsigned()
    return Mux(count > config.out.levels, config.out.levels, count)[:config.out.bits]


PROOFS = {
    "lanes-read-out": lanes(None, width=3),
    "lanes-phase-1": lanes(1, width=3),
    **{f"lanes-{code}-{levels}": lanes(levels, code, channels=2, bound=16)
       for levels, code in ((2, "phase"), (3, "phase"), (1, "rate"), (2, "rate"))},
    "lanes-masked": lanes(2, channels=4, lanes=2, bound=14, masked=True),
    "lanes-without-queue": lanes(2, channels=2, results=0),
    "lanes-side-by-side": lanes(3, channels=3, lanes=2, bound=14),
}
