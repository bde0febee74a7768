"""Python over a serial line, Python over PCI Express and C over a serial line: one network, the
whole test set, and the same logits."""

import json

import numpy as np
import pytest

from gen.build.builder import build
from gen.data.datasets import load
from gen.ir import shipped
from host.cli import main
from host.virtual import virtual_board
from tests.firmware.compiling import EXAMPLES, SANITIZERS, SOURCES, compile_c
from tests.firmware.test_terminal import logits, run


@pytest.mark.slow
def test_three_hosts_get_the_same_logits(tmp_path, capfd):
    network, data = shipped.find("digits-mlp"), load("digits")
    raw = network.shaped(data.test_images)
    assert len(raw) == 355
    np.save(tmp_path / "images.npy", raw)
    serial, express = tmp_path / "serial", tmp_path / "express"
    build(network, board="arty-a7", out=serial, synthesise=False)
    build(network, board="nitefury", out=express, link="pcie", synthesise=False)
    found = []
    for folder, port in ((serial, "virtual"), (express, "virtual-pcie")):
        assert main(["infer", str(tmp_path / "images.npy"), "--board", str(folder), "--port", port,
                     "--json"]) == 0
        found.append(json.loads(capfd.readouterr().out)["logits"])
    program = tmp_path / "classify"
    compile_c("gcc", *SANITIZERS, f"-I{serial}", *SOURCES, EXAMPLES / "posix/classify.c", "-o",
              program)
    with virtual_board(serial) as port:
        found.append(logits(run(program, port, raw))[1].tolist())
    expected = network.predict(raw).tolist()
    assert found == [expected] * 3
