"""How many mutants the regression on the emitted Verilog kills.

The regression is that of ``tests/cocotb/test_array.py``: its networks in both variants, those with
time-steps in runs of different lengths, and :func:`gen.verify.rtl.compare`, every beat of every
layer with random stalls and resets. A mutant
that computes the right spikes in as many events may still be too slow; what survives is therefore
simulated once more, without stalls, and its clocks are compared with those of the array as it was
emitted.
"""

import os
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from unittest import mock

import numpy as np

from gen.errors import SimulationError
from gen.system import processes
from gen.verify.monitor import monitor_verilog
from gen.verify.rtl import compare
from gen.verify.simulation import stream
from tests.cocotb.test_array import CASES, STEPPING, VARIANTS, mapped, runs, stimuli

from . import mutants as emitted
from .equivalence import equivalent

__all__ = ["SUBJECTS", "Mutant", "Subjects", "measure", "score"]


@dataclass(frozen=True)
class Subjects:
    """Networks whose arrays are broken, and where.

    Parameters
    ----------
    cases : of ``tests/cocotb/test_array.py``
    parts : part -> mutants to be sampled, and modules to sample them from, see :data:`_OWNERS`
    """

    cases: tuple[str, ...]
    parts: dict[str, tuple[int, list[str]]]


_OWNERS = {
    "core": lambda config: [f"{core.port}." for core in config.cores],
    "pool": lambda config: [layer.port for layer in config.layers if layer not in config.cores],
    "quiet": lambda config: [f"quiet_{core.port}" for core in config.settling],
}
"""Beginning of a pattern -> what stands for it, for each component that there is."""

SUBJECTS = {
    "settle": Subjects(tuple(CASES), {
        "lanes": (60, ["core lanes", "core lanes.*"]),
        "encoder": (30, ["core encoder"]),
        "select": (30, ["core select", "core select.*"]),
        "window": (40, ["core window_*", "core stage_*"]),
        "core": (40, [f"core {name}" for name in (
            "fetch", "fetch.*", "commands.*", "words.*", "spikes_*")]),
    }),
    "step": Subjects(tuple(STEPPING), {
        "lanes": (40, ["core lanes", "core lanes.sequence"]),
        "select": (20, ["core select"]),
        "fetch": (10, ["core fetch", "core encoder"]),
        "pool": (20, ["pool"]),
        "quiet": (20, ["quiet"]),
    }),
}
"""Networks that fire after all the charge of a sample, and those that do in every time-step: of
these the components that differ."""

_SEEDS = {"bursts": (0, 1, 2)}
"""Of the random stalls of a case that has one run, while others with time-steps have three; of the
rest 0 alone."""

_TOLERANCE = 0.03
"""Clocks may differ from the formulas by so much (``tests/hw/test_core.py``)."""

_ALONE = 16
"""Images whose latency is measured."""


@dataclass(frozen=True)
class Mutant:
    """A mutant of the array of a network.

    Parameters
    ----------
    case : of ``tests/cocotb/test_array.py``
    part : of its :class:`Subjects`
    number : among the mutants of its case, from 1
    command : what Yosys did
    verdict : what killed it, or ``None``
    harmless : where it is proven to make no difference, or ``None``
    """

    case: str
    part: str
    number: int
    command: str
    verdict: str | None = None
    harmless: str | None = None

    @property
    def module(self):
        return self.command.split("-module ")[1].split()[0]


def _patterns(config, names):
    """Patterns of modules, as Yosys takes them."""
    return [f"array.{owner}{name}" for pattern in names
            for kind, _, name in [pattern.partition(" ")] for owner in _OWNERS[kind](config)]


def _quotas(subjects, part):
    """Of the mutants of a part, how many each case gets that has it."""
    count, names = subjects.parts[part]
    cases = [case for case in subjects.cases if _patterns(mapped(case, "lively")[1], names)]
    share, rest = divmod(count, len(cases))
    return {case: share + (number < rest) for number, case in enumerate(cases)}


def prepare(case, subjects, seed):
    """Mutants of a case, and for each variant of its network the Verilog with all of them."""
    sources = {variant: emitted.netlist(*mapped(case, variant)[1:]) for variant in VARIANTS}
    _, config, _ = mapped(case, "lively")
    commands = []
    for part, (_, names) in subjects.parts.items():
        quota = _quotas(subjects, part).get(case)
        if quota:
            commands += [(part, command)
                         for command in emitted.sample(sources["lively"], _patterns(config, names),
                                                       quota, seed=seed)]
    made = [Mutant(case, part, number, command)
            for number, (part, command) in enumerate(commands, 1)]
    return made, {variant: emitted.verilog(source, [command for _, command in commands])
                  for variant, source in sources.items()}


@cache
def _monitor(case):
    """Of all mutants of a case."""
    return monitor_verilog(mapped(case, "lively")[1])


def _compared(case, variant, verilog, timesteps, seed, number):
    """``None``, or what the regression says of a mutant in one variant of its network."""
    network, config, image = mapped(case, variant)
    counts = stimuli(case, variant)
    trace = network.run(counts, timesteps=timesteps)
    os.environ[emitted.VARIABLE] = str(number)
    with (mock.patch("gen.verify.rtl.array_verilog", return_value=verilog),
          mock.patch("gen.verify.rtl.monitor_verilog", return_value=_monitor(case))):
        try:
            result = compare(config, image, counts, trace, seed=seed)
        except SimulationError as error:
            return str(error)
    return f"{result['mismatches']} mismatches" if result["mismatches"] else None


def _regression(case, verilogs, number):
    """``None``, or what the regression says of a mutant first."""
    return next(filter(None, (_compared(case, variant, verilog, timesteps, seed, number)
                              for timesteps, seed in product(runs(case), _SEEDS.get(case, (0,)))
                              for variant, verilog in verilogs.items())), None)


def _clocks(case, verilog, number):
    """Mean latency and mean interval."""
    _, config, image = mapped(case, "lively")
    os.environ[emitted.VARIABLE] = str(number)
    with mock.patch("gen.verify.simulation.array_verilog", return_value=verilog):
        run = stream(config, image, stimuli(case, "lively"), alone=_ALONE, jobs=1)
    return run.latency.mean(), run.interval


def _pace(case, verilogs, number):
    """``None``, or how far the clocks of a mutant are from those of the array as emitted."""
    verilog = verilogs["lively"]
    try:
        names, pairs = ("latency", "interval"), zip(
            _clocks(case, verilog, 0), _clocks(case, verilog, number), strict=True)
    except SimulationError as error:
        return str(error)
    for name, (right, wrong) in zip(names, pairs, strict=True):
        if not np.allclose(wrong, right, rtol=_TOLERANCE):
            return f"{name} is {np.round(wrong, 3)}, not {np.round(right, 3)}"
    return None


def _judge(mutant, verilogs):
    arguments = mutant.case, verilogs[mutant.case], mutant.number
    verdict = _regression(*arguments) or _pace(*arguments)
    if verdict is None:
        _, config, image = mapped(mutant.case, "lively")
        scope = equivalent(emitted.netlist(config, image), mutant.command, mutant.module)
        return replace(mutant, harmless=scope)
    return replace(mutant, verdict=verdict)


def score(mutants):
    """Share of the mutants that are killed, of those that are not proven to make no difference."""
    return (sum(mutant.verdict is not None for mutant in mutants)
            / sum(mutant.harmless is None for mutant in mutants))


def measure(subjects, *, seed=0, jobs=None, progress=iter):
    """Sample mutants and run the regression on each; try to prove those equivalent that survive.

    Parameters
    ----------
    subjects : :class:`Subjects`
    jobs : processes
    progress : called with the results as they come, gives them back

    Returns
    -------
    The mutants, with verdicts.

    Raises
    ------
    AssertionError
        If the array as it was emitted fails its own regression.
    """
    prepared = {case: prepare(case, subjects, seed) for case in subjects.cases}
    verilogs = {case: both for case, (_, both) in prepared.items()}
    for case, both in verilogs.items():
        said = _regression(case, both, 0) or _pace(case, both, 0)
        assert said is None, f"{case} without a mutant: {said}"
    every = [mutant for made, _ in prepared.values() for mutant in made]
    with processes.workers(jobs) as pool:
        return list(progress(pool.map(partial(_judge, verilogs=verilogs), every)))
