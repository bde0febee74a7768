"""The libraries themselves, where they are installed: their modules, and the NIR files they write.

Without snnTorch and nirtorch (the extra ``bench``), SpikingJelly or Sinabs the tests of each are
skipped. What their neurons compute is tested without them in ``test_recorded.py``.
"""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from gen.convert.spiking.conversion import convert_module
from gen.convert.spiking.data import Data
from gen.convert.spiking.from_nir import convert_nir
from gen.convert.spiking.recorded import record
from gen.ir import artifact
from gen.plan.mapping import map_network
from gen.verify.rtl import compare

pytestmark = pytest.mark.filterwarnings("ignore")

DIGITS = load_digits().data[:60].astype(np.int64)
STEPS = 10


def wide(module):
    """With weights that make neurons spike."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=1.5 / parameter.shape[1] ** 0.5)
    return module


def snntorch(**options):
    library = pytest.importorskip("snntorch", reason="snnTorch is not installed (extra bench)")

    def leaky(n, beta, **more):
        return library.Leaky(torch.full((n,), beta), torch.ones(n), init_hidden=True, **more,
                             **options)

    return wide(nn.Sequential(nn.Linear(64, 30), leaky(30, 0.875), nn.Linear(30, 10),
                              leaky(10, 0.75)))


def spikingjelly():
    pytest.importorskip("spikingjelly", reason="SpikingJelly is not installed")
    from spikingjelly.activation_based import neuron
    return wide(nn.Sequential(nn.Linear(64, 30), neuron.LIFNode(2.0), nn.Linear(30, 10),
                              neuron.LIFNode(4.0, decay_input=False)))


def sinabs():
    layers = pytest.importorskip("sinabs.layers", reason="Sinabs is not installed")
    return wide(nn.Sequential(nn.Linear(64, 30), layers.IAFSqueeze(batch_size=60),
                              nn.Linear(30, 10), layers.IAFSqueeze(batch_size=60)))


MODULES = {"snntorch": snntorch, "snntorch zero": lambda: snntorch(reset_mechanism="zero"),
           "spikingjelly": spikingjelly, "sinabs": sinabs}

OPTIONS = {"pixel_max": 16, "input_levels": 16, "timesteps": STEPS, "bits": 12}


def original(module):
    """Spikes of a module, ``(T, N, neurons)`` of each layer."""
    _, trains = record(module, Data(DIGITS[..., None, None], 0, STEPS, 16, (64,)))
    return trains


def checked(network, trains, least):
    """Spikes of a network are those of the module, and all those of its Verilog are its own."""
    counts = network.encode(DIGITS)
    trace = network.run(counts)
    for layer, train in zip(network.neurons, trains.values(), strict=True):
        assert 0.01 < train.mean() < 2
        assert np.mean(trace.trains[layer.name].reshape(train.shape) == train) > least, layer.name
    config, image = map_network(network)
    found = compare(config, image, counts[:3], network.run(counts[:3]))
    assert found["mismatches"] == 0
    assert found["spikes"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_modules(name, tmp_path):
    module = MODULES[name]()
    np.save(tmp_path / "x.npy", DIGITS)
    told = convert_module(module, "m.py:build", calibration=tmp_path / "x.npy",
                          out=tmp_path / "n.npz", **OPTIONS)
    assert told["agreement"] > 0.95
    checked(artifact.load(tmp_path / "n.npz"), original(module), 0.99)


@pytest.mark.slow
def test_a_file_that_snntorch_writes(tmp_path):
    module = snntorch()
    pytest.importorskip("nirtorch", reason="nirtorch is not installed (extra bench)")
    import nir
    from snntorch.export_nir import export_to_nir
    nir.write(tmp_path / "n.nir", export_to_nir(module, torch.zeros(1, 64), ignore_dims=[0]))
    np.save(tmp_path / "x.npy", DIGITS)
    convert_nir(tmp_path / "n.nir", calibration=tmp_path / "x.npy", out=tmp_path / "n.npz",
                origin="snntorch", **OPTIONS)
    checked(artifact.load(tmp_path / "n.npz"), original(module), 0.99)


@pytest.mark.slow
def test_a_file_that_spikingjelly_writes(tmp_path):
    module = spikingjelly()
    pytest.importorskip("nirtorch", reason="nirtorch is not installed (extra bench)")
    from spikingjelly.activation_based.nir_exchange import export_to_nir
    export_to_nir(module, torch.zeros(1, 64), save_path=tmp_path / "n.nir")
    np.save(tmp_path / "x.npy", DIGITS)
    convert_nir(tmp_path / "n.nir", calibration=tmp_path / "x.npy", out=tmp_path / "n.npz",
                origin="spikingjelly", **OPTIONS)
    checked(artifact.load(tmp_path / "n.npz"), original(module), 0.99)
