"""The networks of MLPerf Tiny convert, fit a board or not, and their Verilog is right."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import boards
from gen.build.planning import design_for
from gen.convert.conversion import to_quantised
from gen.plan.figures import fit
from gen.plan.resources import predict
from gen.plan.room import excess
from gen.verify.rtl import verify
from tests.gen.convert.test_ordinary import trained
from tests.mlperf import NETWORKS


def blurred(shape, n, seed):
    """Images with structure, which batch norms can normalise."""
    rng = np.random.default_rng(seed)
    images = rng.random((n, *shape), dtype=np.float32)
    for axis in range(2, images.ndim):
        images = (images + np.roll(images, 1, axis) + np.roll(images, 2, axis)) / 3
    return images


def converted(name, levels=15):
    make, shape = NETWORKS[name]
    module = trained(make, shape)
    quantised, lowered, scores = to_quantised(module, blurred(shape, 8, 1), levels=levels)
    with torch.no_grad():
        network = quantised.eval().to_network(name)
    pixels = (blurred(shape, 2, 2) * 255).astype(np.int64)
    pixels = lowered.input_form.as_map(torch.from_numpy(pixels), lowered.input_shape).numpy()
    return quantised, replace(network, samples=pixels), scores


@pytest.mark.slow
@pytest.mark.parametrize("name, weights", [("resnet-8", 77_376), ("ds-cnn", 22_016),
                                           ("mobilenet", 208_184), ("autoencoder", 264_192)])
def test_every_count_in_integers(name, weights):
    quantised, network, _ = converted(name)
    assert network.weight_count == weights
    counts = network.encode(network.samples)
    trace = network.run(counts)
    with torch.no_grad():
        theirs = quantised.trace(torch.from_numpy(counts))
    for layer, value in trace.counts.items():
        assert np.array_equal(value, theirs[layer].numpy()), layer


@pytest.mark.slow
@pytest.mark.parametrize("name, board", [("resnet-8", "nitefury"), ("ds-cnn", "arty-a7-100"),
                                         ("mobilenet", "nitefury"), ("autoencoder", "nitefury")])
def test_it_fits_and_every_spike_of_its_verilog(name, board):
    _, network, _ = converted(name, levels=7)
    board = boards.find(board)
    design = design_for(network, board)
    assert not excess(board, predict(design.config, board.family.name, board.budget.brams,
                                     design.image))
    result = verify(design, network.samples[:1])
    assert result["mismatches"] == 0, result["first_mismatch"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_small_board_says_what_is_missing(name):
    _, network, _ = converted(name, levels=7)
    found = fit(network, board="icebreaker")
    assert not found["fits"]
    assert re.search(rf"^{name} does not fit icebreaker .* stores? [\d,]+ bits", found["reason"])
