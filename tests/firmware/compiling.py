"""Compilers for the C driver, and what they are told."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["DRIVER", "EXAMPLES", "HERE", "PACKAGES", "SANITIZERS", "SOURCES", "WARNINGS",
           "compile_c", "enumerators", "require"]

HERE = Path(__file__).parent
DRIVER, EXAMPLES = HERE.parents[1] / "firmware/driver", HERE.parents[1] / "firmware/examples"
SOURCES = sorted(DRIVER.glob("*.c"))

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion",
            "-Wsign-conversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes",
            "-Wvla", "-Wundef")

SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

PACKAGES = {"gcc": "gcc", "clang": "clang", "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
            "arm-none-eabi-gcc": "gcc-arm-none-eabi", "qemu-system-riscv32": "qemu-system-misc"}
"""Program -> the Debian package that has it."""


def require(program):
    """Skip the test if a program is missing."""
    if not shutil.which(program):
        pytest.skip(f"{program} is missing: on Debian, apt install {PACKAGES[program]}")


def compile_c(compiler, *arguments):
    """Run a compiler. Its warnings are errors."""
    program, *options = compiler.split()
    require(program)
    done = subprocess.run([program, *WARNINGS, *options, f"-I{DRIVER}", *map(str, arguments)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def enumerators(prefix, enum):
    """Values of an enumeration in the driver's header, without the prefix of their names."""
    text = (DRIVER / "spikeloom_driver.h").read_text(encoding="utf-8")
    body = re.search(rf"enum {enum} \{{(.*?)\}}", text, re.DOTALL)[1]
    names = re.findall(rf"{prefix}(\w+)(?: = (\d+))?", re.sub(r"/\*.*?\*/", "", body,
                                                               flags=re.DOTALL))
    return {name: int(value or place) for place, (name, value) in enumerate(names)}
