"""The tables of the pages, of what has been measured."""

from itertools import pairwise

import boards

from . import (
    bitstreams,
    choices,
    clocks,
    contents,
    ecp5_clock,
    every_board,
    figures,
    gates,
    masked,
    methods,
    scale,
    sequences,
    sparsity,
)
from . import line as serial_line
from .every_board import alike, same_device
from .markdown import asked, line, named, number, table

__all__ = ["TABLES"]


def _share(value, of):
    """A number and what share of what there is that is, as far as it is known."""
    return "" if value is None else f"{value:,} ({value / of:.0%})"


def readme(measured):
    """Of the README: whole test sets."""
    usual = figures.CASES[0]["board"]

    def network(row):
        return named(row) + (f", on `{row['board']}`" if row["board"] != usual else "")

    return table([
        ("network", network),
        ("accuracy", lambda row: f"{row['accuracy']:.2%}"),
        ("mismatches", lambda row: number(row["mismatches"])),
        ("clocks an image", lambda row: number(row["interval_cycles"])),
        ("images a second", lambda row: number(row["images_per_second"])),
        ("latency", lambda row: f"{row['latency_us']:,.0f} us"),
        ("lanes adding", lambda row: f"{row['utilisation_bottleneck']:.0%}, "
                                     f"{row['utilisation_array']:.0%}"),
        ("LUTs", lambda row: number(row["luts"])),
        ("block RAMs", lambda row: f"{row['brams']:g}"),
        ("DSPs", lambda row: number(row["dsps"])),
    ], figures.BENCHMARK.rows(measured))


def _timed(row):
    steps = f" T = {row['timesteps']}" if "timesteps" in row else ""
    return f"`{row['fires']}`{steps}" + (f" m = {row['burst']}" if "burst" in row else "")


def _side_by_side(row):
    block = f", blocks of {row['stream']}" if "stream" in row else ""
    beside = f", {row['interleaved']} side by side" if row.get("interleaved", 1) > 1 else ""
    changes = (f", changes of {', '.join(sorted(set().union(*row['differential'].values())))}"
               if "differential" in row else "")
    return f"`{row['network']}`{changes}{beside}{block}"


def changes_counted(measured):
    """Of docs/methods.md: spikes of counts, and of what they change by from element to element."""
    return table([
        ("network", lambda row: f"`{row['network']}`"),
        ("layer", lambda row: row["layer"]),
        ("charged by", lambda row: "itself" if row["layer"] == row["source"] else row["source"]),
        ("spikes of counts", lambda row: number(row["counts"])),
        ("of changes", lambda row: number(row["changes"])),
        ("ratio", lambda row: f"{row['changes'] / row['counts']:.2f}"),
    ], [{"network": row["network"], **bundle} for row in sequences.BENCHMARK.rows(measured)
        if not {"interleaved", "differential"} & set(row) for bundle in row["spikes"]])


def sequences_run(measured):
    """Of docs/methods.md: recurrent networks."""
    return table([
        ("network", _side_by_side),
        ("weights", lambda row: number(row["weights"])),
        ("elements", lambda row: number(row["elements"])),
        ("sequences", lambda row: number(row["sequences"])),
        ("accuracy", lambda row: f"{row['accuracy']:.2%}"),
        ("gradient boosting", lambda row: f"{row['boosted']:.2%}" if row["boosted"] else ""),
        ("mismatches", lambda row: number(row["mismatches"])),
        ("clocks an element", lambda row: number(row["element_cycles"])),
        ("elements a second", lambda row: number(row["elements_per_second"])),
        ("clocks a sequence", lambda row: number(row["interval_cycles"])),
        ("predicted", lambda row: number(row["predicted_interval_cycles"])),
        ("latency", lambda row: number(row["latency_cycles"])),
        ("lanes adding", lambda row: f"{row['lanes_adding']:.0%}"),
        ("LUTs", lambda row: number(row["luts"])),
        ("block RAMs", lambda row: f"{row['brams']:g}"),
        ("DSPs", lambda row: number(row["dsps"])),
    ], sequences.BENCHMARK.rows(measured))


def methods_run(measured):
    """Of docs/methods.md: methods in time-steps."""
    return table([
        ("network", lambda row: f"`{row['network']}`"),
        ("method", _timed),
        ("steps", lambda row: number(row["time_steps"])),
        ("images", lambda row: number(row["images"])),
        ("accuracy", lambda row: f"{row['accuracy']:.2%}"),
        ("quantised network", lambda row: f"{row['quantised']:.2%}"),
        ("logits as quantised", lambda row: number(row["images_as_quantised"])),
        ("mismatches", lambda row: number(row["mismatches"])),
        ("clocks", lambda row: number(row["interval_cycles"])),
        ("predicted", lambda row: number(row["predicted_interval_cycles"])),
        ("lanes adding", lambda row: "" if row["lanes_adding"] is None else
         f"{row['lanes_adding']:.0%}"),
        ("LUTs", lambda row: number(row["luts"]) if "luts" in row else ""),
        ("block RAMs", lambda row: f"{row['brams']:g}" if "luts" in row else ""),
        ("LUTs relative to `settle`", lambda row:
         f"{row['luts'] / row['settled_luts']:.2f}" if row.get("settled_luts") else ""),
    ], methods.BENCHMARK.rows(measured), left=2)


def bitstreams_made(measured):
    """Of docs/boards.md: bitstreams."""
    return table([
        ("board", lambda row: f"`{row['board']}`"),
        ("network", lambda row: f"`{row['network']}`"),
        ("LUTs", lambda row: number(row["luts"])),
        ("cells", lambda row: _share(row["cells"], row["budget"]["luts"])),
        ("flip-flops", lambda row: _share(row["ffs"], row["budget"]["ffs"])),
        ("block RAMs", lambda row: _share(row["brams"], row["budget"]["brams"])),
        ("clock", lambda row: f"{row['clock_hz'] / 1e6:.4g} MHz"),
        ("fastest", lambda row: f"{row['fmax_hz'] / 1e6:.4g} MHz"),
        ("clocks", lambda row: number(row["interval_cycles"])),
        ("seconds", lambda row: number(row["seconds"])),
    ], bitstreams.BENCHMARK.rows(measured), left=2)


def _fits(row):
    """A network on a board in a word or two; percentages are of the device's logic cells."""
    if row["cells"] is None:
        return "no"
    share = row["cells"] / row["has"]
    if not row["fits"]:
        return f"no: {share:,.0%}" if share < 10 else f"no: {share:.0f} times"
    if row.get("builds") is False:
        return f"**{share:.0%}, no build**"
    if "built_cells" in row:
        return f"{share:.0%}, {row['to']} {row['built_cells'] / row['has']:.0%}"
    return f"{share:.0%}"


def fits(measured):
    """Of docs/boards.md: which network fits which board; a row for each device."""
    rows = {(row["board"], row["network"]): row for row in every_board.BENCHMARK.rows(measured)}
    names = list(dict.fromkeys(case["network"] for case in every_board.CASES))
    lines = [line(["board", *(f"`{name}`" for name in names)]),
             line(["---", *["--:"] * len(names)])]
    for first, same in alike().items():
        lines.append(line([", ".join(f"`{board.name}`" for board in same),
                           *(_fits(rows[first.name, name]) for name in names)]))
    return "\n".join(lines)


def _placed(measured):
    """Bitstreams on the first board of each device."""
    return [row for row in bitstreams.BENCHMARK.rows(measured)
            if same_device(boards.find(row["board"])).name == row["board"]]


def _where(row):
    return f"{row['network']}, {row['board']}"


def predictions(measured):
    """Of docs/fit.md: how near the predicted resources come."""
    return table([
        ("network, board", _where),
        ("mapping", lambda row: asked(row) or "default"),
        ("LUTs: predicted", lambda row: number(row["predicted_luts"])),
        ("Yosys", lambda row: number(row["luts"])),
        ("block RAMs: predicted", lambda row: f"{row['predicted_brams']:g}"),
        ("Yosys", lambda row: f"{row['brams']:g}"),
    ], [*figures.BENCHMARK.rows(measured), *_placed(measured)], left=2)


def cells(measured):
    """Of docs/fit.md: logic cells, as predicted, as counted, as nextpnr fills them."""
    return table([
        ("network, board", _where),
        ("predicted", lambda row: number(row["predicted_cells"])),
        ("counted in the netlist", lambda row: number(row["cells"])),
        ("filled by nextpnr", lambda row: number(row["filled"])),
        ("there are", lambda row: number(row["budget"]["luts"])),
    ], _placed(measured))


def predicted_clocks(measured):
    """Of docs/fit.md: clocks, as predicted and as simulated."""
    def mapping(row):
        words = row["asked"] if row["asked"] == "default" else f"`{row['asked']}`"
        return words + ("" if row["kept"] else " (as near as it gets)")

    return table([
        ("network", lambda row: row["network"]),
        ("mapping", mapping),
        ("images", lambda row: number(row["images"])),
        ("slowest layer", lambda row: number(row["slowest"])),
        ("predicted interval", lambda row: number(row["interval_predicted"])),
        ("simulated", lambda row: number(row["interval"])),
        ("predicted latency", lambda row: number(row["latency_predicted"])),
        ("simulated", lambda row: number(row["latency"])),
    ], clocks.BENCHMARK.rows(measured), left=2)


def fastest(measured):
    """Of docs/architecture.md: the clock that an ECP5 reaches with hundreds of lanes."""
    return table([
        ("network, board", _where),
        ("seed", lambda row: number(row["seed"])),
        ("lanes", lambda row: number(row["lanes"])),
        ("LUTs", lambda row: number(row["luts"])),
        ("fastest", lambda row: f"{row['fmax_hz'] / 1e6:.4g} MHz"),
    ], ecp5_clock.BENCHMARK.rows(measured))


def _chosen(measured, what):
    return [{"network": row["network"]} | found for row in choices.BENCHMARK.rows(measured)
            for found in row[what]]


def _layer(row):
    return f"{row['network']}, {row['layer']}"


def replicas(measured):
    """Of docs/fit.md: what replicas share."""
    return table([
        ("network, layer", _layer),
        ("replicas", lambda row: number(row["replicas"])),
        ("clocks a sample: rows", lambda row: number(row["rows"])),
        ("samples", lambda row: number(row["samples"])),
        ("share lost by rows", lambda row: f"{row['lost']:.1%}"),
        ("clocks in the layer: rows", lambda row: number(row["rows_in_layer"])),
        ("samples", lambda row: number(row["samples_in_layer"])),
        ("queues, Kb: rows", lambda row: number(row["rows_kb"], 1)),
        ("samples", lambda row: number(row["samples_kb"], 1)),
    ], _chosen(measured, "replicas"))


def poolings(measured):
    """Of docs/fit.md: where pooling is done."""
    return table([
        ("network, layer behind the pooling", _layer),
        ("counts added before", lambda row: number(row["added"])),
        ("every spike sent", lambda row: number(row["sent"])),
        ("ratio", lambda row: f"{row['ratio']:.2f}"),
        ("additions of the pooling", lambda row: number(row["narrow"])),
    ], _chosen(measured, "poolings"))


_STAGES = {
    "mapping": "mapping", "verilog": "elaboration and Verilog", "read": "Yosys reads it",
    "virtual": "virtual board",
}


def _stages(measured, *stages):
    """Of each network for which there are these stages and the Verilog: stage -> its row."""
    rows = {}
    for row in scale.BENCHMARK.rows(measured):
        rows.setdefault((row["kind"], row["about"]), {})[row["stage"]] = row
    return [row for row in rows.values() if row.keys() >= {"verilog", *stages}]


def _costs(measured, *stages):
    """Of docs/scale.md: seconds and megabytes of some stages, a row for each network."""
    columns = [("network", lambda row: row["verilog"]["kind"]),
               ("weights", lambda row: number(row["verilog"]["weights"]))]
    for stage in stages:
        columns += [
            (f"{_STAGES[stage]}: s", lambda row, stage=stage: number(row[stage]["seconds"], 1)),
            (f"{_STAGES[stage]}: MB", lambda row, stage=stage: number(row[stage]["megabytes"]))]
    columns += [("MB of Verilog", lambda row: number(row["verilog"]["bytes"] / 1e6, 1))]
    return table(columns, _stages(measured, *stages))


def _growth(rows):
    """The most seconds of another hundred thousand weights, from one network to the next larger
    one.

    Parameters
    ----------
    rows : pairs of weights and seconds, the fewest weights first
    """
    return max((more - few) / (large - small) * 1e5
               for (small, few), (large, more) in pairwise(rows))


def written(measured):
    """Of docs/scale.md: up to the Verilog."""
    found = {kind: [] for kind in scale.NETWORKS}
    for row in _stages(measured, "mapping"):
        found[row["verilog"]["kind"]].append((
            row["verilog"]["weights"], row["mapping"]["seconds"] + row["verilog"]["seconds"]))
    growth = " and ".join(f"at most {_growth(rows):.2f} s in `{kind}`"
                          for kind, rows in found.items())
    return (_costs(measured, "mapping", "verilog")
            + f"\n\nAnother hundred thousand weights take {growth}.")


def read(measured):
    return _costs(measured, "read", "virtual")


_GATES = [
    ("network", lambda row: f"`{row['network']}`" if "network" in row else
     f"{row['made']}, with time-steps"),
    ("board", lambda row: f"`{row['board']}`"),
    ("family", lambda row: row["family"]),
    ("images", lambda row: number(row["images"])),
    ("values compared", lambda row: number(row["values"])),
    ("mismatches", lambda row: number(row["mismatches"])),
    ("clocks", lambda row: number(row["clocks"])),
]


def _level(measured, level):
    return [row for row in gates.BENCHMARK.rows(measured) if row["level"] == level]


def netlists(measured):
    """Of docs/verification.md: netlists from pin to pin."""
    return table(_GATES, _level(measured, "netlist"), left=3)


def unpacked(measured):
    """Of docs/verification.md: bitstreams from pin to pin, of which only logits are compared."""
    columns = [("logits compared" if name == "values compared" else name, cell)
               for name, cell in _GATES if name != "family"]
    return table(columns, _level(measured, "bitstream"), left=2)


def carried(measured):
    """Of docs/link.md: what the serial line carries."""
    return table([
        ("network", lambda row: f"`{row['network']}`"),
        ("bits to the device an image", lambda row: number(row["sent"])),
        ("bits from it", lambda row: number(row["received"])),
        ("of pixels alone", lambda row: number(row["payload"])),
        ("clocks from image to image", lambda row: number(row["clocks"])),
        ("images a second", lambda row: f"{row['reached']:,.1f}"),
        ("of what the bits allow", lambda row: f"{row['share']:.1%}"),
    ], serial_line.BENCHMARK.rows(measured))


def depthwise(measured):
    """Of docs/fit.md: depthwise layers with masked rows."""
    (row,) = masked.BENCHMARK.rows(measured)
    return table([
        ("layer", lambda layer: layer["layer"]),
        ("channels", lambda layer: number(layer["channels"])),
        ("clocks: a row for each channel", lambda layer: number(layer["spikes"])),
        ("masked rows", lambda layer: number(layer["clocks"])),
        ("ratio", lambda layer: f"{layer['spikes'] / layer['clocks']:.1f}"),
        ("clocks in which the lanes add", lambda layer: f"{layer['adds']:.0%}"),
    ], row["layers"]) + (f"\n\nThe weight memory of the residual layer has {row['memory']:,} bits; "
                         f"as wide as the identity it would have {row['wide']:,}.")


def skipped(measured):
    """Of docs/fit.md: rows of zero weights that are skipped."""
    return table([
        ("weights that are zero", lambda row: f"{row['pruned']:.0%}"),
        ("lanes", lambda row: number(row["lanes"])),
        ("rows that are zero", lambda row: f"{row['zero']:.0%}"),
        ("clocks: all rows", lambda row: number(row["all"])),
        ("rows skipped", lambda row: number(row["clocks"])),
        ("ratio", lambda row: f"{row['all'] / row['clocks']:.2f}"),
    ], [{"pruned": case["pruned"]} | row
        for case in sparsity.BENCHMARK.rows(measured) for row in case["rows"]], left=0)


TABLES = {
    "test-sets": readme, "bitstreams": bitstreams_made, "fits": fits, "predictions": predictions,
    "cells": cells, "predicted-clocks": predicted_clocks, "replicas": replicas,
    "poolings": poolings, "verilog": written, "readers": read, "netlists": netlists,
    "unpacked": unpacked, "line": carried, "depthwise": depthwise,
    "methods": methods_run, "sequences": sequences_run,
    "changes": changes_counted, "contents": contents.cost, "ecp5-clock": fastest,
    "skipped": skipped,
}
"""Name of a table -> what makes it of :func:`bench.benchmark.load`."""
