"""Whatever a device answers, the driver stays within its memory.

``python -m tests.firmware.test_fuzz SECONDS FOLDER`` fuzzes for longer; its inputs stay in the
folder.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.header import NAME, header
from hw.registers import RegisterMap

from .compiling import HERE, SOURCES, compile_c, require

REGISTERS = RegisterMap(input_words=390, classes=72, logit_words=2, quiet_words=2,
                        most_timesteps=7, memories=2)

FACTS = {
    "network": "fuzzed", "board": "no board", "digest": bytes(range(100, 132)).hex(),
    "link": {"baud": 10_000_000}, "registers": REGISTERS.as_dict(),
    "input": {"shape": (9, 5, 13), "word": 5, "bits": 13, "levels": 5000, "pixel_max": 1 << 20,
              "continues": True},
    "memories": [("fc1.weights", 70, 40), ("fc1.thresholds", 33, 3)],
    "network_digest": bytes(range(200, 232)).hex(),
    "output": {"positions": (2, 3), "settling": [f"layer{k}" for k in range(40)]},
}
"""A device whose samples, results and beats take several frames or words."""


def require_libfuzzer():
    """Skip the test if Clang or its runtime is missing."""
    require("clang")
    place = subprocess.run(["clang", "-print-runtime-dir"], capture_output=True, text=True,
                           check=True).stdout.strip()
    if not list(Path(place).glob("libclang_rt.fuzzer-*")):
        pytest.skip("Clang's libFuzzer is missing: on Debian, apt install libclang-rt-14-dev")


def target(folder, *options):
    """The fuzzer, a program."""
    require_libfuzzer()
    (folder / NAME).write_text(header(FACTS), encoding="utf-8")
    program = folder / "fuzz"
    compile_c("clang", "-O1", "-g", "-fsanitize=fuzzer,address,undefined",
              "-fno-sanitize-recover=all", f"-I{folder}", *options, *SOURCES, HERE / "fuzz.c", "-o",
              program)
    return program


def fuzz(program, seconds, corpus):
    """Run a fuzzer; its status, and what it said."""
    corpus.mkdir(exist_ok=True)
    done = subprocess.run(
        [program, f"-max_total_time={seconds}", "-max_len=8192", "-len_control=0", "-seed=1",
         "-print_final_stats=1", f"-artifact_prefix={corpus}/", corpus],
        capture_output=True, text=True, cwd=corpus, check=False)
    return done.returncode, done.stderr


def executions(said):
    return int(re.search(r"stat::number_of_executed_units: *(\d+)", said)[1])


@pytest.mark.slow
def test_ten_seconds(tmp_path):
    status, said = fuzz(target(tmp_path), 10, tmp_path / "corpus")
    assert status == 0, said
    assert executions(said) > 1000


@pytest.mark.parametrize("stop, where", [("RESULT", "read_result"), ("LOAD", "in load")])
def test_it_gets_as_far_as_that(tmp_path, stop, where):
    status, said = fuzz(target(tmp_path, f"-DSTOP_AT_{stop}"), 120, tmp_path / "corpus")
    assert status != 0
    assert where in said


def test_an_access_out_of_bounds_is_noticed(tmp_path, monkeypatch):
    """With one more logit in its description than in the memory of a result."""
    monkeypatch.setitem(FACTS, "registers", FACTS["registers"] | {"classes": 78})
    text = header(FACTS)
    monkeypatch.setattr(sys.modules[__name__], "header", lambda facts: re.sub(
        r"RESULT_WORDS \d+u", f"RESULT_WORDS {REGISTERS.result_words}u", text))
    status, said = fuzz(target(tmp_path), 60, tmp_path / "corpus")
    assert status != 0
    assert "heap-buffer-overflow" in said


if __name__ == "__main__":
    seconds, place = int(sys.argv[1]), Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    code, output = fuzz(target(place), seconds, place / "corpus")
    print(output[-1500:])
    sys.exit(code)
