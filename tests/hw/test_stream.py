# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.stream import Fork, Merge, Queue, Stage

from .streams import STALLS, run


class ForkToQueues(wiring.Component):
    """A fork with consumers as it needs them: their ``ready`` does not depend on ``valid``."""

    def __init__(self, count):
        self.count = count
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8)).array(count)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fork = fork = Fork(8, self.count)
        connect(m, flipped(self.i), fork.i)
        for k in range(self.count):
            m.submodules[f"queue_{k}"] = queue = Queue(8, depth=2)
            connect(m, fork.o[k], queue.i)
            connect(m, queue.o, flipped(self.o[k]))
        return m


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("depth", [2, 5])
def test_queue_keeps_order(depth, stalls):
    sent = [random.Random(depth).randrange(256) for _ in range(100)]
    dut = Queue(8, depth=depth)
    received, _ = run(dut, [(dut.i, sent)], [(dut.o, len(sent))], stalls=stalls)
    assert received == sent


@pytest.mark.parametrize("stalls", STALLS)
def test_stage_keeps_order(stalls):
    sent = [random.Random(0).randrange(256) for _ in range(100)]
    dut = Stage(8)
    received, clocks = run(dut, [(dut.i, sent)], [(dut.o, len(sent))], stalls=stalls)
    assert received == sent
    assert clocks >= 2 * len(sent), "never filled in the clock it is emptied in"


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("count", [1, 3])
def test_fork_gives_everybody_everything(count, stalls):
    sent = [random.Random(count).randrange(256) for _ in range(60)]
    dut = ForkToQueues(count)
    *received, _ = run(dut, [(dut.i, sent)], [(o, len(sent)) for o in dut.o], stalls=stalls)
    assert received == [sent] * count


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("count,burst,turns", [(1, 1, 1), (2, 3, 5), (3, 1, 4), (3, 2, 3)])
def test_streams_take_turns(count, burst, turns, stalls):
    sent, merged = [[] for _ in range(count)], []
    for payload in range(3 * turns * burst):
        whose = payload // burst % turns % count
        sent[whose].append(payload)
        merged.append(payload)
    dut = Merge(8, count, burst=burst, turns=turns)
    received, _ = run(dut, list(zip(dut.i, sent, strict=True)), [(dut.o, len(merged))],
                      stalls=stalls)
    assert received == merged


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"^depth must be at least 2, not 1$"):
        Queue(8, depth=1)
    with pytest.raises(ValueError, match=r"^count must be at least 1, not 0$"):
        Fork(8, 0)
    with pytest.raises(ValueError, match=r"^burst must be at least 1, not 0$"):
        Merge(8, 2, burst=0, turns=1)
