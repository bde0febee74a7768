"""The driver as a bare-metal program: RISC-V in QEMU, its UART at the virtual board."""

import subprocess

import numpy as np
import pytest

from gen.build.builder import build
from gen.data import datasets
from gen.ir.shipped import find
from host.virtual import virtual_board
from tests.networks import convolutional, linear

from .compiling import EXAMPLES, SOURCES, compile_c, require

RISCV = "riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 -Os -ffreestanding -nostdlib"


def program(board, raw, folder):
    """The example for RISC-V with images in it."""
    rows = ",\n".join(f"{{{', '.join(map(str, image))}}}"
                      for image in raw.reshape(len(raw), -1).tolist())
    (folder / "images.h").write_text(
        f"#include \"spikeloom.h\"\n\nstatic const uint8_t images[][SPIKELOOM_PIXELS] = {{\n"
        f"{rows}\n}};\n")
    example, binary = EXAMPLES / "riscv_virt", folder / "classify.elf"
    compile_c(RISCV, f"-I{folder}", f"-I{board}", *SOURCES, *example.glob("*.c"),
              example / "start.S", "-T", example / "virt.ld", "-lgcc", "-o", binary)
    return binary


def emulate(binary, port):
    """Run a program whose UART is at a serial port; its status, and what it printed."""
    require("qemu-system-riscv32")
    done = subprocess.run(
        ["qemu-system-riscv32", "-machine", "virt", "-bios", "none", "-display", "none",
         "-monitor", "none", "-chardev", f"serial,id=line,path={port}", "-serial", "chardev:line",
         "-chardev", "stdio,id=out,signal=off", "-semihosting-config",
         "enable=on,target=native,chardev=out", "-kernel", str(binary)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


def test_random_images(builds, images, tmp_path):
    network, board = linear(), builds("linear")
    raw = images(network, 20)
    binary = program(board, raw, tmp_path)
    with virtual_board(board) as port:
        status, printed = emulate(binary, port)
    assert (status, printed.split()) == (
        0, [str(label) for label in network.predict(raw).argmax(axis=1)])


@pytest.mark.slow
def test_digits(tmp_path):
    network = find("digits-mlp")
    build(network, board="arty-a7", out=tmp_path / "board", synthesise=False)
    raw = datasets.load("digits").test_images[:20]
    binary = program(tmp_path / "board", raw, tmp_path)
    with virtual_board(tmp_path / "board") as port:
        status, printed = emulate(binary, port)
    assert status == 0
    assert np.array_equal([int(label) for label in printed.split()],
                          network.predict(raw).argmax(axis=1))


def test_a_board_of_another_network(builds, images, tmp_path):
    """The program was compiled for another build, and says so."""
    binary = program(builds("convolutional"), images(convolutional(), 1), tmp_path)
    with virtual_board(builds("linear")) as port:
        status, printed = emulate(binary, port)
    assert status == 1
    assert printed == ("the device holds another build than spikeloom.h describes; program it "
                       "again\n")
