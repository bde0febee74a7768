"""The testbench that cocotb runs inside the simulator, against the emitted Verilog.

:mod:`gen.verify.rtl` writes a *plan* (inputs, and the expected beats of every stream) into the
directory named by ``$SPIKELOOM_PLAN``, and reads the results of the tests there, one line of JSON
for each. The device under test is :class:`gen.verify.monitor.Monitor`, so Python wakes only when
beats move.
"""

import contextlib
import io
import json
import math
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import Event, FallingEdge, SimTimeoutError, Timer, with_timeout
from cocotb.utils import get_sim_time

from gen.ir.beats import fields, to_ints

__all__ = ["STALLS", "TESTS", "compares", "recovers"]

STALLS = ("none", "input", "output", "both")
"""Places where streams are stalled at random. The samples of a plan are dealt out to them in turn.

A stalled input has short and long pauses, sends some samples slowly from the first beat to the
last, and now and then waits until the array is empty. A stalled output first takes nothing until
the array is full. Later it takes nothing for up to a few intervals, and then everything for a
while. Of networks that come to rest, only so many samples are under way as the array may have
(:attr:`hw.config.ArrayConfig.in_flight`), unless the output is stalled; then quiet layers are not
compared.
"""

TESTS = (*STALLS, "recovers")
"""Tests that leave a line of results."""

_PERIOD = 10

_RESETS = 9

_UNTIL_RESET = ("none", "both", "blocked")
"""Stalls of the samples that a reset interrupts, in turn. Blocked: no logits are taken until every
queue of the array is full."""

_FILLING = 8
"""Samples that are sent before a late reset, and, for each layer, before a reset of a full
array."""


@dataclass(frozen=True)
class _Stream:
    """Expected beats of a stream.

    A beat has ``lanes`` fields of ``bits``. In the ``k``-th beat of a sample only ``masks[k]`` is
    compared.
    """

    name: str
    lanes: int
    bits: int
    masks: list
    samples: list


@dataclass(frozen=True)
class _Plan:
    """Inputs and expected outputs.

    Parameters
    ----------
    inputs : beats of each sample
    streams : see :class:`_Stream`
    work : for each core its name, and the ``events`` that its lanes take and the ``rows`` that they
        add for each sample
    interval : approximate clocks between samples that follow each other without a pause
    still : clocks after which nothing will move, if nothing has moved for so long
    watchdog : clocks without any movement after which a test gives up
    timesteps : of the run
    readout : number of the stream of logits
    in_flight : samples under way with which a stream behind it, of quiet layers, is right
    results, progress : files to write
    """

    inputs: list
    streams: list
    work: list
    interval: int
    still: int
    watchdog: int
    timesteps: int
    readout: int
    in_flight: int
    results: Path
    progress: Path

    @classmethod
    def load(cls, directory):
        plan = json.loads((directory / "plan.json").read_text(encoding="utf-8"))
        with np.load(directory / "beats.npz", allow_pickle=False) as arrays:
            ints = {name: [to_ints(sample) for sample in arrays[name]] for name in arrays}
        streams = [_Stream(samples=ints[f"stream_{k}"], **facts)
                   for k, facts in enumerate(plan["streams"])]
        return cls(ints["input"], streams, plan["work"], plan["interval"], plan["still"],
                   plan["watchdog"],
                   plan["timesteps"], plan["readout"], plan["in_flight"],
                   directory / "results.jsonl", directory / "progress")


class _Score:
    """Compares beats with those that are expected of ``samples``, sent in this order.

    Parameters
    ----------
    plan : what is expected
    limited : whether no more than ``plan.in_flight`` samples are under way

    Members
    -------
    answers : samples whose logits are complete
    answered : set with each of these
    mismatches : values that differ
    first : place of the first of them: stream, sample, beat, and both beats
    error : why the comparison can't go on, or ``None``
    """

    def __init__(self, plan, samples, limited):
        streams = plan.streams
        self.mismatches, self.first, self.error = 0, None, None
        self.moved = self.answers = 0
        self.done, self.answered = Event(), Event()
        self._samples, self._streams, self._readout = samples, streams, plan.readout
        self._compared = len(streams) if limited else plan.readout + 1
        self._expected = [[(sample, index, beat) for sample in samples
                           for index, beat in enumerate(stream.samples[sample])]
                          for stream in streams]
        self._next = [0] * len(streams)
        self._total = sum(map(len, self._expected))

    @property
    def right(self):
        return self.error is None and not self.mismatches

    def take(self, k, got):
        stream, position = self._streams[k], self._next[k]
        if position == len(self._expected[k]):
            self.error = f"{stream.name} sent more beats than its samples have"
            self.done.set()
            return
        sample, index, expected = self._expected[k][position]
        wrong = (got ^ expected) & stream.masks[index]
        if wrong and k < self._compared:
            self.mismatches += sum(map(bool, fields(wrong, stream.lanes, stream.bits)))
            self.first = self.first or {"stream": stream.name, "sample": sample, "beat": index,
                                        "expected": expected, "got": got}
        self._next[k] += 1
        self.moved += 1
        if k == self._readout and index == len(stream.masks) - 1:
            self.answers += 1
            self.answered.set()
        if self.moved == self._total:
            self.done.set()

    def complete(self, count):
        """Whether the first ``count`` samples are complete, and no beat of a later one has
        moved."""
        return self.moved == count * sum(len(stream.masks) for stream in self._streams)

    def count(self, core, what, each, got):
        """Compare the number of events or rows with that of the samples; ``each`` has the
        plan's."""
        right = sum(each[sample] for sample in self._samples)
        if got != right:
            self.error = f"{core} had {got} {what}, and its samples have {right}"

    def hang(self, clocks):
        """Give up, and name the beat that is missing."""
        for stream, expected, position in zip(
                self._streams, self._expected, self._next, strict=True):
            if position < len(expected):
                sample, index, _ = expected[position]
                self.error = (f"the array hangs: nothing moved for {clocks} clocks, and "
                              f"{stream.name} is at beat {index} of sample {sample}")
                return


class _Bench:
    """Drives the inputs, drains the logits, and feeds a :class:`_Score`.

    Signals change just after a rising edge or at a falling one, never together with the edge that
    samples them.
    """

    def __init__(self, dut, plan):
        self.dut, self.plan = dut, plan
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.score = _Score(plan, [], limited=True)
        self.began, self._origin = time.perf_counter(), get_sim_time("ns")
        self._tasks = []
        self._paused = False  # whether the input is, for a while
        self._beats = [getattr(dut, f"beat_{k}") for k in range(len(plan.streams))]

    def elapsed(self):
        """Clocks since the test began."""
        return int(get_sim_time("ns") - self._origin) // _PERIOD

    async def reset(self, clocks=3):
        """Reset the array, which is empty afterwards."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._paused = False
        for signal in (self.dut.i_valid, self.dut.i_payload, self.dut.o_ready):
            signal.value = 0
        self.dut.timesteps.value = self.plan.timesteps
        self.dut.rst.value = 1
        await self.clocks(clocks)
        self.dut.rst.value = 0
        await self.clocks(1)

    def start(self, samples, stalls, progress=None):
        """Send samples. A byte goes to ``progress`` for each complete one."""
        limited = len(self.plan.streams) > self.plan.readout + 1 and stalls in ("none", "input")
        self.score = _Score(self.plan, samples, limited)
        self._tasks += [cocotb.start_soon(coroutine) for coroutine in (
            self._watch(self.score, progress or io.BytesIO()),
            self._drive(samples, stalls in ("input", "both"), limited),
            *([] if stalls == "blocked" else [self._drain(stalls in ("output", "both"))]))]

    async def finish(self):
        """Wait until all beats have arrived, or no more arrive."""
        score, moved = self.score, -1
        while not score.done.is_set() and score.moved > moved:
            moved = score.moved
            with contextlib.suppress(SimTimeoutError):
                await with_timeout(score.done.wait(), self.plan.watchdog * _PERIOD, "ns")
        if not score.done.is_set():
            score.hang(self.plan.watchdog)
        await self.clocks(100)
        if score.error is None:
            for k, core in enumerate(self.plan.work):
                for what in ("events", "rows"):
                    score.count(core["name"], what, core[what],
                                int(getattr(self.dut, f"{what}_{k}").value))

    async def _watch(self, score, progress):
        event, seen, beats = self.dut.event.value_change, self.dut.seen, self._beats
        while True:
            await event
            bits, before = int(seen.value), score.answers
            for k, beat in enumerate(beats):
                if bits >> k & 1:
                    score.take(k, int(beat.value))
            progress.write(b"." * (score.answers - before))

    async def _drive(self, samples, stalled, limited):
        taken, interval = self.dut.taken.value_change, self.plan.interval
        for count, sample in enumerate(samples):
            while limited and count - self.score.answers >= self.plan.in_flight:
                self.dut.i_valid.value = 0
                self.score.answered.clear()
                await self.score.answered.wait()
            beats = self.plan.inputs[sample]
            long = self.rng.randrange(len(beats)) if stalled else None
            share, moment = 0.25, 16
            if stalled and self.rng.random() < 0.25:
                share, moment = 1, max(16, 8 * interval // len(beats))
            if stalled and self.rng.random() < 0.25:
                self.dut.i_valid.value = 0
                while not self.score.complete(count):
                    await self.clocks(interval)
            for index, beat in enumerate(beats):
                if stalled and (index == long or self.rng.random() < share):
                    self.dut.i_valid.value = 0
                    self._paused = True
                    await self._pause(interval if index == long else moment)
                    self._paused = False
                self.dut.i_payload.value = beat
                self.dut.i_valid.value = 1
                await taken
        self.dut.i_valid.value = 0

    async def full(self):
        """Wait until nothing moves any more, because nothing is taken."""
        moved = -1
        while self._paused or self.score.moved > moved:
            moved = self.score.moved
            await self.clocks(self.plan.still)

    async def _drain(self, stalled):
        if stalled:
            await self.full()
        self.dut.o_ready.value = 1
        while stalled:
            await self._pause(self.plan.interval // 4)
            self.dut.o_ready.value = 0
            await self._pause(4 * self.plan.interval)
            self.dut.o_ready.value = 1

    async def _pause(self, most):
        """Wait for up to ``most`` clocks. Short pauses are more frequent."""
        await self.clocks(int(2 ** self.rng.uniform(0, math.log2(most + 1))))

    async def clocks(self, count):
        """Wait until the ``count``-th falling edge from now."""
        if count > 1:
            await Timer((count - 1) * _PERIOD, "ns")
        await FallingEdge(self.dut.clk)


async def _open(dut):
    bench = _Bench(dut, _Plan.load(Path(os.environ["SPIKELOOM_PLAN"])))
    Clock(dut.clk, _PERIOD, unit="ns").start()
    await bench.reset()
    return bench


def _close(bench, test):
    score = bench.score
    result = {"test": test, "mismatches": score.mismatches, "first": score.first,
              "error": score.error, "clocks": bench.elapsed(),
              "seconds": time.perf_counter() - bench.began}
    with bench.plan.results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    assert score.error is None, score.error
    assert not score.mismatches, f"{score.mismatches} values differ, first: {score.first}"


@cocotb.test()
@cocotb.parametrize(stalls=list(STALLS))
async def compares(dut: HierarchyObject, stalls: str) -> None:
    """Every beat of every stream is as expected."""
    bench = await _open(dut)
    samples = list(range(len(bench.plan.inputs)))[STALLS.index(stalls)::len(STALLS)]
    with bench.plan.progress.open("ab", buffering=0) as progress:
        if samples:
            bench.start(samples, stalls, progress)
            await bench.finish()
    _close(bench, stalls)


@cocotb.test()
async def recovers(dut: HierarchyObject) -> None:
    """A reset in the middle of samples leaves nothing behind, wherever they are."""
    bench = await _open(dut)
    samples = list(range(len(bench.plan.inputs)))[:2]
    bench.start(samples, "none")
    await bench.finish()
    busy = bench.elapsed()
    for k in range(_RESETS):
        if bench.score.right:
            await bench.reset(bench.rng.randint(1, 3))
            stalls = _UNTIL_RESET[k % len(_UNTIL_RESET)]
            blocked = stalls == "blocked"
            bench.start(bench.rng.choices(samples, k=_FILLING * len(bench.plan.streams)
                                          if blocked else _FILLING), stalls)
            if blocked:
                await bench.full()
            await bench.clocks(bench.rng.randint(1, busy))
    if bench.score.right:
        await bench.reset()
        bench.start(samples, "none")
        await bench.finish()
    _close(bench, "recovers")
