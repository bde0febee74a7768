"""The driver compiles without a warning for every processor, and needs nothing around it."""

import re
import subprocess

import pytest

from .compiling import DRIVER, EXAMPLES, PACKAGES, SOURCES, compile_c, require

PAGE = DRIVER.parents[1] / "docs/firmware.md"

FREESTANDING = "-ffreestanding"

COMPILERS = {
    "host": f"gcc -Os {FREESTANDING}",
    "host-clang": f"clang -O2 {FREESTANDING}",
    "host-unoptimised": f"gcc -O0 {FREESTANDING}",
    "rv32im": f"riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 -Os {FREESTANDING}",
    "rv64imac": f"riscv64-unknown-elf-gcc -march=rv64imac -mabi=lp64 -mcmodel=medany -O2 "
                f"{FREESTANDING}",
    "cortex-m0": f"arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb -Os {FREESTANDING}",
    "cortex-m4": f"arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os {FREESTANDING}",
}

LIBRARY = {"memcpy", "memset", "memmove", "memcmp"}
"""What a compiler may call, and every freestanding program has."""

ARITHMETIC = re.compile(r"__aeabi_|__(u?div|u?mod|mul|ashl|lshr)[sd]i3$|__gnu_thumb1_case_")
"""Functions of the compiler's own library, for integers."""

FLOATING = re.compile(r"__aeabi_[fd]|__(add|sub|mul|div|float\w*|fix\w*)[sd]f")


def undefined(compiler, *objects):
    """Symbols that object files need and none of them has."""
    tool = re.sub(r"(gcc|clang)$", "nm", compiler.split()[0]).replace("-gcc", "-nm")
    done = subprocess.run([tool, *map(str, objects)], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    needed = {line[1] for line in lines if len(line) == 2 and line[0] == "U"}
    return needed - {line[2] for line in lines if len(line) == 3}


@pytest.mark.parametrize("name", COMPILERS)
def test_freestanding(name, tmp_path):
    objects = [tmp_path / f"{source.stem}.o" for source in SOURCES]
    for source, out in zip(SOURCES, objects, strict=True):
        compile_c(COMPILERS[name], "-c", source, "-o", out)
    needed = undefined(COMPILERS[name], *objects)
    assert not [symbol for symbol in needed if FLOATING.match(symbol)]
    assert not {symbol for symbol in needed - LIBRARY if not ARITHMETIC.match(symbol)}


@pytest.mark.parametrize("name", COMPILERS)
def test_header_of_a_build(name, builds, tmp_path):
    """By itself, and as one of several files."""
    (tmp_path / "one.c").write_text("""\
#include "spikeloom.h"

const struct spikeloom_build *one(void);

const struct spikeloom_build *one(void)
{
    return &spikeloom_build;
}
""")
    compile_c(COMPILERS[name], f"-I{builds('linear')}", "-c", tmp_path / "one.c", "-o",
              tmp_path / "one.o")


@pytest.mark.parametrize("name", COMPILERS)
def test_example_of_the_page(name, builds, tmp_path):
    (example,) = re.findall(r"^```c\n(.*?)^```", PAGE.read_text(encoding="utf-8"),
                            re.MULTILINE | re.DOTALL)
    (tmp_path / "example.c").write_text(example)
    # A program would declare its functions in a header.
    compile_c(f"{COMPILERS[name]} -Wno-missing-prototypes", f"-I{builds('linear')}", "-c",
              tmp_path / "example.c", "-o", tmp_path / "example.o")


def test_a_header_of_another_version(builds, tmp_path):
    text = (builds("linear") / "spikeloom.h").read_text(encoding="utf-8")
    (tmp_path / "spikeloom.h").write_text(text.replace("PROTOCOL != 3u", "PROTOCOL != 2u"))
    require("gcc")
    done = subprocess.run(["gcc", f"-I{DRIVER}", "-fsyntax-only", tmp_path / "spikeloom.h"],
                          capture_output=True, text=True, check=False)
    assert done.returncode
    assert "are of different versions: build the network again" in done.stderr


@pytest.mark.parametrize("program, package", PACKAGES.items())
def test_a_missing_program_is_a_skip(program, package, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match=rf"^{program} is missing: on Debian, apt "
                                                    rf"install {package}$"):
        require(program)


@pytest.mark.parametrize("file", [*sorted(DRIVER.glob("*.[ch]")), *sorted(EXAMPLES.rglob("*.*"))],
                         ids=lambda file: file.name)
def test_style(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
    assert not [line for line in lines if len(line) > 100 or line != line.rstrip()
                or "\t" in line]


def test_functions_are_short():
    for source in [*SOURCES, *EXAMPLES.rglob("*.c")]:
        bodies = re.findall(r"^\{\n(.*?)^\}", source.read_text(encoding="utf-8"),
                            re.MULTILINE | re.DOTALL)
        assert bodies
        assert max(body.count("\n") for body in bodies) < 60
