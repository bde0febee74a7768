"""Show what a network consists of, and write its integers for hardware of one's own."""

from math import prod

from .arguments import Commands, add_network, command, find_network
from .tables import as_columns, as_lines

__all__ = ["add"]


def _run(args):
    from gen.ir.plain import export, structure
    network = find_network(args.network)
    return structure(network) if args.output is None else export(network, args.output)


def _range(bounds):
    """``[0, 3]`` -> ``"0..3"``; empty if there is none."""
    return "" if bounds is None else "..".join(f"{bound:,}" for bound in dict.fromkeys(bounds))


def _by(sizes):
    return "x".join(map(str, sizes))


def _padding(edges):
    """The rows or columns of zeros on all four sides, or as many as they are."""
    sides = {side for edge in edges for side in edge}
    return str(sides.pop()) if len(sides) == 1 else " ".join(
        ",".join(map(str, edge)) for edge in edges)


def _window(window, arrays):
    """Cells about one source."""
    weights = arrays.get(window.get("weights"))
    return (window["source"], _by(window["kernel"]), _by(window["stride"]),
            _padding(window["padding"]),
            *(("", "", "") if weights is None else
              (f"{prod(weights['shape']):,}", str(window["bits"]), _range(weights["range"]))))


def _rows(number, layer):
    """A row for each source of a layer; what is said of the layer is in the first."""
    arrays = layer["arrays"]
    own: tuple[str, ...] = (layer["name"], layer["kind"], _by(layer["shape"]),
           "potentials" if layer["counts"] is None else _range(layer["counts"]))
    values: tuple[str, ...] = (*(_range(arrays.get(f"{number}.{name}", {}).get("range"))
                for name in ("initial", "bias", "threshold")),
              "" if layer["membrane_bits"] is None else str(layer["membrane_bits"]))
    for window in layer["windows"]:
        yield *own, *_window(window, arrays), *values
        own, values = ("",) * len(own), ("",) * len(values)


def _table(result):
    head = ("layer", "kind", "shape", "counts", "from", "window", "stride", "padding", "weights",
              "bits", "values", "initial", "bias", "threshold", "membrane")
    rows = [row for number, layer in enumerate(result["layers"]) for row in _rows(number, layer)]
    kept = [k for k in range(len(head)) if any(row[k] for row in rows)]
    facts = {"network": result["name"], "digest": result["digest"],
             "input": f"{_by(result['input_shape'])}, counts 0..{result['input_levels']} of pixels "
                      f"0..{result['pixel_max']}",
             "weights": f"{result['weights']:,}",
             **({"time-steps": result["dynamics"]} if result["dynamics"] else {})}
    return f"{as_lines(facts)}\n\n" + as_columns(
        [[row[k] for k in kept] for row in (head, *rows)])


def add(commands: Commands) -> None:
    """Add the command ``show`` to those of ``python -m gen``."""
    parser = command(commands, "show", _run, "show what a network consists of",
                     "show mnist -o build/mnist", show=_table)
    add_network(parser)
    parser.add_argument("-o", "--output", metavar="DIR",
                        help="folder that network.json, the structure, and arrays.npz, all "
                             "integers, are written to, for hardware of your own")
