"""Dataclasses as JSON and back, by their annotations alone."""

import json
from dataclasses import dataclass
from fractions import Fraction

import pytest

from gen.plan.mapping import map_config
from gen.system.plain import Mismatch, from_plain, to_plain
from hw.config import ArrayConfig
from hw.dynamics import Dynamics
from hw.maps import MapConfig
from hw.programs import settle
from hw.schedule import Schedule
from tests import networks, sequences
from tests.hw import cases


@dataclass(frozen=True)
class Leaf:
    number: int
    share: float = 0.5
    sign: bool = False


@dataclass(frozen=True)
class Node:
    name: str
    first: Leaf

    def __post_init__(self):
        if not self.name:
            raise ValueError("name must not be empty")


@dataclass(frozen=True)
class Tree:
    parts: tuple[Leaf | Node, ...]
    pair: tuple[int, str]
    some: frozenset[Leaf]
    hz: Fraction
    nothing: int | None = None
    any: int | str | float = 0


TREE = Tree((Leaf(1), Node("a", Leaf(2, 3, True))), (4, "b"), frozenset({Leaf(5), Leaf(6)}),
            Fraction(7, 3), any="c")


def test_there_and_back():
    text = json.dumps(to_plain(TREE))
    assert from_plain(Tree, json.loads(text)) == TREE
    assert json.loads(text)["parts"][1]["is"] == "Node"


@pytest.mark.parametrize("network, options", [
    (networks.stepping(Dynamics(3, burst=5, probe=2)), {}),
    (networks.stepping(networks.STEPPING["cif"]), {"slice_steps": 2}),
    (sequences.layered(), {"differential": {"conv": ["input"], "dense": ["dense"]}, "stream": 2})],
    ids=["probe", "time-steps", "changes"])
def test_programs_of_all_kinds(network, options):
    config = map_config(network, **options)
    assert from_plain(ArrayConfig, json.loads(json.dumps(to_plain(config)))) == config


@pytest.mark.parametrize("network, lanes", [
    (networks.linear(), None), (networks.convolutional(), None), (networks.residual(), None),
    (networks.wide(), None), *((cases.network(name), lanes) for name, lanes in cases.LANES.items()),
], ids=["linear", "convolutional", "residual", "wide", *cases.LANES])
@pytest.mark.parametrize("code", ["phase", "rate"])
def test_every_kind_of_array(network, lanes, code):
    config = map_config(network, lanes=lanes, code=code)
    again = from_plain(ArrayConfig, json.loads(json.dumps(to_plain(config))))
    assert again == config
    assert again.digest() == config.digest()


@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize("code", ["phase", "rate"])
def test_every_kind_of_schedule(levels, code):
    """Of sources that have no plane left for some charges, too."""
    sources = [MapConfig(1, 1, 1, 15, 1, "phase"), MapConfig(1, 1, 1, 3, 1, "rate")]
    schedule = settle(sources, levels, code)
    again = from_plain(Schedule, json.loads(json.dumps(to_plain(schedule))))
    assert again == schedule
    assert again.operations == schedule.operations
    assert {plane for charge in again.charges for plane in charge.planes} == {None, 0, 1, 2, 3}


def test_the_order_of_a_set_is_nobodys():
    sets = [frozenset(map(Leaf, numbers)) for numbers in (range(9), reversed(range(9)))]
    assert to_plain(sets[0]) == to_plain(sets[1])


def test_what_json_lacks():
    with pytest.raises(TypeError, match=r"^complex has no form in JSON$"):
        to_plain((1j,))


@pytest.mark.parametrize("changes, message", [
    ({"parts": 3}, "x.parts must be a list, not '3'"),
    ({"parts": [3]}, "x.parts[0] must be an object that is a Leaf or Node, not '3'"),
    ({"parts": [{"is": "Tree"}]}, "x.parts[0] must be an object that is a Leaf or Node, not an"),
    ({"parts": [{"is": []}]}, "x.parts[0] must be an object that is a Leaf or Node, not an obj"),
    ({"parts": [{"is": "Node", "name": "", "first": {"number": 1, "share": 1, "sign": True}}]},
     "x.parts[0]: name must not be empty"),
    ({"parts": [{"is": "Leaf", "share": 1, "sign": True}]}, "x.parts[0].number is missing"),
    ({"parts": [{"is": "Leaf", "number": True, "share": 1, "sign": True}]},
     "x.parts[0].number must be an integer, not 'True'"),
    ({"parts": [{"is": "Leaf", "number": 1, "share": 1, "sign": 1}]},
     "x.parts[0].sign must be true or false, not '1'"),
    ({"parts": [{"is": "Leaf", "number": 1, "share": float("nan"), "sign": True}]},
     "x.parts[0].share must be a number, not 'nan'"),
    ({"parts": [{"is": "Leaf", "number": 1, "share": 10**400, "sign": True}]},
     "x.parts[0].share must be a number, not '1000"),
    ({"pair": [1]}, "x.pair must be a list of 2, not a list"),
    ({"pair": [1, None]}, "x.pair[1] must be a string, not 'None'"),
    ({"some": [{}]}, "x.some[0].number is missing"),
    ({"hz": 3.5}, "x.hz must be a list, not '3.5'"),
    ({"hz": [1, 0]}, "x.hz must be a fraction, not a list"),
    ({"nothing": 1.5}, "x.nothing must be an integer, not '1.5'"),
    ({"any": True}, "x.any must be an integer or a string or a number, not 'True'"),
    ({"more": 1}, "x has 'more', which is no field of Tree"),
])
def test_anything_else(changes, message):
    with pytest.raises(Mismatch) as caught:
        from_plain(Tree, to_plain(TREE) | changes, "x")
    assert str(caught.value).startswith(message)
    with pytest.raises(Mismatch, match=r"^it must be an object, not a list$"):
        from_plain(Tree, [])
