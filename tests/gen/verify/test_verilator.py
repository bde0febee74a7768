import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gen.errors import SimulationError
from gen.verify import verilator
from gen.verify.verilator import environment, patience, stillness, verilate
from hw.config import ArrayConfig
from hw.layers import CoreConfig
from hw.maps import MapConfig, SourceConfig
from hw.programs import settle

DOUBLE = "module double(input [7:0] i, output [7:0] o); assign o = i << 1; endmodule\n"

MAIN = r"""
#include <cstdio>
#include "Vtop.h"
#include "value.h"
int main() {
    Vtop top;
    top.i = VALUE;
    top.eval();
    std::printf("%d", top.o);
}
"""


HOSTILE = "my net's $(touch PWNED); touch PWNED; ü#1&"


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    path = tmp_path_factory.mktemp("harness") / "main.cpp"
    path.write_text(MAIN, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def filled(tmp_path_factory, harness):
    """A cache in which the program that says 6 has been compiled."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        assert compiled(harness) == "6"
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, filled):
    """A copy of it."""
    shutil.copytree(filled, tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "spikeloom"


def test_environment_puts_the_package_first():
    env = environment()
    first = env["PATH"].split(os.pathsep)[0]
    assert first == os.path.join(env["VERILATOR_ROOT"], "bin")
    assert os.access(os.path.join(first, "verilator"), os.X_OK)


@pytest.mark.parametrize("program", ["g++", "make", "perl"])
def test_missing_program_names_its_package(monkeypatch, program):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else f"/bin/{name}")
    message = re.escape(f"{program} is missing: install the Debian package '{program}'")
    with pytest.raises(SimulationError, match=f"^{message}$"):
        environment()


def compiled(harness, value=3, **options):
    """What the program says."""
    program = verilate(DOUBLE, "double", harness, headers={"value.h": f"#define VALUE {value}\n"},
                       **options)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def test_the_same_content_is_compiled_once(folder, harness):
    said = []
    assert compiled(harness, 3, progress=said.append) == "6"
    assert said == []
    assert compiled(harness, 4, progress=said.append) == "8"
    assert compiled(harness, 4, progress=said.append) == "8"
    assert said == ["compiling double with Verilator"]
    entries = sorted(path.name for path in folder.iterdir())
    assert len(entries) == 3
    assert re.fullmatch("runtime-[0-9a-f]{32}", entries.pop())
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in entries)
    assert all(os.listdir(folder / name) == ["double"] for name in entries)


@pytest.mark.parametrize("plant", [
    lambda program: program.chmod(0o777),
    lambda program: (program.unlink(), program.symlink_to("/bin/true")),
], ids=["writable", "link"])
def test_a_program_of_somebody_else_is_not_executed(folder, harness, plant):
    program = verilate(DOUBLE, "double", harness, headers={"value.h": "#define VALUE 3\n"})
    plant(program)
    assert compiled(harness) == "6"
    assert program.stat().st_mode & 0o777 == 0o700


def test_use_keeps_an_entry(folder, harness):
    program = verilate(DOUBLE, "double", harness, headers={"value.h": "#define VALUE 3\n"})
    os.utime(program.parent, (0, 0))
    compiled(harness)
    assert program.parent.stat().st_mtime > 0


def test_names_that_a_shell_reads(tmp_path, monkeypatch, harness):
    """Of the cache, of temporary files, of the packages, of the harness, and where it runs."""
    hostile = tmp_path / HOSTILE
    hostile.mkdir()
    shutil.copy(harness, hostile / "ha rn'ess.cpp")
    (hostile / "verilator").symlink_to(environment()["VERILATOR_ROOT"])
    env = environment() | {"VERILATOR_ROOT": str(hostile / "verilator")}
    monkeypatch.setattr(verilator, "environment", lambda: env)
    monkeypatch.setattr(tempfile, "tempdir", str(hostile))
    monkeypatch.setenv("XDG_CACHE_HOME", str(hostile))
    monkeypatch.setenv("TMPDIR", str(hostile))
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.chdir(hostile)
    # A comment that no cache has yet.
    text = f"{MAIN}// {tmp_path}\n"
    (hostile / "ha rn'ess.cpp").write_text(text, encoding="utf-8")
    assert compiled(hostile / "ha rn'ess.cpp") == "6"
    assert sorted(path.name for path in hostile.iterdir()) == ["ha rn'ess.cpp", "verilator"]
    assert not list(tmp_path.rglob("PWNED"))


def test_a_machine_without_python(folder, tmp_path, monkeypatch):
    """Of that name; "python3" is another one."""
    (tmp_path / "python").write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "main.cpp").write_text(f"{MAIN}// {tmp_path}\n", encoding="utf-8")
    assert compiled(tmp_path / "main.cpp") == "6"


PROCESS = """
import sys
from pathlib import Path
from gen.verify.verilator import verilate
text, harness = sys.argv[1:]
print(verilate(text, "double", Path(harness), headers={"value.h": "#define VALUE 5\\n"}))
"""


def test_two_processes_compile_the_same_at_once(folder, harness):
    command = [sys.executable, "-c", PROCESS, DOUBLE, str(harness)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    programs = [process.communicate(timeout=120)[0].strip() for process in started]
    assert programs[0] == programs[1]
    assert subprocess.run([programs[0]], capture_output=True, check=True).stdout == b"10"
    assert len(list(folder.iterdir())) == 3


def test_failure_says_why_and_where_the_log_is(folder, harness):
    with pytest.raises(SimulationError, match=r"^Verilator failed on double: .*syntax error"
                                              r".*\(log: .*double\.log\)$") as caught:
        verilate("module double(; endmodule\n", "double", harness)
    log = Path(re.search(r"\(log: (.*)\)$", str(caught.value))[1])
    assert "syntax error" in log.read_text(encoding="utf-8")
    assert log.parent == folder
    assert len(list(folder.iterdir())) == 3


def test_patience_grows_with_the_work():
    def config(channels):
        source = SourceConfig(MapConfig(channels, 1, 1, 3, 4), -1, (1, 1), (1, 1), (0, 0))
        core = CoreConfig("out", "l0_out", (source,), 1, 9, 4, 12, (), settle((), None))
        return ArrayConfig(source.map, (core,))

    assert 9 * 400 * 2 < patience(config(400)) < patience(config(800))
    # Of each turn, not of all.
    assert 400 * 2 < stillness(config(400)) < stillness(config(800)) < patience(config(800))
