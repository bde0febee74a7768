"""Beats that a virtual board records: what they are compared with, and what is found."""

import numpy as np
import pytest

from gen.ir.beats import to_ints
from gen.plan.mapping import map_config
from gen.verify.recorded import difference, read
from gen.verify.streams import layer_streams
from tests.networks import STEPPING, convolutional, residual, stepping


@pytest.fixture(scope="module", params=["convolutional", "residual", "stepping"])
def run(request):
    """A configuration, a run of one image, and the record that a board would make of it."""
    network = {"convolutional": convolutional, "residual": residual,
               "stepping": lambda: stepping(STEPPING["cif"], levels=4)}[request.param]()
    config = map_config(network)
    rng = np.random.default_rng(1)
    image = rng.integers(0, network.pixel_max + 1, (1, *network.input_shape))
    trace = network.run(network.encode(image))
    records = [(number, beat) for number, stream in enumerate(layer_streams(config))
               for beat in to_ints(stream.pack(stream.expected(trace))[0])]
    return config, trace, records


def test_a_record_that_is_right(run):
    config, trace, records = run
    assert difference(config, records, trace) is None
    # Layers work at the same time; only the order of a layer's own beats means anything.
    assert difference(config, sorted(records, key=lambda record: -record[0]), trace) is None


@pytest.mark.parametrize("last", [False, True])
def test_a_beat_that_is_wrong(run, last):
    config, trace, records = run
    layer, beat = records[-last]
    assert layer == (len(config.layers) - 1 if last else 0)
    changed = [*records]
    changed[-last] = layer, beat ^ 1
    found = difference(config, changed, trace)
    assert found.startswith(f"{config.layers[layer].name}, channel ")
    assert " instead of " in found


@pytest.mark.parametrize("spoil, found", [
    (lambda records: records[1:], "sent {} beats instead of {}"),
    (lambda records: [records[0], *records], "sent {} beats instead of {}"),
    (lambda records: [], "sent 0 beats instead of {1}")], ids=["lost", "twice", "none"])
def test_beats_that_are_missing_or_too_many(run, spoil, found):
    config, trace, records = run
    due = sum(layer == 0 for layer, _ in records)
    spoiled = spoil(records)
    sent = sum(layer == 0 for layer, _ in spoiled)
    assert difference(config, spoiled, trace) == (
        f"{config.layers[0].name} {found.format(sent, due)}")


def test_lines(tmp_path):
    (tmp_path / "beats").write_text("0 f\n12 00ff00ff00ff00ff00ff\n")
    assert read(tmp_path / "beats") == [(0, 15), (12, 0xff00ff00ff00ff00ff)]
