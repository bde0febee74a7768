"""Networks in integers as NIR: integer weights, thresholds and biases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np

from gen.errors import ConversionError
from gen.ir.layers import INPUT
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from gen.system import files

__all__ = ["export_nir", "graph_of"]


def export_nir(network: Network, out: str | Path) -> dict[str, Any]:
    """Write a network as a NIR file.

    Returns
    -------
    ``output``, ``nodes`` (their number), ``edges``, ``neurons`` (the type of their nodes), and
    ``left_out``, what NIR has no place for, which is in the metadata of the nodes

    Raises
    ------
    ConversionError
        If NIR has no node for a layer.
    OutputError
        If the file can't be written.
    """
    files.require_output(out)
    graph = graph_of(network)
    with files.replacing(out) as draft:
        nir.write(draft, graph)
    fire = [node for node in graph.nodes.values() if isinstance(node, nir.IF | nir.LIF)]
    return {"output": str(out), "nodes": len(graph.nodes), "edges": len(graph.edges),
            "neurons": sorted({type(node).__name__ for node in fire}),
            "left_out": sorted({name for node in fire for name in node.metadata})}


def graph_of(network: Network) -> nir.NIRGraph:
    """The network as a graph. A time-step has the length 1.

    Neurons are ``IF`` nodes with ``r`` 1, or ``LIF`` nodes with the decay of their leak, and have a
    channel's threshold at each position. The read-out is an integrator, ``I``. The input is counts.
    The metadata of a node of neurons has its ``initial`` potential, its ``reset``, whether its
    comparison is ``strict``, and its ``levels`` if neurons fire after all charge.

    Raises
    ------
    ConversionError
        If NIR has no node for a layer.
    """
    nodes: dict[str, Any] = {"input": nir.Input(np.array(network.input_shape))}
    edges: list[tuple[str, str]] = []
    for layer in network.layers:
        if layer.lasting is not None:
            raise ConversionError(f"{layer.name}: its time-steps are the rows of its map, which "
                                  f"NIR has no axis for; export the file that it was converted "
                                  f"from")
        if layer.name in layer.sources:
            raise ConversionError(f"{layer.name}: is recurrent over the elements of a sequence, "
                                  f"which NIR does not tell from time")
    for layer in network.layers:
        if not layer.synapses:
            nodes[layer.name] = _pool(layer)
            edges.append((layer.sources[0], layer.name))
            continue
        for name, node in _weights(layer, network):
            nodes[name] = node
            edges += [(node.metadata.pop("source"), name), (name, layer.name)]
        nodes[layer.name] = _membrane(layer, network)
    nodes["output"] = nir.Output(np.array(network.shapes[network.readout.name]))
    edges.append((network.readout.name, "output"))
    return nir.NIRGraph(nodes, edges, metadata={"name": network.name, "digest": network.digest},
                        type_check=False)


def _pool(layer):
    if layer.kind != "sum" or any(layer.padding):
        raise ConversionError(f"{layer.name}: NIR has no maximum pooling, and no padded one")
    return nir.SumPool2d(np.array(layer.kernel), np.array(layer.stride), np.zeros(2, dtype=int))


def _weights(layer: Any, network: Network) -> Iterator[tuple[str, nir.NIRNode]]:
    """The nodes of a layer's synapses, with their sources in their metadata."""
    for k, synapses in enumerate(layer.synapses):
        shape = network.shapes[synapses.source]
        node = nir.Conv2d(shape[1:], synapses.weights, synapses.stride, _padding(layer, synapses),
                          1, synapses.groups, layer.bias * (k == 0))
        node.metadata = {"source": synapses.source if synapses.source != INPUT else "input"}
        yield f"{layer.name}.synapses{k or ''}", node


def _padding(layer, synapses: Synapses):
    if synapses.below not in (None, synapses.padding[0]) or synapses.padding[0] < 0:
        raise ConversionError(f"{layer.name}: NIR has the same padding above and below a map")
    return synapses.padding


def _membrane(layer: Any, network: Network) -> nir.NIRNode:
    shape = network.shapes[layer.name]
    ones = np.ones(shape)
    if layer.levels is None:
        return nir.I(ones)
    threshold = np.broadcast_to(layer.threshold[:, None, None], shape).astype(np.int64)
    facts: dict[str, Any] = {"initial": layer.initial, "reset": "subtract", "strict": 0}
    if layer.dynamics is None:
        facts["levels"] = layer.levels
        return nir.IF(ones, threshold, 0 * threshold, metadata=facts)
    membrane = layer.dynamics.membrane
    facts |= {"reset": "delayed" if membrane.delayed else membrane.reset,
              "strict": int(membrane.strict)}
    if membrane.decay == 1:
        return nir.IF(ones, threshold, 0 * threshold, metadata=facts)
    tau = ones / (1 - membrane.decay)
    facts["shifts"] = np.array(membrane.leak)
    return nir.LIF(tau, tau, 0 * ones, threshold, 0 * threshold, metadata=facts)
