import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from gen.cli.main import main
from gen.convert.calibration import _Range
from gen.convert.conversion import convert
from gen.convert.options import Options
from gen.convert.qcfs import Qcfs
from gen.convert.usercode import loaded
from gen.errors import ArtifactError, ConversionError, DataError, NetworkError
from gen.ir.artifact import load
from gen.ir.run import run
from gen.verify.rtl import choose_images

torch.set_num_threads(1)

MODEL = '''
import torch
from torch import nn
from helper import width

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        out = self.pointwise(self.relu(self.norm(self.depthwise(x))))
        out += x
        return self.relu(out)

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.MaxPool2d(2), Block(width),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))

def number():
    return 3

def broken():
    raise RuntimeError("two\\nlines")
'''


def state(target):
    with loaded(target) as module:
        return module.state_dict()


@pytest.fixture
def files(tmp_path):
    """A user's file with a neighbour, weights and calibration images."""
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "helper.py").write_text("width = 8\n")
    target = f"{tmp_path}/model.py:build"
    weights, images = tmp_path / "w.safetensors", tmp_path / "x.npy"
    save_file(state(target), weights)
    rng = np.random.default_rng(0)
    np.save(images, rng.integers(0, 256, (150, 1, 10, 12), dtype=np.uint8))
    return {"target": target, "weights": weights, "calibration": images,
            "out": tmp_path / "net.npz"}


def test_residual_network_with_plain_relu(files):
    result = convert(**files, bits="8,3.depthwise=4", levels=31)
    assert json.loads(json.dumps(result)) == result
    assert result["layers"] == {"0": "neurons", "2": "max pool", "3.depthwise": "neurons",
                                "3.pointwise": "neurons", "4": "sum pool", "6": "readout"}
    assert result["weights"] == 8 * 9 + 8 * 9 + 8 * 8 + 8 + 4 * 8
    assert result["agreement"] > 0.9
    network = load(result["network"])
    assert network.digest == result["digest"]
    assert network.name == "net"
    assert network.layers[2].synapses[0].bits == 4
    assert (network.input_levels, network.pixel_max) == (255, 255)
    images = np.load(files["calibration"])
    assert np.array_equal(network.samples, images[:32])
    assert network.metadata["agreement"] == result["agreement"]


@pytest.mark.parametrize("method", ["casc", "st-bif"])
def test_methods_with_time_steps(method, files, tmp_path, caplog):
    images = np.load(files["calibration"])
    once = load(convert(**files, levels=3, method=method, schedule="settle")["network"])
    assert (once.metadata["method"], once.metadata["schedule"]) == (method, "settle")
    result = convert(**files | {"out": tmp_path / "t.npz"}, levels=3, method=method)
    network = load(result["network"])
    assert json.loads(json.dumps(result)) == result
    # Three layers of neurons on the longest path.
    assert (result["method"], result["quiet"], result["timesteps"]) == (method, 1.0, 7)
    assert result["timesteps"] == network.dynamics.timesteps == network.metadata["timesteps"]
    assert result["quiet_steps"] <= result["quiet_bound"] == 7
    assert (network.metadata["method"], network.metadata["schedule"]) == (method, "step")
    assert np.array_equal(network.predict(images), once.predict(images))
    assert not any("time-step" in message for message in caplog.messages)
    few = convert(**files | {"out": tmp_path / "f.npz"}, levels=3, method=method,
                  **{"sleep": 0} if method == "casc" else {"timesteps": 2})
    assert few["quiet"] < 1
    more = "sleep" if method == "casc" else "time-steps"
    assert any(message.startswith("warning: after the last time-step neurons still spike in ")
               and message.endswith(f"give more {more}") for message in caplog.messages)


@pytest.mark.parametrize("options, message", [
    ({"timesteps": 3}, "--timesteps needs a method (--method)"),
    ({"burst": 3}, "--burst needs --method group or burst"),
    ({"schedule": "step"}, "the schedule 'step' needs a method (--method)"),
    ({"method": "qcfs", "timesteps": 65}, "qcfs: there are 65 time-steps; 64 are the most"),
])
def test_time_steps_that_cannot_be(options, message, files):
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}$"):
        convert(**files, **options)


def test_kinds_of_calibration_images(files):
    images = np.load(files["calibration"])
    digest = convert(**files)["digest"]
    for other in images[:, 0], images / 255, (images / 255).astype(np.float32):
        np.save(files["calibration"], other)
        assert convert(**files)["digest"] == digest


def test_same_files_same_bytes(files):
    convert(**files)
    first = files["out"].read_bytes()
    convert(**files)
    assert files["out"].read_bytes() == first


def test_qcfs_keeps_its_trained_step_and_levels(tmp_path, files):
    (tmp_path / "model.py").write_text(
        "from torch import nn\nfrom gen.convert.qcfs import Qcfs\n"
        "def build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(120, 9), Qcfs(5), nn.Linear(9, 3))")
    module = nn.Sequential(nn.Flatten(), nn.Linear(120, 9), Qcfs(5, step=0.25), nn.Linear(9, 3))
    save_file(module.state_dict(), files["weights"])
    result = convert(**files, input_levels=15)
    assert result["steps"] == {"1": 0.25}
    assert load(result["network"]).levels == {"input": 15, "1": 5}


def test_foreign_activation(tmp_path, files):
    (tmp_path / "model.py").write_text('''
import torch
from torch import nn
class QCFS(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.t = nn.Parameter(torch.tensor(1.5)), 3
    def forward(self, x):
        return (x / self.up * self.t + 0.5).floor().clamp(0, self.t) / self.t * self.up
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(120, 9), QCFS(), nn.Linear(9, 3))
''')
    save_file(state(files["target"]), files["weights"])
    assert convert(**files, activation="model.QCFS,up/t,t")["steps"] == {"1": 0.5}
    with pytest.raises(ConversionError, match=r"^function 'floor' \(in 2, model\.py:\d+\): if"):
        convert(**files)


VECTORS = '''
from torch import nn
from gen.convert.qcfs import Qcfs
def build():
    return nn.Sequential(nn.Linear(20, 9), Qcfs(7, 0.1), nn.Linear(9, 3))
'''


def test_vectors_are_taken_by_all(tmp_path, files, capsys):
    (tmp_path / "model.py").write_text(VECTORS)
    save_file(state(files["target"]), files["weights"])
    vectors = np.random.default_rng(0).integers(0, 256, (40, 20), dtype=np.uint8)
    np.save(files["calibration"], vectors)
    network = load(convert(**files)["network"])
    assert network.input_shape == (20, 1, 1)
    assert np.array_equal(network.samples, vectors[:32, :, None, None])
    result = run(network, images_file=files["calibration"], progress=False)
    assert result["predictions"] == network.predict(vectors).argmax(1).tolist()
    images, _ = choose_images(network, 5, 0, None, None, files["calibration"])
    assert np.array_equal(network.encode(images), network.encode(vectors[:5, :, None, None]))


def test_levels_that_change_nothing(tmp_path, files, caplog):
    convert(**files, levels=31)
    assert "changes nothing" not in caplog.text
    (tmp_path / "model.py").write_text(VECTORS)
    save_file(state(files["target"]), files["weights"])
    np.save(files["calibration"], np.random.default_rng(0).integers(0, 256, (40, 20)))
    convert(**files)
    assert "changes nothing" not in caplog.text
    convert(**files, levels=31)
    assert "levels: 31 changes nothing, because the network has no plain ReLU; " in caplog.text


def test_agreement_is_said_and_can_be_required(tmp_path, files, caplog):
    (tmp_path / "model.py").write_text(VECTORS)
    torch.manual_seed(0)
    save_file({key: torch.randn(value.shape) if value.ndim > 1 else value * 0 + 0.1
               for key, value in state(files["target"]).items()}, files["weights"])
    np.save(files["calibration"], np.random.default_rng(0).integers(0, 256, (200, 20)))
    agreement = convert(**files, require_agreement=0.9)["agreement"]
    assert agreement > 0.97
    assert not any("time-step" in message for message in caplog.messages)
    files["out"].unlink()
    coarse = {"bits": 2}
    refused(files, r"^the integers classify \d+\.\d\d% of the 200 calibration images as the "
                   r"module does, less than the 90\.00% required; more --levels", **coarse,
            require_agreement=0.9)
    low = convert(**files, **coarse)["agreement"]
    (message,) = caplog.messages
    assert 0.2 < low < 0.9
    assert message.startswith(f"warning: the integers classify {low:.2%} of the 200 calibration")


@pytest.mark.parametrize("options, labels, option", [
    ({"levels": 3}, None, "--levels"), ({}, "y.npy", "--labels")])
def test_what_means_nothing_for_neurons_of_the_users(options, labels, option):
    with pytest.raises(ConversionError, match=f"so {option} means nothing; leave it out$"):
        Options(**options).require_none_of_neurons(labels)


def test_require_agreement_is_a_share(capsys):
    for share in "1.01", "-0.1", "nan", "inf", "most":
        with pytest.raises(SystemExit):
            main(["convert", "model.py:build", "--weights", "w", "--calibration", "x", "-o", "y",
                  f"--require-agreement={share}"])
        assert "--require-agreement: " in capsys.readouterr().err


@pytest.mark.parametrize("pixel_max", [0, 1 << 60, 10**400])
def test_greatest_pixel(files, pixel_max):
    refused(files, "^pixel_max must be ", NetworkError, pixel_max=pixel_max)


def test_too_many_weights_are_refused_before_the_work(files, monkeypatch):
    monkeypatch.setattr("gen.ir.artifact.MAX_WEIGHTS", 200)
    monkeypatch.setattr("gen.convert.conversion.calibrate", None)
    refused(files, "^a network of 248 weights is larger than any that can be saved: at most 200$",
            ArtifactError)


def test_what_the_module_prints_is_not_the_result(tmp_path, files, capfd):
    (tmp_path / "model.py").write_text(MODEL + """
class Talks(nn.Sequential):
    def forward(self, x):
        print("forward")
        return super().forward(x)
print("file")
silent = build
def build():
    print("function")
    return Talks(*silent())
""")
    arguments = ["convert", files["target"], "--weights", str(files["weights"]), "--calibration",
                 str(files["calibration"]), "-o", str(files["out"]), "--json"]
    assert main(arguments) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["network"] == str(files["out"])
    assert all(word in err for word in ("file", "function", "forward"))


def test_a_module_that_exits(tmp_path, files):
    (tmp_path / "model.py").write_text(MODEL + """
class Exits(nn.Sequential):
    def forward(self, x):
        raise SystemExit(3)
silent = build
def build():
    return Exits(*silent())
""")
    refused(files, r"^torch\.fx can't trace Exits \(SystemExit: 3, model\.py:\d+\); forward")


def test_pruned_weights_are_those_of_the_file(tmp_path, files):
    (tmp_path / "model.py").write_text(MODEL + """
from torch.nn.utils import prune
whole = build
def build():
    module = whole()
    torch.manual_seed(7)
    for layer in module[0], module[3].pointwise, module[6]:
        nn.init.normal_(layer.weight)
        prune.l1_unstructured(layer, "weight", 0.5)
    return module
""")
    good = {key: torch.randn(value.shape) if key.endswith("_orig") else value
            for key, value in state(files["target"]).items()}
    save_file(good, files["weights"])
    assert convert(**files, levels=63, require_agreement=0.95)
    network = load(files["out"])
    kept = good["0.weight_mask"].bool().numpy()
    assert not network.layers[0].synapses[0].weights[~kept].any()
    assert network.layers[0].synapses[0].weights[kept].any()


TIED = """
from torch import nn
def build():
    net = nn.Sequential(nn.Flatten(), nn.Linear(120, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(),
                        nn.Linear(9, 9))
    net[5].weight = net[3].weight
    return net
"""


def test_tied_weights(tmp_path, files):
    (tmp_path / "model.py").write_text(TIED)
    with loaded(files["target"]) as module:
        save_model(module, str(files["weights"]))
    assert convert(**files, require_agreement=0.9)["weights"] == 120 * 9 + 2 * 81
    network = load(files["out"])
    assert np.array_equal(*(np.sign(network.layers[k].synapses[0].weights) for k in (1, 2)))
    kept = files["weights"].read_bytes()
    files["out"].unlink()
    whole = {key: value.clone() for key, value in state(files["target"]).items()}
    save_file({**whole, "5.weight": whole["5.weight"] + 1}, files["weights"])
    refused(files, "tensors '3.weight' and '5.weight' differ, but are one tensor of the module$")
    files["weights"].write_bytes(kept)
    (tmp_path / "model.py").write_text(TIED.replace("    net[5].weight = net[3].weight\n", ""))
    refused(files, "lacks tensor '5.weight'")


def test_weights_of_eight_bit_floats(files):
    good = state(files["target"])
    save_file({key: value.to(torch.float8_e4m3fn) if value.ndim > 1 else value
               for key, value in good.items()}, files["weights"])
    assert convert(**files, levels=63, require_agreement=0.9)


MLP = """
from torch import nn
class Own(nn.ReLU):
    def get_extra_state(self):
        return {"a": 1}
    def set_extra_state(self, state):
        pass
def build():
    return nn.Sequential(nn.Linear(20, 9), Own(), nn.Linear(9, 3))
"""


@pytest.fixture
def mlp(tmp_path, files):
    """Writes the weights of an MLP with activations that are so many times as large."""
    (tmp_path / "model.py").write_text(MLP)
    np.save(files["calibration"], np.random.default_rng(0).integers(0, 256, (200, 20)))

    def write(gain=1.0):
        rng = torch.Generator().manual_seed(0)
        first, bias, last, scores = (torch.randn(*shape, generator=rng)
                                     for shape in ((9, 20), (9,), (3, 9), (3,)))
        save_file({"0.weight": first * gain, "0.bias": bias * gain, "2.weight": last / gain,
                   "2.bias": scores}, files["weights"])
    write()
    return write


def test_extra_state_is_not_looked_for(files, mlp):
    assert convert(**files, levels=63, require_agreement=0.95)


@pytest.mark.parametrize("gain", [1e-12, 1e-8, 1e12, 1e18])
def test_activations_of_any_size(files, mlp, gain):
    """Neither the smallest nor the largest change what the integers decide."""
    convert(**files, levels=63)
    plain = load(files["out"])
    mlp(gain)
    assert convert(**files, levels=63)["agreement"] > 0.95
    scaled = load(files["out"])
    for a, b in zip(plain.layers, scaled.layers, strict=True):
        # Which side of a half float32 rounds to.
        assert np.abs(a.synapses[0].weights - b.synapses[0].weights).max() <= 1


def test_relus_that_never_fire(files, mlp):
    images = np.zeros((50, 20), np.uint8)
    images[0, 0] = 1
    np.save(files["calibration"], images)
    state = load_file(files["weights"])
    save_file({**state, "0.bias": -1 - state["0.bias"].abs()}, files["weights"])
    refused(files, r"^0: its ReLU is 0 for all calibration images, which leaves its range open; ")


def test_images_of_one_class_say_little(files, mlp, caplog):
    state = load_file(files["weights"])
    save_file({**state, "2.bias": torch.tensor([100.0, 0, 0])}, files["weights"])
    convert(**files)
    assert "names one class for all calibration images" in caplog.text


@pytest.mark.parametrize("gain", [1e-33, 1e33])
def test_steps_beyond_float32(files, mlp, gain):
    mlp(gain)
    refused(files, r"^0: the step \S+ is not in 1e-30\.\.1e\+30; scale the weights before")


def test_calibration_keeps_little(files):
    """Memory must not grow with the images."""
    seen = _Range(10**7)
    for _ in range(100):
        seen.add(torch.rand(1000, 100))
    assert len(seen._kept) <= 101_000
    assert seen.best_step(15, floor=False) == pytest.approx(1 / 15, rel=0.05)


def test_the_working_directory_stays(tmp_path, files, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "model.py").write_text(MODEL + """
import os
class Moves(nn.Sequential):
    def forward(self, x):
        os.chdir(os.environ['FOLDER'])
        return super().forward(x)
still = build
def build():
    os.chdir(os.environ["FOLDER"])
    return Moves(*still())
""")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLDER", str(tmp_path / "elsewhere"))
    convert(**{key: Path(path).name for key, path in files.items()})
    assert files["out"].exists()
    assert not list((tmp_path / "elsewhere").iterdir())


RAISES = {
    "eval": ("def eval(self): raise OSError(5, 'none')", r"model\.py:build: OSError: .*none"),
    "state_dict": ("def state_dict(self, **k): raise KeyError('gone')",
                   r"model\.py:build: KeyError: 'gone'$"),
    "train": ("def train(self, mode=True): nn.Module.train(self, mode)", None),
    "quote": ("""def build(self): return self.append(nn.ModuleDict({'a"b': nn.Tanh()}))""",
              r"""^the submodule '3.a"b' has a name that torch\.fx can't write down"""),
    "line": (r"""def build(self): return self.append(nn.ModuleDict({'a\nb': nn.Tanh()}))""",
             r"^the submodule '3.a\\nb' has a name that"),
    "half": ("def build(self): return self.half()", None),
    "double": ("def build(self): return self.double()", None),
}


@pytest.mark.parametrize("body, message", RAISES.values(), ids=RAISES)
def test_modules_with_ideas_of_their_own(tmp_path, files, mlp, body, message):
    (tmp_path / "model.py").write_text(
        MLP.replace("return nn.Sequential(", "return Mine(").replace("9, 3))", "9, 3)).build()")
        + f"class Mine(nn.Sequential):\n    def build(self): return self\n    {body}\n")
    if message:
        refused(files, message)
    else:
        assert convert(**files, levels=63, require_agreement=0.95)


@pytest.mark.parametrize("wrap", ["nn.DataParallel({})", "torch.compile({})"])
@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_wrapped_modules(tmp_path, files, wrap, inner):
    """The state may be that of the wrapper, or of the module inside it."""
    make = "nn.Sequential(nn.Flatten(), nn.Linear(120, 3))"
    wrapped, head = wrap.format(make), "import torch\nfrom torch import nn\ndef build(): return "
    (tmp_path / "model.py").write_text(head + (make if inner else wrapped))
    save_file(state(files["target"]), files["weights"])
    (tmp_path / "model.py").write_text(head + wrapped)
    assert convert(**files)["layers"] == {"1": "readout"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_scripted_modules(tmp_path, files):
    (tmp_path / "model.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build(): return torch.jit.script(nn.Sequential(nn.Linear(20, 3)))")
    refused(files, "^the module is a ScriptModule, whose code can't be traced; return the Python")


def test_nesting_without_end(tmp_path, files):
    (tmp_path / "model.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    net = nn.Linear(20, 3)\n"
        "    for _ in range(1500): net = nn.Sequential(net)\n"
        "    return net")
    refused(files, r"model\.py:build: RecursionError: ")


@pytest.mark.parametrize("how", ["ReLU,0.1,inf", "ReLU,0.1,nan", "ReLU,0.1,1e30", "ReLU,0.1,0",
                                 "ReLU,inf,7", "ReLU,nan,7", "ReLU,1/0,7"])
def test_activations_of_no_size(files, how):
    refused(files, r"^1: the (step|levels) '\S+' must be ", activation=how)


def test_lazy_modules(tmp_path, files):
    (tmp_path / "model.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(9), nn.ReLU(), nn.LazyLinear(3))")
    module = nn.Sequential(nn.Flatten(), nn.Linear(120, 9), nn.ReLU(), nn.Linear(9, 3))
    save_file(module.state_dict(), files["weights"])
    assert convert(**files)["weights"] == 120 * 9 + 9 * 3


def refused(files, message, error=ConversionError, **changes):
    with pytest.raises(error, match=message) as caught:
        convert(**{**files, **changes})
    assert "\n" not in str(caught.value)
    assert not files["out"].exists()


@pytest.mark.parametrize("function, message", [
    ("number", r"model\.py:number: must return a torch\.nn\.Module, not int$"),
    ("broken", r"model\.py:broken: RuntimeError: two$"),
    ("absent", r"model\.py:absent: AttributeError: "),
    ("not good", r"^the module must be given as FILE\.py:FUNCTION, not "),
])
def test_bad_function(files, function, message):
    refused(files, message, target=files["target"].replace("build", function))


def test_bad_file(files, tmp_path):
    refused(files, r"none\.py: there is no such file$", target=f"{tmp_path}/none.py:build")
    (tmp_path / "model.py").write_text("def build(:")
    refused(files, r"model\.py:build: SyntaxError: ")


def test_bad_weights(files):
    save_file({"0.weight": torch.zeros(8, 1, 3, 3)}, files["weights"])
    refused(files, r"lacks tensor '0\.bias' \(\d+ missing, 0 unknown\)")
    good = state(files["target"])
    save_file({**good, "extra": torch.zeros(1)}, files["weights"])
    refused(files, r"has the unknown tensor 'extra' \(0 missing, 1 unknown\)")
    save_file({**good, "0.bias": torch.zeros(9)}, files["weights"])
    refused(files, r"tensor '0\.bias' must have the shape \(8,\), not \(9,\)$")
    save_file({**good, "0.bias": torch.full((8,), float("nan"))}, files["weights"])
    refused(files, r"tensor '0\.bias' must hold finite real numbers, as torch.float32 has them$")
    save_file({**good, "0.bias": torch.zeros(8, dtype=torch.complex64)}, files["weights"])
    refused(files, r"tensor '0\.bias' must hold finite real numbers, as torch.float32 has them$")
    save_file({**good, "0.bias": torch.zeros(8, dtype=torch.int8)}, files["weights"])
    refused(files, r"tensor '0\.bias' must hold finite real numbers, as torch\.float32 has them$")
    save_file({**good, "0.bias": torch.full((8,), 1e300, dtype=torch.float64)}, files["weights"])
    refused(files, r"tensor '0\.bias' must hold finite real numbers, as torch\.float32 has them$")
    save_file({**good, "3.norm.running_var": torch.full((8,), -1.0)}, files["weights"])
    refused(files, r"^3\.norm \(BatchNorm2d\): must have a positive running_var$")
    torch.save(good, files["weights"])
    refused(files, r"can't be read as safetensors .*; write it with safetensors\.torch\.save_model")
    files["weights"].unlink()
    refused(files, r"can't be read as safetensors")


@pytest.mark.parametrize("images, message", [
    (np.zeros((0, 1, 10, 12), np.uint8), r"must have the shape \(N, C, H, W\), \(N, H, W\) or"),
    (np.zeros(5, np.uint8), r"must have the shape .*, not \(5,\)$"),
    (np.full((2, 1, 10, 12), 256), r"must lie in 0\.\.255, not 256\.\.256; give the range"),
    (np.full((2, 1, 10, 12), -0.1), r"must lie in 0\.\.1, not -0\.1\.\.-0\.1; "),
    (np.full((2, 1, 10, 12), np.nan), r"must lie in 0\.\.1, not nan"),
    (np.array([[{}]]), r"is not an \.npy file of numbers: it holds object$"),
    (np.array([["a"]]), r"is not an \.npy file of numbers: it holds <U1$"),
])
def test_bad_calibration(files, images, message):
    np.save(files["calibration"], images)
    refused(files, message, DataError)


def test_module_of_another_size(files):
    np.save(files["calibration"], np.eye(2, 360, dtype=np.uint8).reshape(2, 3, 10, 12))
    refused(files, r"^0 \(Conv2d\): expects 1 channels, but its input has 3$")


@pytest.mark.parametrize("changes, message", [
    ({"bits": 9}, "bits must be 2 to 8, not 9"),
    ({"bits": "conv9=4"},
     "bits: there is no layer 'conv9'; known are 0, 3.depthwise, 3.pointwise, 6"),
    ({"levels": 0}, "levels must be an integer in 1..65535, not 0"),
    ({"bits": "8,6=4,6=2"}, "bits: two widths for 6; give one"),
    ({"bits": "=4"}, "bits must be a width or name=width, not '=4'"),
    ({"input_levels": 2.5}, "input_levels must be an integer in 1..65535, not 2.5"),
])
def test_bad_options(files, changes, message):
    refused(files, f"^{re.escape(message)}", **changes)
