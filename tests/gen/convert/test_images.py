"""Calibration images: as integers until they are needed, and the memory that a conversion takes."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import save_model

from gen.convert.conversion import load_calibration
from gen.convert.images import Pixels
from gen.convert.usercode import loaded

MODEL = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, 24, 3, 2, 1),
                         nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))
"""

CONVERT = """
import re, sys
from gen.convert.conversion import convert
target, weights, images, out = sys.argv[1:]
convert(target, weights=weights, calibration=images, out=out, require_agreement=0)
# Not ru_maxrss, which begins with that of the process that has started this one.
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.parametrize("pixel_max", [1, 255, 256, 65_535, (1 << 24) + 1, (1 << 32) - 1])
def test_pixels_are_the_nearest_real_numbers(pixel_max):
    """Whatever type the integers have."""
    raw = np.random.default_rng(0).integers(0, pixel_max, (20, 3, 2, 2), endpoint=True)
    narrow = Pixels(raw.astype(np.min_scalar_type(pixel_max)), pixel_max)
    assert (len(narrow), narrow.shape) == (20, (20, 3, 2, 2))
    assert np.array_equal(narrow[4:9].astype(np.float32),
                          (raw[4:9] / np.float32(pixel_max)).astype(np.float32))


@pytest.mark.parametrize("dtype, pixel_max, kept", [
    (np.uint8, 255, np.uint8), (np.int64, 255, np.uint8), (">i2", 1000, np.uint16),
    (np.float32, 255, np.uint8), (np.float64, 70_000, np.uint32),
])
def test_calibration_images_take_the_narrowest_type(dtype, pixel_max, kept, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 2, 3, 3)).astype(dtype)
    if images.dtype.kind == "f":
        images = rng.random((5, 2, 3, 3)).astype(dtype)
    np.save(tmp_path / "x.npy", images)
    found, _ = load_calibration(tmp_path / "x.npy", pixel_max)
    assert found.dtype == kept
    expected = (np.floor(images.astype(float) * pixel_max + 0.5) if images.dtype.kind == "f"
                else images)
    assert np.array_equal(found, expected)


def test_memory_does_not_follow_large_maps(tmp_path):
    """Batches of 100 images of 128x128 take 1.9 GB."""
    (tmp_path / "model.py").write_text(MODEL)
    target = f"{tmp_path}/model.py:build"
    with loaded(target) as module:
        save_model(module, str(tmp_path / "w.safetensors"))
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 128, 128), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    done = subprocess.run(
        [sys.executable, "-c", CONVERT, target, *(str(tmp_path / name) for name in (
            "w.safetensors", "x.npy", "net.npz"))],
        stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) < 600 << 10
