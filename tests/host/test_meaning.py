"""Real inputs to pixels, and logits to what the module gives."""

import json

import numpy as np
import pytest
import torch

from gen.convert.final import FINAL
from host.errors import HostError
from host.meaning import FUNCTIONS, Meaning, load

FACTS = {"step": 0.25, "results": [{"name": "", "classes": 4, "function": ""}], "phases": [1, 1],
         "between": [-3, 3], "pixel_max": 255}


def parsed(**changes):
    return Meaning.parse({**FACTS, **changes}, "here")


def test_pixels_are_the_nearest():
    meaning = parsed()
    values = np.linspace(-3, 3, 1001)
    pixels = meaning.pixels(values)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.abs(-3 + 6 * pixels / 255 - values).max() <= 3 / 255 + 1e-12
    whole = np.arange(3)
    assert meaning.pixels(whole) is whole


@pytest.mark.parametrize("value", [-3.1, 3.1, float("nan"), float("inf")])
def test_values_out_of_range(value):
    with pytest.raises(HostError, match=r"real inputs must lie in -3\.\.3"):
        parsed().pixels(np.array([0.0, value]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_last_functions_are_pytorchs(name):
    meaning = parsed(results=[{"name": "a", "classes": 4, "function": name}])
    logits = np.random.default_rng(0).integers(-9000, 9000, (6, 4))
    wanted = torch.from_numpy(logits * 0.25)
    wanted = FINAL[name](wanted) if name else wanted
    with np.errstate(all="raise", under="ignore", divide="ignore"):
        (scores,) = meaning.scores(logits).values()
    finite = torch.isfinite(torch.from_numpy(scores))
    assert torch.allclose(torch.from_numpy(scores)[finite], wanted[finite])


def test_all_last_functions_are_known():
    assert set(FUNCTIONS) == {"", *FINAL}


def test_positions_that_were_spread():
    meaning = parsed(phases=[2, 3], results=[{"name": "a", "classes": 2, "function": ""},
                                             {"name": "b", "classes": 1, "function": "relu"}])
    maps = np.random.default_rng(0).integers(-9, 9, (2, 3, 4, 9))
    blocks = maps.reshape(2, 3, 2, 2, 3, 3).transpose(0, 1, 3, 5, 2, 4).reshape(2, 18, 2, 3)
    scores = meaning.scores(blocks)
    assert np.array_equal(scores["a"], maps[:, :2] * 0.25)
    assert np.array_equal(scores["b"], np.maximum(maps[:, 2:], 0) * 0.25)


def test_other_logits():
    with pytest.raises(HostError, match="there are 5 scores, but the results have 4"):
        parsed().scores(np.zeros((2, 5), dtype=np.int64))


@pytest.mark.parametrize("changes", [
    {"step": 0}, {"step": "a"}, {"step": float("inf")}, {"phases": [1]}, {"phases": [0, 1]},
    {"between": [1, 1]}, {"between": None}, {"pixel_max": 0}, {"results": []},
    {"results": [{"name": "", "classes": 0, "function": ""}]},
    {"results": [{"name": "", "classes": 4, "function": "exec"}]}, {"results": 3}])
def test_damage(changes):
    with pytest.raises(HostError, match=r"^here: what its numbers mean is .*; build it again$"):
        parsed(**changes)


def test_networks_that_do_not_say(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"network": "a"}))
    with pytest.raises(HostError, match="leave --scores out, and give integers"):
        load(tmp_path)


def test_vectors_that_are_maps():
    meaning = parsed(phases=[2, 3], results=[{"name": "", "classes": 2, "function": ""}])
    logits = np.arange(12).reshape(1, 12)
    assert np.array_equal(meaning.scores(logits)[""], logits.reshape(1, 2, 2, 3) * 0.25)


def test_a_share_that_is_almost_nothing():
    meaning = parsed(step=1, results=[{"name": "", "classes": 2, "function": "log_softmax"}])
    with np.errstate(all="raise", under="ignore"):
        assert np.allclose(meaning.scores(np.array([[0, -800]]))[""], [[0, -800]])
