"""Real inputs to pixels, and logits to what the module gives."""

import json

import numpy as np
import pytest
import torch

from gen.convert.final import FINAL
from host.errors import HostError
from host.meaning import FUNCTIONS, Meaning


def result(name="", classes=4, function="", axes=("N", "C")):
    return {"name": name, "classes": classes, "axes": list(axes), "function": function}


FACTS = {"step": 0.25, "results": [result()], "phases": [1, 1], "between": [-3, 3],
         "pixel_max": 255}


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
    meaning = parsed(results=[result("a", function=name)])
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
    meaning = parsed(phases=[2, 3], results=[result("a", 2, axes="NCHW"),
                                             result("b", 1, "relu", axes="NCHW")])
    maps = np.random.default_rng(0).integers(-9, 9, (2, 3, 4, 9))
    blocks = maps.reshape(2, 3, 2, 2, 3, 3).transpose(0, 1, 3, 5, 2, 4).reshape(2, 18, 2, 3)
    scores = meaning.scores(blocks)
    assert np.array_equal(scores["a"], maps[:, :2] * 0.25)
    assert np.array_equal(scores["b"], np.maximum(maps[:, 2:], 0) * 0.25)


def test_other_logits():
    with pytest.raises(HostError, match="there are 5 scores, but the results have 4"):
        parsed().scores(np.zeros((2, 5), dtype=np.int64))


@pytest.mark.parametrize("changes, said", [
    ({"step": 0}, "step is not a positive number"), ({"step": "a"}, "step is not"),
    ({"step": True}, "step is not"), ({"step": float("inf")}, "step is not"),
    ({"step": 10 ** 400}, "OverflowError: "), ({"step": 1e300}, "step is not"),
    ({"phases": [1]}, "not enough values to unpack"), ({"phases": [0, 1]}, "phases are not"),
    ({"phases": [1.5, 1]}, "phases are not"), ({"phases": ["2", 1]}, "phases are not"),
    ({"phases": {"a": 1, "b": 1}}, "no list"), ({"between": [1, 1]}, "not two numbers in their"),
    ({"between": [-1e308, 1e308]}, "not two numbers"), ({"between": None}, "no list"),
    ({"between": [0, float("nan")]}, "not two numbers"), ({"pixel_max": 0}, "pixel_max is not"),
    ({"pixel_max": 2.5}, "pixel_max is not"), ({"pixel_max": 10 ** 30}, "pixel_max is not"),
    ({"results": []}, "there are no results"), ({"results": 3}, "no list"),
    ({"results": [3]}, "TypeError: "), ({"results": [{}]}, "KeyError: 'name'"),
    ({"results": [result(3)]}, "a name is no text"), ({"results": [result("a\nb")]}, "no text"),
    ({"results": [result("\ud800")]}, "no text"),
    ({"results": [result(classes=0)]}, "classes is not a positive integer"),
    ({"results": [result(classes="4")]}, "classes is not"),
    ({"results": [result(classes=4.0)]}, "classes is not"),
    ({"results": [result(function="exec")]}, "no such function"),
    ({"results": [result(function=["relu"])]}, "TypeError: "),
    ({"results": [result("a"), result("b"), result("a")]}, "two results have one name"),
    ({"results": [result(axes=("C", "H"))]}, "axes are none of a result"),
    ({"results": [result(axes=("NC",))]}, "axes are none of a result"),
    ({"results": [result(axes=("N", "C", "C"))]}, "axes are none of a result"),
    ({"results": [result(axes=("N", "", "C"))]}, "axes are none of a result"),
    ({"results": [result(axes=("N", "C", "X"))]}, "axes are none of a result"),
    ({"results": [result(axes=("N", 3))]}, "TypeError: "),
    ({"results": [{**result(), "axes": "NC"}]}, "no list"),
    ({"results": [result(axes=("N", "H"))]}, "axes lack the classes")])
def test_damage(changes, said):
    with pytest.raises(HostError, match=r"^here: what its numbers mean is damaged \(.*\); build it "
                                        r"again$") as error:
        parsed(**changes)
    assert said in str(error.value)


def test_networks_that_do_not_say():
    with pytest.raises(HostError, match=r"^here: .*: leave --scores out, and give integers$"):
        Meaning.of_device(None, "here", (4,))


@pytest.mark.parametrize("changes, shape, said", [
    ({}, (5,), "there are 5 scores, but the results have 4"),
    ({"phases": [2, 1]}, (4,), "there are 4 scores, but the results have 8"),
    ({"phases": [3, 1]}, (4, 2, 1), "there are 4 scores, but the results have 12"),
    ({}, (4, 2, 3), "there are scores of (4, 2, 3), but the result '' has the axes N, C alone")])
def test_devices_with_other_logits(changes, shape, said):
    with pytest.raises(HostError) as error:
        Meaning.of_device({**FACTS, **changes}, "here", shape)
    assert str(error.value) == f"here: what its numbers mean is damaged ({said}); build it again"


BROKEN = [None, True, -1, 0, 1.5, 10 ** 400, float("nan"), "", "N", [], [[]], {}, {"a": 1}, ["N"],
          [1, 1, 1]]


def places(value, path=()):
    """The path of each part of a JSON value, the whole first."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize("path", list(places({"meaning": FACTS}))[1:], ids=str)
@pytest.mark.parametrize("gone", [False, True])
def test_each_part_may_be_broken(path, gone):
    """What is not there, or is something else, is an error of one line or does no harm."""
    said = []
    for wrong in BROKEN[:1] if gone else BROKEN:
        entries = json.loads(json.dumps({"meaning": FACTS}))
        *outer, last = path
        inner = entries
        for key in outer:
            inner = inner[key]
        if gone:
            del inner[last]
        else:
            inner[last] = wrong
        entries = json.loads(json.dumps(entries))
        try:
            meaning = Meaning.of_device(entries.get("meaning"), "here", (4,))
            (scores,) = meaning.scores(np.arange(8).reshape(2, 4)).values()
            assert scores.dtype == np.float64
            assert np.isfinite(scores).all()
        except HostError as error:
            said.append(str(error))
    assert len(said) >= (1 if gone else 8)
    assert all(text.startswith("here: ") and "\n" not in text for text in said)


LAYOUTS = {"N": (2,), "N C": (2, 6), "N CHW": (2, 120), "N C H W": (2, 6, 4, 5),
           "N H W": (2, 4, 5), "N H C": (2, 4, 6), "H N C": (4, 2, 6), "N HC": (2, 24),
           "N C W": (2, 6, 5), "N H W C": (2, 4, 5, 6)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_results_have_their_own_axes(layout):
    axes = layout.split()
    sizes = {"N": 2, "C": 6, "H": 4, "W": 5}
    shape = [sizes[axis] if axis in layout else 1 for axis in "NCHW"]
    logits = np.random.default_rng(0).integers(-99, 99, shape)
    meaning = parsed(results=[result("a", shape[1], axes=axes)])
    own = meaning.scores(logits)["a"]
    assert own.shape == LAYOUTS[layout]
    # Whatever lies where: the axes apart, and then in the order of the map.
    order = layout.replace(" ", "")
    apart = own.reshape([sizes[axis] for axis in order])
    back = np.einsum(f"{order}->{''.join(axis for axis in 'NCHW' if axis in order)}", apart)
    assert np.array_equal(back.reshape(shape), logits * 0.25)


def test_vectors_that_are_maps():
    meaning = parsed(phases=[2, 3], results=[result(classes=2, axes="NCHW")])
    logits = np.arange(12).reshape(1, 12)
    assert np.array_equal(meaning.scores(logits)[""], logits.reshape(1, 2, 2, 3) * 0.25)


def test_a_share_that_is_almost_nothing():
    meaning = parsed(step=1, results=[result(classes=2, function="log_softmax")])
    with np.errstate(all="raise", under="ignore"):
        assert np.allclose(meaning.scores(np.array([[0, -800]]))[""], [[0, -800]])
