import random

import pytest

from hw.encoder import EventEncoder, event_layout, word_layout

from .streams import STALLS, run


def cases(width, rows):
    yield dict(spikes=0, row=0, double=0, last=1)
    yield dict(spikes=(1 << width) - 1, row=rows - width, double=1, last=0)
    yield dict(spikes=1 << width - 1, row=0, double=0, last=1)
    rng = random.Random(width)
    for _ in range(60):
        yield dict(spikes=rng.randrange(1 << width) & rng.randrange(1 << width),
                   row=rng.randrange(rows - width + 1), double=rng.randrange(2),
                   last=rng.randrange(2))


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("width", [1, 3, 16, 24])
def test_encoder_equals_model(width, stalls):
    words = list(cases(width, 100))
    expected = EventEncoder.model(words)
    dut = EventEncoder(width, 100)
    received, clocks = run(dut, [(dut.i, words)], [(dut.o, len(expected))], stalls=stalls)
    layout = event_layout(100)
    received = [{field: layout.from_bits(bits)[field] for field in expected[0]}
                for bits in received]
    # The row of an event that adds nothing is not looked at.
    for event in (*received, *expected):
        event["row"] *= event["add"]
    assert received == expected
    if stalls == "none":
        assert clocks == len(expected) + 2, "one event a clock, without a gap"


def test_layouts_have_room_for_every_row():
    assert word_layout(4, 1)["row"].width == 1
    assert word_layout(4, 129)["row"].width == 8
