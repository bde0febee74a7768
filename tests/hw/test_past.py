"""Layers that are behind those after them: a sequence must not be taken for another one."""

from dataclasses import replace

import numpy as np
import pytest

from gen.ir.beats import pack, to_ints
from gen.ir.blocks import answering
from gen.ir.layers import INPUT, Neurons, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.plan.mapping import map_network
from hw.array import Array
from hw.config import ArrayConfig

from .cases import logits
from .streams import run


def chain(depth, lag, channels=16):
    """Neurons that copy their element, layer after layer, the last one slowly; and a read-out of
    ``lag`` elements before. So it answers for a sample that the layers have not done yet."""
    layers = []
    for k in range(depth):
        last = k == depth - 1
        shape, groups = (((1, channels, 1, 1), 1) if last else
                         ((channels, 1, 1, 1), channels if k else 1))
        synapses = Synapses(f"l{k - 1}" if k else INPUT, np.full(shape, 4), groups=groups, bits=4)
        layers.append(Neurons(f"l{k}", (synapses,), np.ones(shape[0], int), np.full(shape[0], 4),
                              7 if last else 1))
    out = Synapses(f"l{depth - 1}", np.full((1, 1, 1, 1), 3), bits=4, padding=(lag, 0), below=-lag)
    return Network("chain", (1, 64, 1), 1, 1, (*layers, Readout("out", (out,), np.zeros(1, int))))


@pytest.mark.parametrize("differential, in_flight", [
    ({}, 16), ({"l2": ["l1"]}, 16), ({"l0": [INPUT], "l1": ["l0"], "l2": ["l1"]}, None),
    pytest.param({"l0": [INPUT], "l1": ["l0"], "l2": ["l1"]}, 16, marks=pytest.mark.slow)], ids=str)
def test_a_read_out_that_looks_back_over_slow_layers(differential, in_flight, monkeypatch):
    """Blocks of one element, also with so few samples under way that layers hold the others up."""
    if in_flight:
        monkeypatch.setattr(ArrayConfig, "in_flight", property(lambda config: in_flight))
    network = chain(3, 2)
    config, image = map_network(network, stream=1, differential=differential)
    beats, expected = [], []
    for blocks in np.random.default_rng(3).integers(1, 40, 8).tolist():
        whole = answering(network, 1, blocks)
        counts = np.ones((1, *whole.input_shape), dtype=np.int64)
        counts[:, :, 1::2] = 0
        sent = to_ints(pack(counts, replace(config.input, height=blocks))[0])
        beats += [beat | int(k == 0) << config.input.beat_bits for k, beat in enumerate(sent)]
        expected += whole.run(counts).logits.reshape(blocks, 1).tolist()
    dut = Array(config, image)
    received, _ = run(dut, [(dut.i, beats)], [(dut.o, len(expected))], convert=False)
    assert logits(config.readout, received).reshape(-1, 1).tolist() == expected
