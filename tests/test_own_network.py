"""A network of the user's own, from a file outside the project to a build, by the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gen.data.datasets import load

from . import own_network


def gen(command, *arguments, cwd):
    done = subprocess.run([sys.executable, "-m", "gen", command, *map(str, arguments), "--json"],
                          cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A directory with the user's files and what ``convert`` made of them."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(own_network.__file__, folder / "model.py")
    torch.manual_seed(0)
    module = own_network.build()
    images = load("digits").train_images[:256].astype(np.float32) / 16
    module.train()(torch.from_numpy(images))  # batch norm has seen real images
    save_file(module.state_dict(), folder / "weights.safetensors")
    np.save(folder / "images.npy", images)
    result = gen("convert", "model.py:build", "--weights", "weights.safetensors", "--calibration",
                 "images.npy", "--bits", 4, "--input-levels", 15, "-o", "net.npz", cwd=folder)
    return folder, result


def test_it_converts(converted):
    _, result = converted
    assert len(result["layers"]) == 8
    assert result["weights"] == 440


def test_every_spike_of_its_verilog_is_right(converted):
    folder, _ = converted
    result = gen("verify", "net.npz", "--images", 8, cwd=folder)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert result["spikes"] == 8 * (3 * 8 * 64 + 3 * 8 * 16 + 8 + 10)


def test_it_fits_the_board(converted):
    folder, _ = converted
    result = gen("build", "net.npz", "--board", "arty-a7", "-o", "build", cwd=folder)
    assert result["dsps"] == result["latches"] == 0
    assert result["luts"] < result["budget"]["luts"]
    assert Path(folder, "build", "manifest.json").exists()
