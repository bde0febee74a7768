"""What a network takes does not grow with its time-steps. ``python -m tests.gen.build.test_slices``
prints the figures of docs/architecture.md."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

import boards
from gen.build.synthesis import synthesise
from gen.build.verilog import array_verilog
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.plan.mapping import map_network
from hw.dynamics import Dynamics
from hw.maps import SLICE_STEPS
from tests.networks import synapses


def small(timesteps):
    """Two convolutions of four channels and a read-out; spikes are taken back."""
    rng = np.random.default_rng(0)
    rest = {"dynamics": Dynamics(1, timesteps - 1, signed=True, bound="levels")}

    def fires(name, source, channels):
        return Neurons(name, (synapses(rng, source, (4, channels, 3, 3), padding=(1, 1)),),
                       np.full(4, 3), np.full(4, 7), 3, bias=np.full(4, 1), **rest)

    out = synapses(rng, "second", (5, 4, 4, 4))
    return Network("small", (2, 4, 4), 3, 3, (
        fires("first", INPUT, 2), fires("second", "first", 4),
        Readout("out", (out,), np.zeros(5, np.int64), bias=np.zeros(5, np.int64), **rest)))


def resources(timesteps, directory, slice_steps=SLICE_STEPS):
    """Of the array on an Artix-7."""
    (directory / "top.v").write_text(array_verilog(*map_network(
        small(timesteps), slice_steps=slice_steps)))
    return synthesise(directory, ["top.v"], top="array", command=boards.find("arty-a7").synth)


@pytest.mark.slow
def test_registers_do_not_grow_with_time_steps(tmp_path):
    short, long = (resources(timesteps, tmp_path) for timesteps in (32, 64))
    assert long.ffs <= 1.02 * short.ffs
    assert long.luts <= 1.05 * short.luts


@pytest.mark.slow
def test_short_slices_take_less(tmp_path):
    long, short = (resources(16, tmp_path, slice_steps) for slice_steps in (16, 2))
    assert short.ffs <= 0.6 * long.ffs
    assert short.luts <= 0.8 * long.luts


if __name__ == "__main__":
    for steps in (16, 32, 64):
        for length in (16, 4, 1):
            with tempfile.TemporaryDirectory() as folder:
                print(steps, length, resources(steps, Path(folder), length))
