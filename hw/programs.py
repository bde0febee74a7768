"""The programs of neurons: when charge arrives, and when they fire.

With :func:`settle` a neuron fires after all the charge of a sample; with :func:`step` it fires in
each of T time-steps, as the dynamics of its method say. With :func:`lasting` the rows of a map are
the time-steps.
"""

from collections.abc import Sequence
from dataclasses import replace

from .dynamics import Dynamics, Lasting
from .neuron import Add, Aside, Current, Fire, Keep, Leak, Reset, Restart, Row
from .schedule import Charge, Schedule, Step

__all__ = ["lasting", "settle", "step"]


def settle(sources: Sequence, levels: int | None, code: str = "phase") -> Schedule:
    """All the charge of a sample, then the fires: the count is ``clip(floor(v / threshold), 0,
    levels)``, the activation of the quantised network (docs/methods.md, 2).

    In phase code the thresholds are ``threshold * 2**k``, most significant first, and the spikes
    are the bits of the count; in rate code the same threshold comes ``levels`` times.

    Sources in the code of changes come first. Their charge is added to what is held from the row of
    outputs before, and held for the next; that of the others, if there are any, begins anew in
    every row (docs/methods.md, 15).

    Parameters
    ----------
    sources : :class:`hw.maps.MapConfig` of each source
    levels, code : see :class:`hw.schedule.Schedule`
    """
    rows = [Row(initial=1)]
    fires = []
    if levels is not None and code == "phase":
        shifts = range(levels.bit_length())[::-1]
        rows += [Row(threshold=-1 << shift) for shift in shifts]
        fires = [Fire(1 + k, 1 << shift) for k, shift in enumerate(shifts)]
    elif levels is not None:
        rows.append(Row(threshold=-1))
        fires = [Fire(1, 1)] * levels
    changes, counts = _changes(sources), _charges(sources)
    if not changes:
        steps = [Step(counts, (Add(0),), tuple(fires))]
    elif not counts:
        steps = [Step(changes, (Add(None, hold=True), Add(0)), tuple(fires))]
    else:
        # What is held can be added after a clock.
        steps = [Step(changes, (Aside(None, hold=True),), ()),
                 Step(counts, (Add(0), Add(None)), tuple(fires))]
    return Schedule(tuple(steps), tuple(rows), levels, code)


def lasting(sources: Sequence, neurons: Lasting, code: str = "phase") -> Schedule:
    """In each row of outputs what is left of the potential of the row before, the charge of the
    row, and a fire (docs/methods.md, 17). The rows are the time-steps of a sequence.

    Parameters
    ----------
    sources : :class:`hw.maps.MapConfig` of each source
    neurons : what they do from row to row
    code : see :class:`hw.schedule.Schedule`
    """
    membrane, current = neurons.membrane, neurons.current
    rows = [Row(initial=1), Row(threshold=-1, unit=-int(membrane.strict))]
    between = _between(membrane, rows)
    # What was held can be added after a clock, in which the bias is.
    adds = [Add(0), *[Current(None, hold=True)] * (current is not None),
            Add(None, hold=True)]
    # A current that does not leak is held already.
    leaks = (Current(None), *map(Leak, current), Keep(current=True)) if current else ()
    steps = (Step(_charges(sources), tuple(adds), (Fire(1, 1, moves=membrane.plain),)),
             Step((), (*between, Keep(aside=bool(current)), *leaks), ()))
    return Schedule(steps, tuple(rows), 1, code)


def step(sources: Sequence, levels: int | None, dynamics: Dynamics) -> Schedule:
    """In each time-step the charge of the spikes of that step, then a fire (docs/methods.md, 8).

    Maps that are no trains are the input. Its charge is the same in all wake steps: it arrives
    before the first step, is held, and is added again. Of a read-out, which never fires, all
    charge arrives in one step.

    Parameters
    ----------
    sources : :class:`hw.maps.MapConfig` of each source
    levels : greatest count of a neuron, if ``dynamics`` bounds it by that; ``None`` for a read-out
    """
    if dynamics.phases:
        return _one_spike(sources, None if levels is None else dynamics.greatest)
    images = _charges([source for source in sources if source.code != "train"])
    images = [replace(charge, planes=_spread(charge.planes, sources)) for charge in images]
    trains = [_trains(sources, number) for number in range(dynamics.timesteps)]
    if levels is None:
        return _readout(images, trains, dynamics)
    biased = dynamics.probe + dynamics.wakes > 1
    values, membrane = dynamics.values, dynamics.membrane
    strict = int(membrane.strict)
    # The first bias comes with the initial potential, or with the input.
    rows = [Row(initial=1, bias=int(not (images and biased)))]
    rows += [Row(threshold=-value, unit=-strict) for value in sorted(set(values))[::-1]]
    bursts = [Fire(rows.index(Row(threshold=-value, unit=-strict)), value, moves=membrane.plain)
              for value in values]
    back = [Fire(len(rows), -1, 0)] * dynamics.signed
    rows += [Row(threshold=1)] * dynamics.signed
    between = _between(membrane, rows)
    rows += [Row(bias=1)] * biased
    again = None if images else len(rows) - 1
    steps = []
    if images and biased:
        steps.append(Step(tuple(images), (Add(len(rows) - 1, hold=True),), ()))
        images = []
    for number, awake in enumerate(dynamics.awake):
        charges = trains[number] if number else (*images, *trains[number])
        adds = (Add(0),) if number == 0 else (Add(again),) * (awake and biased)
        if number == dynamics.probe > 0:
            steps.append(Step((), (Restart(0),), ()))
            adds = (Add(None),) if again is None else ()
        most = dynamics.most(levels, number)
        fires = (*[replace(fire, bound=most) for fire in bursts], *back)
        place = 0 if dynamics.whole else number
        if number and between:
            steps.append(Step((), between, (), place))
        steps.append(Step(charges, adds, fires, place))
    return Schedule(tuple(steps), tuple(rows), dynamics.burst, "train", dynamics.timesteps,
                    -int(dynamics.signed))


def _between(membrane, rows):
    """What a membrane does between two time-steps. The row that it subtracts is added to the rows
    unless it is there."""
    spent = Row(threshold=-1)
    resets = () if membrane.plain else (
        Reset(None if membrane.reset == "zero" else
              rows.index(spent) if spent in rows else len(rows)),)
    if resets and resets[0].spent == len(rows):
        rows.append(spent)
    leaks = tuple(map(Leak, membrane.leak))
    return leaks + resets if membrane.delayed else resets + leaks


def _one_spike(sources, levels):
    """Like :func:`settle`, but a neuron fires at most once: at the first threshold it reaches."""
    whole = settle(sources, levels)
    (only,) = whole.steps
    fires = tuple(replace(fire, bound=1) for fire in only.fires)
    return replace(whole, steps=(replace(only, fires=fires),),
                   rows=(Row(initial=1, bias=1), *whole.rows[1:]))


def _readout(images, trains, dynamics):
    """Of a read-out: the charge of all time-steps, then that of the input and the bias again in
    each further wake step."""
    trains = tuple(charge for charges in trains[dynamics.probe:] for charge in charges)
    wakes = [number for number, awake in enumerate(dynamics.awake) if awake][dynamics.probe:]
    if not images or len(wakes) == 1:
        begin = [Step((*images, *trains), (Add(0),), ())]
        rows, again = (Row(initial=1, bias=1), Row(bias=1)), 1
    else:
        # What is held can be added after a clock.
        hold, initial = Add(1, hold=True), Add(0)
        begin = ([Step(tuple(images), (hold,), ()), Step(trains, (initial,), ())] if trains else
                 [Step(tuple(images), (hold, initial), ())])
        rows, again = (Row(initial=1), Row(bias=1)), None
    whole = dynamics.whole
    more = [Step((), (Add(again),), (), 0 if whole else number) for number in wakes[1:]]
    return Schedule((*begin, *more), rows[:1 + (len(wakes) > 1)], None,
                    timesteps=1 if whole else dynamics.timesteps)


def _trains(sources, number):
    """Planes of one time-step: the spikes that add charge, then those that take it back."""
    charges = []
    for sign in (1, -1):
        units = [source.units(sign) if source.code == "train" else 0 for source in sources]
        charges += [
            Charge(tuple(source.train_plane(number, sign, unit) if unit < some else None
                         for source, some in zip(sources, units, strict=True)),
                   subtract=sign < 0, number=number)
            for unit in range(max(units, default=0))]
    return tuple(charges)


def _spread(planes, sources):
    """Planes of those sources that are no trains, among all of them."""
    planes = iter(planes)
    return tuple(None if source.code == "train" else next(planes) for source in sources)


def _changes(sources) -> tuple[Charge, ...]:
    """Digits of the same weight of the sources in the code of changes, first those that add charge
    and then those that take it back."""
    digits = [source.digits if source.code == "change" else 0 for source in sources]
    return tuple(
        Charge(tuple(k + back * own if k < own else None for own in digits), not back, bool(back))
        for k in reversed(range(max(digits, default=0))) for back in (0, 1))


def _charges(sources) -> tuple[Charge, ...]:
    """Planes of the same weight that different sources offer come together: first the bits of
    counts in phase code, then, with their lowest ones, the unit spikes of those in rate code."""
    charges = []
    phases = [source.bits if source.code == "phase" else 0 for source in sources]
    units = [0 if source.code in ("phase", "change") else source.planes for source in sources]
    for k in reversed(range(1, max(phases, default=0))):
        charges.append(Charge(tuple(k if k < bits else None for bits in phases), True))
    for unit in range(max((1 if bits else some for bits, some in zip(phases, units, strict=True)),
                          default=0)):
        planes = tuple(
            (0 if unit == 0 else None) if bits else (some - 1 - unit if unit < some else None)
            for bits, some in zip(phases, units, strict=True))
        charges.append(Charge(planes, unit == 0))
    return tuple(charges)
