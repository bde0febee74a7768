import os
import re
import shutil
import subprocess

import pytest

from gen.errors import SimulationError
from gen.verilator import environment, patience, verilate
from hw.config import ArrayConfig, CoreConfig, MapConfig, SourceConfig

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


@pytest.fixture
def harness(tmp_path):
    path = tmp_path / "main.cpp"
    path.write_text(MAIN)
    return path


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


def test_the_same_content_is_compiled_once(tmp_path, harness):
    said = []

    def run(value):
        program = verilate(DOUBLE, "double", harness, tmp_path / "build", progress=said.append,
                           headers={"value.h": f"#define VALUE {value}\n"})
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout

    assert run(3) == run(3) == "6"
    assert said == ["compiling double with Verilator"]
    assert run(4) == "8"
    assert len(said) == 2


def test_failure_says_why_and_where_the_log_is(tmp_path, harness):
    with pytest.raises(SimulationError, match=r"^Verilator failed on double: .*syntax error"
                                              r".*\(log: .*double\.log\)$") as caught:
        verilate("module double(; endmodule\n", "double", harness, tmp_path)
    log = re.search(r"\(log: (.*)\)$", str(caught.value))[1]
    with open(log) as file:
        assert "syntax error" in file.read()


def test_patience_grows_with_the_work():
    def config(channels):
        source = SourceConfig(MapConfig(channels, 1, 1, 3, 4), -1, (1, 1), (1, 1), (0, 0))
        core = CoreConfig("out", "l0_out", (source,), 1, 9, 4, 12, (), None)
        return ArrayConfig(source.map, (core,))

    assert 9 * 400 * 2 < patience(config(400)) < patience(config(800))
