"""The demonstration's bookkeeping; the virtual board itself has tests of its own."""

import json

import numpy as np
import pytest

from gen.cli import demo as demonstration
from gen.cli import main as cli
from gen.errors import SimulationError
from gen.ir.shipped import find

BUILT = {"board": "arty-a7", "clock_hz": 100_000_000, "luts": 3000, "brams": 1.5, "dsps": 0,
         "bitstream": None}


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A demonstration whose build is made up and whose device is ``answer``."""
    monkeypatch.setattr(demonstration, "build", lambda network, *, board, out: BUILT)
    return tmp_path


def answer(out, *, wrong=0):
    """What a device says of the images; ``wrong`` logits of the first are off by one."""
    images = np.load(out / "images.npy")
    logits = find("digits").predict(images)
    logits[0, :wrong] += 1
    return {"logits": logits.tolist(), "predictions": logits.argmax(axis=1).tolist(),
            "cycles": [2000, 3000] * (len(images) // 2), "retries": 0}


def test_agreement(out, monkeypatch, capsys):
    monkeypatch.setattr(demonstration, "_infer", answer)
    assert cli.main(["demo", "--limit", "10", "-o", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "summary.json").read_text())
    assert (summary["images"], summary["mismatches"], summary["bitstream"]) == (10, 0, None)
    assert (summary["luts"], summary["brams"], summary["dsps"]) == (3000, 1.5, 0)
    assert summary["cycles_per_image"] == 2500
    assert summary["microseconds_per_image"] == pytest.approx(25)
    assert summary["accuracy"] >= 0.9


def test_a_wrong_logit_fails(out, monkeypatch, capsys):
    monkeypatch.setattr(demonstration, "_infer", lambda out: answer(out, wrong=2))
    assert cli.main(["demo", "--limit", "10", "-o", str(out)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "mismatches against PyTorch  2" in lines
    assert "block RAMs                  1.5" in lines


def test_host_fails(tmp_path):
    with pytest.raises(SimulationError, match=r"^the host driver failed with status 1: "):
        demonstration._infer(tmp_path)
