"""A word that is read in the clock it is written in is never used.

Yosys is told so for ECP5 and iCE40 (``-no-rw-check``), whose block RAM promises neither the old
word nor the new one. Here such a read gives the old word with every bit inverted, which is neither.
"""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from gen.build import manifest
from gen.build.builder import build
from gen.data.datasets import load
from gen.ir import shipped
from tests.networks import convolutional, residual

_WRITE = re.compile(r"if \((?P<enable>.+)\)\n\s+(?P<memory>\\?\S+ ) *\[(?P<address>[^\]]+)\] <= ")
_READ = r"(\w+) <= {memory} *\[([^\]]+)\];"


def poisoned(verilog):
    """Verilog whose memories are spoilt where a read and a write meet, and how many are."""
    modules, spoilt = re.split(r"(?<=endmodule\n)", verilog), 0
    for number, module in enumerate(modules):
        for write in _WRITE.finditer(module):
            memory, enable, address = write["memory"], write["enable"], write["address"]
            modules[number], found = re.subn(
                _READ.format(memory=re.escape(memory)),
                lambda read, enable=enable, address=address, memory=memory:
                    f"{read[1]} <= ({enable}) && ({address}) == ({read[2]}) ? "
                    f"~{memory} [{read[2]}] : {memory} [{read[2]}];", modules[number])
            spoilt += found
    return "".join(modules), spoilt


def infer(out):
    done = subprocess.run([sys.executable, "-m", "host", "infer", str(out / "images.npy"),
                           "--board", str(out), "--port", "virtual", "--json"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def random_images(network, count):
    rng = np.random.default_rng(5)
    shape = (count, *network.input_shape)
    return rng.integers(0, 256, shape, dtype=np.uint8) * (rng.random(shape) < 0.6)


@pytest.mark.parametrize("name", [
    "convolutional", pytest.param("residual", marks=pytest.mark.slow),
    pytest.param("digits", marks=pytest.mark.slow)])
def test_never_used(name, tmp_path):
    if name == "digits":
        network = shipped.find(name)
        images = load("digits").test_images[:200]
    else:
        network = {"convolutional": convolutional, "residual": residual}[name]()
        images = random_images(network, 40)
    build(network, board="ice40-hx8k", out=tmp_path, synthesise=False)
    path = tmp_path / "manifest.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    verilog, spoilt = poisoned((tmp_path / "top.v").read_text())
    assert spoilt >= 6
    (tmp_path / "top.v").write_text(verilog)
    manifest.write(tmp_path, facts, facts["files"])
    np.save(tmp_path / "images.npy", images)
    assert infer(tmp_path)["logits"] == network.predict(images).tolist()
