import random

import pytest

from hw.dynamics import Dynamics
from hw.encoder import EventEncoder, event_layout, word_layout
from hw.layers import CoreConfig
from hw.maps import MapConfig, SourceConfig
from hw.programs import settle, step

from .streams import STALLS, run

GROUPS = 5


SIGNED = Dynamics(2, signed=True, bound="elapsed")


def core(word, masked=False, *, signed=False):
    """A core that sees words of ``word`` channels, and the same ones as masked, fixed rows; if
    ``signed``, of trains whose spikes may take charge back."""
    train = {"code": "train", "timesteps": SIGNED.timesteps, "low": -1}
    fmap, lanes = MapConfig(word, 1, 1, 1, word, **(train if signed else {})), 2 * word
    places = [None, *([tuple(k % word for k in range(lanes))] if masked else [])]
    sources = tuple(SourceConfig(fmap, -1, (1, 1), (1, 1), (0, 0), lanes=place,
                                 fixed=place is not None) for place in places)
    maps = [source.map for source in sources]
    return CoreConfig("c", "c", sources, lanes, GROUPS * lanes, 4, 9,
                      ((1 << len(sources)) - 1,) * GROUPS,
                      step(maps, 3, SIGNED) if signed else settle(maps, 3))


def words(core, rng):
    width = core.sources[0].map.word
    plain = {"masked": 0, "fixed": 0, "subtract": 0}
    yield dict(spikes=0, row=0, double=0, last=1, **plain)
    yield dict(spikes=(1 << width) - 1, row=core.weight_rows - width, double=1, last=0, **plain)
    yield dict(spikes=1 << width - 1, row=0, double=0, last=1, **plain)
    for _ in range(60):
        masked = rng.randrange(2) if core.masked else 0
        bits = core.lanes if masked else width
        rows = core.parameter_rows - 1 if masked else core.weight_rows - width
        yield {"spikes": rng.randrange(1 << bits) & rng.randrange(1 << bits),
               "row": rng.randrange(rows + 1), "double": rng.randrange(2),
               "last": rng.randrange(2), "masked": masked, "fixed": masked,
               "subtract": rng.randrange(2) if core.subtracts else 0}


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("masked,signed", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("width", [1, 3, 16, 24])
def test_encoder_equals_model(width, masked, signed, stalls):
    config = core(width, masked, signed=signed)
    given = list(words(config, random.Random(width)))
    expected = EventEncoder.model(given)
    dut = EventEncoder(config)
    received, clocks = run(dut, [(dut.i, given)], [(dut.o, len(expected))], stalls=stalls)
    layout = event_layout(config)
    received = [{field: layout.from_bits(bits)[field] for field in expected[0]}
                for bits in received]
    # Neither the row of an event that adds nothing is looked at, nor the mask of a plain one.
    for event in (*received, *expected):
        event["row"] *= event["add"]
        event["mask"] *= event["masked"]
    assert received == expected
    if stalls == "none":
        assert clocks == len(expected) + 2, "one event a clock, without a gap"


def test_a_masked_word_is_one_event():
    word = {"spikes": 0b1011, "row": 7, "double": 1, "last": 1, "masked": 1, "fixed": 0,
            "subtract": 0}
    assert EventEncoder.model([word]) == [{"row": 7, "add": 1, "masked": 1, "fixed": 0,
                                           "mask": 0b1011, "double": 1, "last": 1, "subtract": 0}]


def test_fields_that_are_not_needed_take_no_bit():
    plain, masked = core(4), core(4, masked=True)
    assert {name: event_layout(plain)[name].width
            for name in ("mask", "masked", "fixed", "subtract")} == {
                "mask": 0, "masked": 0, "fixed": 0, "subtract": 0}
    assert event_layout(core(4, signed=True))["subtract"].width == 1
    assert event_layout(masked)["mask"].width == 8
    assert word_layout(masked)["spikes"].width == 8
    assert word_layout(plain)["row"].width == (GROUPS * 4 - 1).bit_length()
