"""Choose lanes and replicas for a board, and show the predicted figures."""

from .arguments import (
    Commands,
    add_dataset,
    add_mapping,
    add_network,
    command,
    find_network,
    mapping_options,
    require_calibration,
)
from .tables import as_columns, as_share

__all__ = ["add"]


def _run(args):
    from gen.plan.figures import fit
    require_calibration(args)
    return fit(find_network(args.network), **mapping_options(args))


def _stored(layer):
    weights = [memory for memory in layer["memories"] if memory["name"] == "weights"]
    if not weights:
        return ""
    where = f"{layer['brams']:g} block RAMs" if layer["brams"] else "no block RAM"
    return f"{weights[0]['width']} x {weights[0]['depth']} in {weights[0]['style']}, {where}"


def _cell(figure, form=","):
    """A cell of the table, empty if there is no such figure."""
    return "" if figure is None else format(figure, form)


def _table(result):
    if not result["layers"]:
        return as_columns([("board", f"{result['board']} ({result['device']})"), ("fits", "no")])
    rows = [("layer", "spikes", "lanes", "replicas", "clocks", "utilised", "LUTs",
             "weights; block RAMs in all")]
    for layer in result["layers"]:
        rows.append((
            layer["name"], _cell(layer["spikes"], ",.0f"), _cell(layer["lanes"]),
            _cell(layer["replicas"]), _cell(layer["clocks"], ",.0f"),
            _cell(layer["utilisation"], ".0%"), _cell(layer["luts"]), _stored(layer)))
    clock, budget = result["clock_hz"], result["budget"]
    totals = [
        ("board", f"{result['board']} ({result['device']}, {clock / 1e6:g} MHz)"),
        ("predicted from", result["calibration"]),
        ("bottleneck", result["bottleneck"]),
        *([("time-steps", f"{result['timesteps']}, in slices of {result['slice_steps']}")]
          if result["timesteps"] > 1 else []),
        ("clocks an image", f"{result['interval_cycles']:,}"),
        ("images a second", f"{result['images_per_second']:,.0f}"),
        ("latency", f"{result['latency_cycles']:,} clocks, {result['latency_us']:,.1f} us"),
        ("lanes that add", f"{result['utilisation']:.0%} of their clocks"),
        ("LUTs", f"{result['luts']:,}"),
        ("flip-flops", as_share(result["ffs"], budget["ffs"])),
        (f"{result['cell']}s filled", as_share(result["cells"], budget["luts"])),
        ("that can be filled", f"{result['cell_limit']:,}"),
        ("block RAMs", as_share(result["brams"], budget["brams"])),
    ]
    return f"{as_columns(rows)}\n\n{as_columns(totals)}"


def add(commands: Commands) -> None:
    """Add the command ``fit`` to those of ``python -m gen``."""
    parser = command(commands, "fit", _run,
                     "choose lanes and replicas for a board, and show the predicted figures",
                     "fit mnist --board arty-a7 --objective throughput --calibration 1000",
                     show=_table)
    add_network(parser)
    add_dataset(parser)
    add_mapping(parser)
