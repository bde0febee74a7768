"""What a conversion costs a network that was trained without any module of ours, and what tuning
wins back.

The network is a plain convolutional one of MNIST. Accuracies are those of the 10,000 test images.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gen.convert.conversion import to_quantised
from gen.convert.tuning import Tuning, tuned
from gen.data.datasets import load
from gen.ir.logits import accuracy

from . import keys
from .benchmark import Benchmark

DATASET = "mnist"
EPOCHS, BATCH = 3, 100
CALIBRATION, TUNED = 1_000, 20_000
OPTIONS = {"default": {}, "4-bit": {"bits": 4, "levels": 3}}


def _module():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10))


def _trained(x, y):
    torch.manual_seed(0)
    module = _module()
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(module(x[chosen]), y[chosen]).backward()
            optimiser.step()
    return module.eval()


def measure(case):
    """``float``, ``integer`` and ``tuned``: accuracies of the module, and of its integers before
    and after tuning."""
    data = load(DATASET)
    images = data.train_images.astype(np.float32) / data.pixel_max
    module = _trained(torch.from_numpy(images), torch.from_numpy(data.train_labels))
    with torch.no_grad():
        test = torch.from_numpy(data.test_images.astype(np.float32) / data.pixel_max)
        real = accuracy(module(test).numpy(), data.test_labels)
    quantised, lowered, _ = to_quantised(module, images[:CALIBRATION], **OPTIONS[case["options"]])

    def integers():
        network = quantised.eval().to_network(DATASET, pixel_max=data.pixel_max)
        return accuracy(network.predict(data.test_images), data.test_labels)
    before = integers()
    tuned(quantised, module, lowered, images[:TUNED], data.train_labels[:TUNED],
          Tuning(progress=False))
    return {"float": real, "integer": before, "tuned": integers()}


BENCHMARK = Benchmark("tuned", [{"options": name} for name in OPTIONS], measure,
                      (*keys.PLAN, "gen/convert/**/*.py", "bench/tuned.py"))
