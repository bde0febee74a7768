"""NIR graphs within others, such as recurrent layers are written as, in one graph."""

from collections.abc import Iterator
from dataclasses import dataclass

import nir

from gen.errors import ConversionError

__all__ = ["Flat", "flattened"]


@dataclass(frozen=True)
class Flat:
    """A graph without others in it.

    Parameters
    ----------
    nodes : name -> node; that of one within a graph ``a`` begins with ``a.``
    edges : names of the two ends
    """

    nodes: dict[str, nir.NIRNode]
    edges: list[tuple[str, str]]


def flattened(graph: nir.NIRGraph) -> Flat:
    """The graph with the nodes of those within in their places.

    Raises
    ------
    ConversionError
        If an edge ends at no node, or a graph within has not one input and one output.
    """
    nodes, edges, ends = {}, [], {}
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[name], ends[name] = node, (name, name)
            continue
        within = flattened(node)
        nodes |= {f"{name}.{inner}": found for inner, found in within.nodes.items()}
        edges += [(f"{name}.{start}", f"{name}.{end}") for start, end in within.edges]
        ends[name] = (_end(name, within, nir.Input), _end(name, within, nir.Output))
    for start, end in graph.edges:
        if start not in ends or end not in ends:
            raise ConversionError(f"the edge from {start!r} to {end!r} has an end that is no node")
        edges.append((ends[start][1], ends[end][0]))
    between = {end for pair in ends.values() for end in pair if end not in graph.nodes}
    return Flat({name: node for name, node in nodes.items() if name not in between},
                list(_without(edges, between)))


def _end(name, graph, kind):
    found = [inner for inner, node in graph.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        raise ConversionError(f"{name}: a graph within must have one node of the type "
                              f"{kind.__name__}, not {len(found)}")
    return f"{name}.{found[0]}"


def _without(edges: list[tuple[str, str]], between: set[str]) -> Iterator[tuple[str, str]]:
    """Edges past the nodes that do nothing but pass on what they get."""
    readers: dict[str, list[str]] = {}
    for start, end in edges:
        readers.setdefault(start, []).append(end)
    for start, end in edges:
        todo, seen = [end] if start not in between else [], set()
        while todo:
            reader = todo.pop()
            if reader not in between:
                yield start, reader
            elif reader not in seen:
                seen.add(reader)
                todo += readers.get(reader, ())
