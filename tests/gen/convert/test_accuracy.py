"""What a conversion costs, told of each of the module's results."""

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from gen.cli.commands.convert import shown
from gen.cli.main import main
from gen.convert.accuracy import Cost, costs, facts, judge, require_classes
from gen.convert.conversion import convert, to_quantised
from gen.convert.results import Result
from gen.convert.terms import Form
from gen.convert.tuning import Tuning, tuned
from gen.errors import ConversionError, DataError
from gen.ir.artifact import load

torch.set_num_threads(1)

MODEL = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.use = forward
        self.conv, self.map = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 4, 1)
        self.one = nn.Conv2d(12, 1, 1)
        self.kind, self.size = nn.Linear(12, 5), nn.Linear(12, 3)

    def forward(self, x):
        return self.use(self, F.leaky_relu(self.conv(x), 0.1))


def build(forward):
    torch.manual_seed(1)
    return Net(forward)


def heads():
    return build(lambda m, x: {"kind": m.kind(x[:, :, 2, 3]), "size": m.size(x[:, :, 1, 1])})


def mixed():
    return build(lambda m, x: (m.map(x).softmax(1), m.one(x).squeeze(1)))


def maps():
    return build(lambda m, x: m.map(x))


def flat():
    return build(lambda m, x: m.map(x).flatten(1))


def single():
    return build(lambda m, x: m.one(x).mean((2, 3)).squeeze(1))


def classes():
    return build(lambda m, x: m.kind(x.mean((2, 3))))
"""
NAMES: dict = {}
exec(compile(MODEL, "model.py", "exec"), NAMES)

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 1, 5, 6), dtype=np.uint8)


def found(name, labels=None, asked=False, **options):
    """The costs of a network, its integers' logits in float64, and the module's results."""
    module = NAMES[name]().eval()
    images = PIXELS / np.float32(255)
    quantised, lowered, scores = to_quantised(module, images, **{"levels": 15, **options})
    network = quantised.eval().to_network("net")
    with torch.no_grad():
        wanted = module(torch.from_numpy(images))
    told = costs(lowered, network, quantised.logit_step, PIXELS, scores, labels, classes=asked)
    return told, network.predict(PIXELS) * quantised.logit_step, wanted


def relative(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs - theirs.mean(axis=0))


def test_each_head_is_told():
    """Two heads are no one head of all their scores: the larger ones would hide the others."""
    told, ours, wanted = found("heads", bits=3, levels=2, input_levels=7)
    assert [cost.result.name for cost in told] == ["kind", "size"]
    for cost, own in zip(told, (ours[:, :5], ours[:, 5:]), strict=True):
        theirs = wanted[cost.result.name].double().numpy()
        assert cost.agreement == (own.argmax(1) == theirs.argmax(1)).mean()
        assert cost.error == pytest.approx(relative(own, theirs), rel=1e-4)
    assert told[0].agreement < told[1].agreement
    assert facts(told) == {"results": {cost.result.name: {
        "agreement": cost.agreement, "scores_error": cost.error} for cost in told}}


def test_classes_of_positions_and_values():
    (kinds, values), ours, wanted = found("mixed")
    assert kinds.agreement == (ours[:, :4].argmax(1) == wanted[0].numpy().argmax(1)).mean()
    assert values.agreement is None
    assert values.error == pytest.approx(relative(ours[:, 4], wanted[1].numpy()), rel=1e-4)
    assert set(values.facts) == {"scores_error"}


def test_maps_name_classes_if_that_is_asked_for():
    (values,), _, _ = found("maps")
    assert set(facts((values,))) == {"scores_error"}
    (asked,), ours, wanted = found("maps", asked=True)
    same = (ours.argmax(1) == wanted.numpy().argmax(1)).mean()
    assert facts((asked,)) == {"agreement": same, "scores_error": values.error}
    labels = np.random.default_rng(1).integers(0, 4, (60, 5, 6))
    (right,), _, _ = found("maps", labels)
    assert facts((right,)) == {
        "agreement": same, "scores_error": values.error,
        "accuracy_module": (wanted.numpy().argmax(1) == labels).mean(),
        "accuracy": (ours.argmax(1) == labels).mean()}


@pytest.mark.parametrize("name", ["flat", "single"])
def test_results_without_classes(name):
    (cost,), _, _ = found(name, asked=True)
    assert set(cost.facts) == {"scores_error"}


def test_accuracies():
    labels = np.random.default_rng(1).integers(0, 5, 60)
    (cost,), ours, wanted = found("classes", labels)
    assert cost.after == (ours.argmax(1) == labels).mean()
    assert cost.before == (wanted.numpy().argmax(1) == labels).mean()
    assert set(cost.facts) == {"agreement", "scores_error", "accuracy_module", "accuracy"}


def test_maps_are_tuned_to_their_labels():
    module = NAMES["maps"]().eval()
    images = PIXELS / np.float32(255)
    labels = (PIXELS[:, 0] // 64).astype(int)
    quantised, lowered, _ = to_quantised(module, images, levels=15)
    before = loss_of(quantised, labels)
    tuned(quantised, module, lowered, images, labels, Tuning(8, progress=False))
    assert loss_of(quantised, labels) < before


@torch.no_grad()
def loss_of(quantised, labels):
    scores = quantised.eval()(torch.from_numpy(PIXELS.astype(np.float32)))
    return float(F.cross_entropy(scores, torch.from_numpy(labels)))


# Warnings.

CLASSES = Result("", (10, 1, 1), Form.VECTOR)
KINDS = Result("kind", (10, 4, 4), Form.MAP, "softmax")
VALUE = Result("size", (1, 1, 1), Form.SINGLE)


@pytest.mark.parametrize("found, images, said", [
    (Cost(CLASSES, 0.0, 1.0), 3, "3 calibration images are few"),
    (Cost(CLASSES, 0.0, 1.0), 1, "1 calibration image is few"),
    (Cost(CLASSES, 0.4, 0.5), 99, "the integers classify 50.00% of the 99 calibration images"),
    (Cost(CLASSES, 0.4, 1.0, 0.99, 0.95), 99, "95.00 % of the images rightly, the module 99.00 %"),
    (Cost(KINDS, 0.4, 0.5), 99, "classify 50.00% of the positions of the 99 calibration images"),
    (Cost(VALUE, 0.4), 99, "the result 'size': the results differ by 40 % of what they vary"),
    (Cost(CLASSES, 0.4, 1.0, one_class=True), 99, "the module names one class for all"),
    (Cost(CLASSES, 0.0, 1.0, 0.99, 0.985), 99, None), (Cost(CLASSES, 0.1, 0.98), 99, None),
    (Cost(VALUE, 0.1), 99, None),
])
def test_warnings(found, images, said, caplog):
    with caplog.at_level(logging.WARNING):
        judge([found], images, {"a": 0.1, "b": 0.3}, None)
    if said is None:
        assert not caplog.messages
        return
    (message,) = caplog.messages
    assert said in message
    assert message.endswith(" little; give some hundreds") or found.one_class or (
        "the worst layer is b: 30%" in message and "gen tune" in message)


def test_each_result_has_its_warning(caplog):
    judge([Cost(KINDS, 0.4, 0.5), Cost(VALUE, 0.4)], 99, {}, None)
    assert [message.split(":")[1] for message in caplog.messages] == [
        " the result 'kind'", " the result 'size'"]


def test_what_is_tuned_is_not_to_be_tuned(caplog):
    judge([Cost(CLASSES, 0.4, 0.5)], 99, {}, None, tuned=True)
    (message,) = caplog.messages
    assert "gen tune" not in message
    assert message.endswith("; more --levels, --bits, --input-levels, --epochs or images bring "
                            "them closer")
    with pytest.raises(ConversionError, match=r"less than the 90\.00% required; more") as e:
        judge([Cost(CLASSES, 0.4, 0.5)], 99, {}, 0.9, tuned=True)
    assert "gen tune" not in str(e.value)


def test_too_little_agreement():
    with pytest.raises(ConversionError, match=r"less than the 90\.00% required; more --levels"):
        judge([Cost(CLASSES, 0.1, 0.5)], 99, {}, 0.9)
    with pytest.raises(ConversionError, match=r"^the result 'kind': the integers classify 50\.00%"):
        judge([Cost(CLASSES, 0.1, 1.0), Cost(KINDS, 0.1, 0.5), Cost(VALUE, 0.1)], 99, {}, 0.9)


# What labels and a required agreement must be.

@pytest.fixture
def files(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    save_file(NAMES["maps"]().state_dict(), tmp_path / "w.safetensors")
    np.save(tmp_path / "x.npy", PIXELS)
    return tmp_path


def options(folder, name, labels=None):
    if labels is not None:
        np.save(folder / "y.npy", labels)
    return {"target": f"{folder / 'model.py'}:{name}", "weights": folder / "w.safetensors",
            "calibration": folder / "x.npy", "out": folder / "net.npz",
            "labels": None if labels is None else folder / "y.npy"}


LABELS = {
    "too great": ("classes", np.arange(60) % 6,
                  "labels must lie in 0..4, because the result has 5 classes, not 0..5"),
    "negative": ("classes", np.arange(60) - 1, "labels must be classes from 0 on, not -1..58"),
    "of positions": ("classes", np.zeros((60, 5, 6), int),
                     "labels must be a class for each image, (60,), not (60, 5, 6)"),
    "of images": ("maps", np.zeros(60, int), "each position of the result, (60, 5, 6), not (60,)"),
    "of too many": ("maps", np.full((60, 5, 6), 4), "labels must lie in 0..3, because"),
    "of one channel": ("single", np.zeros(60, int), "the module has one channel, which names no"),
    "of a flattened map": ("flat", np.zeros(60, int), "is a flattened map, which names no classes"),
    "of two results": ("heads", np.zeros(60, int), "the module has 2 results (kind, size), and"),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_that_are_none(name, files, monkeypatch):
    """They are refused before anything is calibrated."""
    monkeypatch.setattr("gen.convert.conversion.calibrate", None)
    which, labels, message = LABELS[name]
    with pytest.raises(DataError) as error:
        convert(**options(files, which, labels))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["single", "flat"])
def test_agreement_of_what_names_no_classes(name, files, monkeypatch):
    monkeypatch.setattr("gen.convert.conversion.calibrate", None)
    with pytest.raises(ConversionError, match=r"^--require-agreement: the result of the module .* "
                                              r"names no classes; leave it out$"):
        convert(**options(files, name), require_agreement=0.5)


def test_labels_of_a_sequence():
    tags = Result("", (4, 7, 1), Form.ELEMENTS)
    require_classes([tags], np.zeros((3, 7), int), None)
    with pytest.raises(DataError, match=r"\(3, 7\), not \(3, 7, 1\)"):
        require_classes([tags], np.zeros((3, 7, 1), int), None)


def test_results_are_lines_of_their_own(files, capfd):
    given = {name: str(value) for name, value in options(files, "heads").items() if value}
    assert main(["convert", given["target"], "--weights", given["weights"], "--calibration",
                 given["calibration"], "-o", given["out"], "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert set(told["results"]) == {"kind", "size"}
    assert not {"agreement", "scores_error"} & set(told)
    assert load(given["out"]).metadata["results"] == told["results"]
    lines = shown(told).splitlines()
    for name, facts_of in told["results"].items():
        (line,) = [line for line in lines if line.startswith(f"result {name}")]
        assert line.split()[2:4] == ["agreement", f"{facts_of['agreement']:.6g},"]
        assert "scores_error" in line


def test_labels_of_maps(files):
    labels = np.random.default_rng(0).integers(0, 4, (60, 5, 6))
    told = convert(**options(files, "maps", labels))
    assert {"agreement", "accuracy", "accuracy_module"} <= set(told)
    assert abs(told["accuracy"] - told["accuracy_module"]) < 0.05
