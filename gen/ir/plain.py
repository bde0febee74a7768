"""A network for people, and for hardware of their own (docs/own-hardware.md): what it consists of,
and all its integers."""

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from gen.system import files, npz

from .layers import Layer
from .network import Network
from .synapses import Synapses, Window, edges

__all__ = ["FILES", "export", "structure"]

FILES = ("network.json", "arrays.npz")
"""What :func:`export` writes."""


def structure(network: Network) -> dict[str, Any]:
    """What a network consists of, as a JSON object.

    Returns
    -------
    ``name``, ``digest``, ``input_shape``, ``input_levels``, ``pixel_max``, ``weights`` (their
    number), ``dynamics`` (``None`` without time-steps), and ``layers``, each with

    * ``name``, ``kind``, ``shape`` ``[C, H, W]``; ``counts``, least and greatest of the neurons, or
      ``None`` if potentials come out; ``membrane_bits``, or ``None``
    * ``windows``, for each source ``source``, ``kernel`` and ``stride`` ``[y, x]``, ``padding``
      ``[[above, below], [left, right]]``; with synapses also ``groups``, ``bits`` and ``weights``,
      the name of their array
    * ``lasting``, only of neurons whose time-steps are the rows of their map
    * ``arrays``, name in the archive -> ``shape`` and ``range``, least and greatest
    """
    return {
        "name": network.name, "digest": network.digest, "input_shape": list(network.input_shape),
        "input_levels": network.input_levels, "pixel_max": network.pixel_max,
        "weights": network.weight_count,
        "dynamics": None if network.dynamics is None else network.dynamics.facts,
        "layers": [_layer(network, number, layer) for number, layer in enumerate(network.layers)]}


def export(network: Network, folder: str | Path) -> dict[str, Any]:
    """Write the structure and the arrays into a folder, and return the structure.

    Raises
    ------
    OutputError
        If that is not possible, before anything is written.
    """
    files.require_directory(folder, FILES)
    made = structure(network)
    arrays = {name: array for number, layer in enumerate(network.layers)
              for name, array in _arrays(number, layer).items()}
    text = json.dumps(made, indent=2, allow_nan=False) + "\n"
    for name, data in zip(FILES, (text.encode(), npz.packed(arrays)), strict=True):
        files.write_bytes(Path(folder, name), data)
    return made


def _layer(network: Network, number: int, layer: Layer) -> dict[str, Any]:
    levels = network.levels.get(layer.name)
    return {
        "name": layer.name, "kind": layer.label, "shape": list(network.shapes[layer.name]),
        "counts": None if levels is None else [0, levels],
        "membrane_bits": layer.membrane_bits([network.levels[s] for s in layer.sources]),
        "windows": [_window(window, bundle, f"{number}.{k}.weights") for k, (window, bundle)
                    in enumerate(zip_longest(layer.windows, layer.synapses))],
        **({} if layer.lasting is None else {"lasting": layer.lasting.facts}),
        "arrays": {name: {"shape": list(array.shape),
                          "range": [int(array.min()), int(array.max())]}
                   for name, array in _arrays(number, layer).items()}}


def _window(window: Window, bundle: Synapses | None, weights: str) -> dict[str, Any]:
    """``weights`` is the name of the array, if there are synapses."""
    return {"source": window.source, "kernel": list(window.kernel),
            "stride": list(window.stride), "padding": [list(edge) for edge in edges(window)],
            **({} if bundle is None else
               {"groups": bundle.groups, "bits": bundle.bits, "weights": weights})}


def _arrays(number: int, layer: Layer) -> dict[str, np.ndarray]:
    """The arrays of layer ``number``, in 64 bits, by their names in the archive."""
    return {f"{number}.{name}": array for name, array in layer.described()[1].items()}
