"""How much memory the C driver takes: ``python -m tests.firmware.sizes``."""

import re
import subprocess
import tempfile
from pathlib import Path

from .compiling import SOURCES, compile_c

PROCESSORS = {"RV32IM": "riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32",
              "RV32IMC": "riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32",
              "Cortex-M0": "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb",
              "Cortex-M4": "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb"}

PARTS = ("driver", "serial", "pack", "text", "mapped")

CONTEXTS = ("", "_serial", "_mapped")


def text_bytes(compiler, source, folder):
    """Bytes of code and constants of a file."""
    compile_c(f"{compiler} -Os -ffreestanding", "-c", source, "-o", folder / "part.o")
    tool = compiler.split()[0].replace("-gcc", "-size")
    done = subprocess.run([tool, folder / "part.o"], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[1].split()[0])


def context_bytes(compiler, folder):
    """Bytes of a device's variables, of a serial line's, and of registers'."""
    names = [f"size{part}" for part in CONTEXTS]
    (folder / "contexts.c").write_text("#include \"spikeloom_driver.h\"\n" + "".join(
        f"extern char {name}[]; char {name}[sizeof(struct spikeloom{part})];\n"
        for name, part in zip(names, CONTEXTS, strict=True)))
    compile_c(f"{compiler} -ffreestanding", "-c", folder / "contexts.c", "-o", folder / "part.o")
    tool = compiler.split()[0].replace("-gcc", "-nm")
    done = subprocess.run([tool, "-S", folder / "part.o"], capture_output=True, text=True,
                          check=True)
    sizes = {name: int(size, 16) for size, name in
             re.findall(r"\w+ (\w+) B (\w+)", done.stdout)}
    return [sizes[name] for name in names]


def main():
    print(f"| processor | {' | '.join(f'`spikeloom_{part}.c`' for part in PARTS)} | a device | "
          f"its serial line | its registers |")
    print(f"| --- |{' --: |' * (len(PARTS) + len(CONTEXTS))}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {source.stem.removeprefix("spikeloom_"): source for source in SOURCES}
        for processor, compiler in PROCESSORS.items():
            code = [text_bytes(compiler, sources[part], folder) for part in PARTS]
            row = map("{:,}".format, [*code, *context_bytes(compiler, folder)])
            print(f"| {processor} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
