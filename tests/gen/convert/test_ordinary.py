"""Networks as people have them: each converts, or the message says what to do."""

import numpy as np
import pytest
import torch
from torch import nn

from gen.convert.conversion import to_quantised
from gen.errors import ConversionError
from tests.ordinary import ORDINARY, REFUSED

torch.set_num_threads(1)


def trained(make, shape, seed=0):
    """A network whose batch norms have seen images."""
    torch.manual_seed(seed)
    model = make()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
        model.train()(torch.rand(16, *shape))
    return model.eval()


def images(shape, n=24, seed=1):
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", ORDINARY)
def test_converts(name):
    make, shape = ORDINARY[name]
    model = trained(make, shape)
    quantised, lowered, _ = to_quantised(model, images(shape), levels=31)
    network = quantised.eval().to_network("net")
    counts = np.random.default_rng(2).integers(0, 256, (8, *network.input_shape))
    trace = network.run(counts)
    with torch.no_grad():
        theirs = quantised.trace(torch.from_numpy(counts))
        real = lowered.real(_as_given(counts, lowered, shape))
        ((result, scores),) = lowered.parted(torch.from_numpy(trace.logits).float())
        own = result.of(scores * quantised.logit_step)
        wanted = model(real)
    for layer, value in trace.counts.items():
        assert np.array_equal(value, theirs[layer].numpy()), layer
    error = (own - wanted.reshape(own.shape)).abs().mean() / wanted.std()
    assert error < 0.15, f"{name}: {error:.3f}"


def _as_given(counts, lowered, shape):
    return torch.from_numpy(counts / 255).float().reshape(len(counts), *shape)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, shape, message = REFUSED[name]
    with pytest.raises(ConversionError, match=message):
        to_quantised(make().eval(), images(shape))
