"""A bitstream of an iCE40, back to Verilog: Project IceStorm's ``iceunpack`` and ``icebox_vlog``.

They read only the bits: the function of each LUT, the routing, the contents of the block RAMs and
the settings of the PLL. The only other input is the names of the pins.
"""

import re
import shutil
from pathlib import Path

from gen.errors import SimulationError
from gen.system import files, processes

__all__ = ["bitstream_verilog", "require_icestorm"]

_PACKAGE, _PROGRAMS = "fpga-icestorm", ("iceunpack", "icebox_vlog")


def bitstream_verilog(bitstream: Path, constraints: Path, package: str) -> tuple[str, list[str]]:
    """Verilog of module ``chip``, which behaves like the configured device, and its ports.

    Parameters
    ----------
    bitstream : as ``icepack`` writes it
    constraints : the project's ``.pcf``, which names the pins
    package : of the device, such as ``ct256``

    Raises
    ------
    SimulationError
        If a tool is missing or fails, or the bitstream is missing.
    """
    bitstream = Path(bitstream)
    if not bitstream.exists():
        raise SimulationError(f"{bitstream}: there is no such bitstream")
    require_icestorm()
    lines = files.read_text(constraints).splitlines(True)
    with processes.scratch() as directory:
        files.write_bytes(directory / "board.bin", bitstream.read_bytes())
        files.write_text(directory / "pins.pcf",
                         "".join(line for line in lines if line.startswith("set_io ")))
        _run(directory, "iceunpack", "board.bin", "board.asc")
        text = _run(directory, "icebox_vlog", "-s", "-d", package, "-p", "pins.pcf", "board.asc")
    return _with_ports(text)


def require_icestorm() -> None:
    """Make sure that the tools are there.

    Raises
    ------
    SimulationError
        If one is missing.
    """
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            raise SimulationError(f"{program} is missing: install the Debian package {_PACKAGE!r}")


def _run(directory, program, *arguments):
    done = processes.run([program, *arguments], cwd=directory, stdout=processes.PIPE,
                         stderr=processes.PIPE, encoding="utf-8", errors="replace")
    if done.returncode:
        lines = (done.stderr or done.stdout or "no message").strip().splitlines()
        raise SimulationError(f"{program} failed: {lines[-1]}")
    return done.stdout


def _with_ports(text):
    """Repair the ports. ``icebox_vlog`` declares them in the module's head and again in its body,
    which is an error since Verilog 2001, unless the head has only names."""
    head = re.search(r"^module chip \((.*)\);$", text, re.MULTILINE)
    if head is None:
        raise SimulationError("icebox_vlog wrote no module 'chip'")
    ports = re.findall(r"(input|output|inout) (\S+?)(?:, |$)", head[1])
    names = [name for _, name in ports]
    declared = "".join(f"{direction} {name};\n" for direction, name in ports)
    return (f"{text[:head.start()]}module chip ({', '.join(names)});\n{declared}"
            f"{text[head.end():]}"), names
