# amaranth: UnusedElaboratable=no
import random
from dataclasses import replace

import pytest

from hw.dynamics import Lasting, Membrane
from hw.lanes import Lanes
from hw.layers import BANK_ROWS, CoreConfig
from hw.maps import MapConfig, SourceConfig
from hw.programs import lasting, settle

from .stepping import DYNAMICS, named
from .streams import STALLS, run


def core(levels, code, *, lanes=3, channels=5, word=4, masked=False):
    """With ``masked`` there are masked rows besides, in both memories."""
    source = SourceConfig(MapConfig(word, 1, 1, 3, word), -1, (1, 1), (1, 1), (0, 0))
    sources = [source] + masked * [replace(source, lanes=(0,) * lanes, fixed=fixed)
                                   for fixed in (False, True)]
    return CoreConfig("c", "c", tuple(sources), lanes, channels, weight_bits=4, membrane_bits=10,
                      masks=((1 << len(sources)) - 1,) * 2,
                      schedule=settle([s.map for s in sources], levels, code))


def event(rng, config, *, last, row=None, add=True, double=False):
    """Of a core with masked rows, now and then one of these."""
    masked = config.masked and rng.randrange(2)
    fixed = config.masked and rng.randrange(2)
    rows = config.parameter_rows if fixed else config.weight_rows
    return {"row": rng.randrange(rows) if row is None else row, "add": int(add),
            "double": int(double), "last": int(last), "masked": int(masked), "fixed": int(fixed),
            "subtract": rng.randrange(2) if config.subtracts else 0,
            "mask": rng.randrange(1 << config.lanes) if config.masked else 0}


def rows(rng, count, lanes, bits, low, high):
    values = [[rng.randrange(low, high) for _ in range(lanes)] for _ in range(count)]
    return tuple(sum((v & (1 << bits) - 1) << k * bits for k, v in enumerate(row))
                 for row in values)


def parameters(rng, config):
    """An initial row and falling, negated thresholds for each group."""
    result = []
    for _ in range(config.groups):
        theta = [rng.randrange(1, 16) for _ in range(config.lanes)]
        result += rows(rng, 1, config.lanes, 10, -40, 40)
        for row in config.schedule.rows[1:]:
            result += [sum((row.threshold * t & 1023) << k * 10 for k, t in enumerate(theta))
                       if row.threshold else rows(rng, 1, config.lanes, 10, -8, 8)[0]]
    result += rows(rng, config.parameter_rows - len(result), config.lanes, 10, -20, 20)
    return tuple(result)


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("levels,code", [(3, "phase"), (5, "phase"), (1, "phase"), (4, "rate"),
                                         (1, "rate"), (None, "phase")])
@pytest.mark.parametrize("results, masked", [(0, False), (2, False), (2, True)])
def test_lanes_equal_model(levels, code, stalls, results, masked):
    config = core(levels, code, masked=masked)
    rng = random.Random(str((levels, code)))
    dut = Lanes(config, rows(rng, config.weight_rows, 3, 4, -8, 8), parameters(rng, config),
                results=results)
    events, positions = [], 40
    for _ in range(positions):
        burst = rng.randrange(1, 8)
        events += [event(rng, config, add=rng.randrange(4) > 0, double=rng.randrange(4) == 0,
                         last=turn == burst - 1) for turn in range(burst)]
    expected = dut.model(events)
    received, busy, clocks = run(dut, [(dut.i, events)], [(dut.o, len(expected))],
                                 stalls=stalls, pulses=[dut.busy])
    assert received == expected
    operations = positions * len(config.schedule.operations)
    adds = sum(event["add"] for event in events) + operations
    assert busy == adds, "every row is added once"
    if stalls == "none" and results:
        fires = not config.sends_logits
        free = fires * sum(event["last"] and not event["add"] for event in events)
        assert clocks == len(events) - free + operations + 6


LASTING = [Lasting(Membrane(), 9), Lasting(Membrane((3, -5), "zero", True), 9),
           Lasting(Membrane((2,), delayed=True), 9), Lasting(Membrane((2,)), 9, (1,)),
           Lasting(Membrane((3,), "zero"), 9, (2, 4)), Lasting(Membrane((), delayed=True), 9, ())]


@pytest.mark.parametrize("height, channels", [(4, 3), (2, 5)])
@pytest.mark.parametrize("neurons", LASTING, ids=str)
def test_lanes_whose_potentials_last_equal_model(neurons, height, channels):
    """Also of one word, which is read soon after it has been written."""
    source = SourceConfig(MapConfig(4, height, 1, 3, 4), -1, (1, 1), (1, 1), (0, 0))
    config = CoreConfig("c", "c", (source,), 3, channels, weight_bits=4, membrane_bits=10,
                        masks=(1,) * -(-channels // 3), schedule=lasting([source.map], neurons))
    rng, own = random.Random(str((neurons, height))), []
    for _ in range(config.groups):
        lanes = [config.schedule.parameters(rng.randrange(-2, 4), rng.randrange(4, 16))
                 for _ in range(3)]
        own += [sum((lane[k] & 1023) << 10 * place for place, lane in enumerate(lanes))
                for k in range(len(config.schedule.rows))]
    dut = Lanes(config, rows(rng, config.weight_rows, 3, 4, -8, 8), tuple(own))
    events = []
    for _ in range(40):
        burst = rng.randrange(1, 5)
        events += [event(rng, config, add=rng.randrange(4) > 0, last=turn == burst - 1)
                   for turn in range(burst)]
    expected = dut.model(events)
    assert len(set(expected)) > 2
    received, _ = run(dut, [(dut.i, events)], [(dut.o, len(expected))], stalls="none")
    assert received == expected


@pytest.mark.parametrize("stalls", ["none", "both"])
@pytest.mark.parametrize("kinds", [("image",), ("train",), ("image", "train")])
@pytest.mark.parametrize("levels", [3, None])
@pytest.mark.parametrize("name", DYNAMICS)
def test_lanes_that_step_equal_model(name, levels, kinds, stalls):
    config = named(name, kinds, levels)
    rng = random.Random(str((name, kinds, levels)))
    dut = Lanes(config, rows(rng, config.weight_rows, 3, 4, -8, 8), parameters(rng, config),
                results=max(2, config.waiting))
    events, free = [], 0
    arrivals = config.schedule.arrivals
    for _ in range(20):
        for number in arrivals:
            burst = rng.randrange(1, 4)
            events += [event(rng, config, add=rng.randrange(3) > 0, last=turn == burst - 1)
                       for turn in range(burst)]
            # The last operation of all is never taken along.
            free += not events[-1]["add"] and len(config.schedule.steps[number:]) + len(
                config.schedule.steps[number].adds + config.schedule.steps[number].fires) > 2
    expected = dut.model(events)
    received, busy, clocks = run(dut, [(dut.i, events)], [(dut.o, len(expected))],
                                 stalls=stalls, pulses=[dut.busy], convert=name == "cif")
    assert received == expected
    assert len(set(expected)) > 1
    operations = len(config.schedule.operations) * 20
    assert busy == sum(event["add"] for event in events) + 20 * config.schedule.additions
    if stalls == "none" and levels is not None:
        assert clocks == len(events) - free + operations + 6


@pytest.mark.parametrize("stalls", ["none", "both"])
@pytest.mark.parametrize("kinds", [("train",), ("image", "train")])
@pytest.mark.parametrize("levels", [3, None])
@pytest.mark.parametrize("name, steps", [
    *[(name, None) for name in ("if", "cif", "cycles", "long")],
    ("two slices", (1, 9, 10, 11, 20)), ("three slices", (5, 24, 34)),
    ("pairs", None), ("single steps", None)])
def test_lanes_end_early(name, steps, levels, kinds, stalls):
    """Runs of any number of time-steps, one after the other."""
    config = named(name, kinds, levels)
    rng = random.Random(str((name, kinds, levels)))
    weights, initial = rows(rng, config.weight_rows, 3, 4, -8, 8), parameters(rng, config)
    for results in (0, 2):
        dut = Lanes(config, weights, initial, results=results)
        for timesteps in steps or range(1, config.schedule.timesteps + 1):
            events = [event(rng, config, add=rng.randrange(3) > 0, last=rng.randrange(2))
                      for _ in range(60)] + [event(rng, config, last=True)] * 150
            events = _whole(events, 4 * len(config.schedule.shortened(timesteps).arrivals))
            expected = dut.model(events, timesteps)
            slices = 1 if levels is None else config.out.slices
            assert len(expected) == 4 * slices
            received, _ = run(dut, [(dut.i, events)], [(dut.o, len(expected))], stalls=stalls,
                              constants=[(dut.timesteps, timesteps)] if config.schedule.timed
                              else [], convert=False)
            assert received == expected


def _whole(events, lasts):
    """The events up to the given number of last ones."""
    ends = [k for k, event in enumerate(events) if event["last"]]
    return events[:ends[lasts - 1] + 1]


def test_a_deep_memory_is_several():
    config = core(3, "phase", word=BANK_ROWS + 9)
    assert config.weight_banks == (BANK_ROWS, BANK_ROWS, 18)
    rng = random.Random(0)
    dut = Lanes(config, rows(rng, config.weight_rows, 3, 4, -8, 8), parameters(rng, config))
    edges = [0, BANK_ROWS - 1, BANK_ROWS, 2 * BANK_ROWS - 1, 2 * BANK_ROWS, config.weight_rows - 1]
    events = [event(rng, config, row=rng.choice([*edges, rng.randrange(config.weight_rows)]),
                    last=turn % 5 == 4) for turn in range(200)]
    expected = dut.model(events)
    received, _ = run(dut, [(dut.i, events)], [(dut.o, len(expected))], stalls="both")
    assert received == expected


def test_rows_must_match_the_configuration():
    config = core(3, "phase")
    with pytest.raises(ValueError, match=r"^weights must have 8 rows, not 0$"):
        Lanes(config, (), ())
    with pytest.raises(ValueError, match=r"^parameters must have 6 rows, not 1$"):
        Lanes(config, (0,) * 8, (0,))
