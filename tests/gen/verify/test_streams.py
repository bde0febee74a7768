import numpy as np
import pytest

from gen.ir import beats
from gen.plan.mapping import map_config
from gen.verify.streams import layer_streams, quiet_streams
from tests import networks

NETWORK = networks.settling()
COUNTS = networks.counts_for(NETWORK, 3)
CONFIG = map_config(NETWORK, lanes={"fc1": 4, "out": 3})
TRACE = NETWORK.run(COUNTS)
STREAMS = [*layer_streams(CONFIG), *quiet_streams(CONFIG)]


def test_layers_in_order_and_then_the_quiet_ones():
    assert [stream.name for stream in STREAMS] == [
        *(layer.name for layer in CONFIG.layers), "quiet layers"]
    assert not quiet_streams(map_config(networks.linear()))


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_values_are_in_the_beats(stream):
    expected = stream.expected(TRACE)
    words = stream.pack(expected)
    assert words.shape[:2] == (3, len(stream.masks))
    assert (stream.unpack(words) == expected).all()
    for sample in words:
        for beat, mask in zip(beats.to_ints(sample), stream.masks, strict=True):
            assert beat & ~mask == 0
            assert mask < 1 << stream.lanes * stream.bits


@pytest.mark.parametrize("stream", STREAMS[:-1], ids=lambda stream: stream.name)
def test_a_difference_is_found_where_it_is(stream):
    right = stream.expected(TRACE)
    where = (2, *(size - 1 for size in right.shape[1:]))
    wrong = right.copy()
    wrong[where] = right[where] ^ 1
    sent, came = (beats.to_ints(stream.pack(values)[2]) for values in (right, wrong))
    beat = next(k for k, pair in enumerate(zip(sent, came, strict=True)) if pair[0] != pair[1])
    found = stream.difference(2, beat, sent[beat], came[beat])
    channel, y, x = (*where[1:], 0, 0)[:3]
    assert {name: found[name] for name in ("layer", "sample", "channel", "y", "x")} == {
        "layer": stream.name, "sample": 2, "channel": channel, "y": y, "x": x}
    assert found["expected"] ^ 1 == found["got"]


def test_a_logit_has_a_sign():
    logits = layer_streams(CONFIG)[-1]
    values = np.full_like(TRACE.logits, -2)
    (word, *_), _, _ = map(beats.to_ints, logits.pack(values))
    assert logits.difference(0, 0, word, word ^ 1) == {
        "layer": "out", "sample": 0, "channel": 0, "y": 0, "x": 0, "expected": -2, "got": -1}


def test_a_layer_that_should_be_quiet_has_its_name():
    (quiet,) = quiet_streams(CONFIG)
    assert quiet.difference(1, 0, 0b11, 0b01) == {
        "layer": "fc2 is quiet", "sample": 1, "channel": 0, "y": 0, "x": 0, "expected": 1, "got": 0}
