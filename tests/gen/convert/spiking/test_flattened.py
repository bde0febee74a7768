"""NIR graphs within others."""

import nir
import numpy as np
import pytest

from gen.convert.spiking.flattened import flattened
from gen.errors import ConversionError


def graph(nodes, *edges):
    return nir.NIRGraph(nodes, list(edges), {}, type_check=False)


def ends():
    return {"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}


def scale():
    return nir.Scale(np.ones(2))


def recurrent():
    return graph(ends() | {"a": scale(), "back": scale()},
                 ("in", "a"), ("a", "back"), ("back", "a"), ("a", "out"))


def test_a_graph_within_another_within_another():
    within = graph(ends() | {"r": recurrent()}, ("in", "r"), ("r", "out"), ("in", "out"))
    flat = flattened(graph(ends() | {"w": scale(), "g": within, "v": scale()},
                           ("in", "w"), ("w", "g"), ("g", "v"), ("v", "out")))
    assert set(flat.nodes) == {"in", "out", "w", "v", "g.r.a", "g.r.back"}
    assert sorted(flat.edges) == [
        ("g.r.a", "g.r.back"), ("g.r.a", "v"), ("g.r.back", "g.r.a"), ("in", "w"), ("v", "out"),
        ("w", "g.r.a"), ("w", "v")]


def test_a_graph_without_others_stays():
    plain = recurrent()
    flat = flattened(plain)
    assert flat.nodes == plain.nodes
    assert sorted(flat.edges) == sorted(plain.edges)


def test_a_loop_of_nothing_ends():
    empty = graph(ends(), ("in", "out"), ("out", "in"))
    flat = flattened(graph(ends() | {"g": empty}, ("in", "g"), ("g", "g"), ("g", "out")))
    assert flat.edges == [("in", "out")]


@pytest.mark.parametrize("nodes, edges, message", [
    ({"g": graph({"in": nir.Input(np.array([2]))})}, [],
     "^g: a graph within must have one node of the type Output, not 0$"),
    ({"g": graph(ends() | {"more": nir.Input(np.array([2]))})}, [],
     "^g: a graph within must have one node of the type Input, not 2$"),
    ({}, [("in", "nobody")], "^the edge from 'in' to 'nobody' has an end that is no node$")])
def test_refused(nodes, edges, message):
    with pytest.raises(ConversionError, match=message):
        flattened(graph(ends() | nodes, *edges))
