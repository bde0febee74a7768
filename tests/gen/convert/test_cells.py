"""Loops over ``nn.RNNCell`` become recurrent layers; other loops are refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_model
from torch import nn
from torch.nn import functional as F

from gen.convert.conversion import convert, to_quantised
from gen.convert.lower import lower, takes_sequences
from gen.convert.qcfs import Qcfs
from gen.convert.terms import Form
from gen.convert.usercode import loaded
from gen.errors import ConversionError
from gen.ir.artifact import load

from .test_elements import states_in_float64

torch.set_num_threads(1)


class Loop(nn.Module):
    """Scores of what a loop over two cells gives for 7 elements of 5 features."""

    def __init__(self, loop, classes=4, **options):
        super().__init__()
        self.cell = nn.RNNCell(5, 8, **{"nonlinearity": "relu", **options})
        self.upper = nn.RNNCell(8, 8, nonlinearity="relu", bias=False)
        self.drop = nn.Dropout(0.3)
        self.loop, self.fc, self.whole = loop, nn.Linear(8, classes), nn.Linear(56, classes)

    def forward(self, x):
        return self.loop(self, x)


def no_state(self, x):
    h = None
    for t in range(x.shape[1]):
        h = self.cell(x[:, t], h)
    return self.fc(h)


def zeros(self, x):
    batch, elements, _ = x.shape
    h, outputs = torch.zeros(batch, 8, device=x.device), []
    for t in range(elements):
        h = self.cell(x[:, t, :], h)
        outputs.append(h)
    return self.fc(torch.stack(outputs, dim=1)[:, -1])


def unbound(self, x):
    h = x.new_zeros(x.size(0), 8)
    for element in x.unbind(1):
        h = self.cell(element, hx=h)
    return self.fc(h)


def elements_first(self, x):
    """As PyTorch's own example of a cell has it."""
    x, outputs = x.transpose(0, 1), []
    h = torch.zeros_like(torch.zeros(x.shape[1], 8))
    for element in x:
        h = self.cell(element, h)
        outputs.append(h)
    return self.fc(torch.stack(outputs)[-1])


def all_states(self, x):
    h, outputs = self.cell(x.select(1, 0)), []
    outputs.append(h)
    for t in range(1, x.size(1)):
        h = self.cell(x[:, t], h)
        outputs += [h]
    return self.whole(torch.stack(outputs, 1).flatten(1))


def mean(self, x):
    h, outputs = None, []
    for t in range(-7, 0):
        h = self.cell(x[:, t], h)
        outputs.append(h)
    states = torch.stack(outputs, dim=-2)
    return self.fc(states.mean(dim=1).view(x.shape[0], -1))


def two_at_once(self, x):
    lower = upper = torch.zeros(x.size(0), 8)
    for t in range(x.shape[1]):
        lower = self.cell(x[:, t], lower)
        upper = self.upper(self.drop(lower), upper)
    return self.fc(upper)


def one_after_the_other(self, x):
    h, outputs = None, []
    for t in range(x.shape[1]):
        h = self.cell(x[:, t], h)
        outputs.append(h)
    states, h = torch.stack(outputs, dim=1), None
    for t in range(states.shape[1]):
        h = self.upper(states[:, t], h)
    return self.fc(h)


def few(self, x):
    h, outputs = None, []
    for t in range(x.shape[1]):
        h = self.cell(x[:, t], h)
        outputs.append(h)
    return self.fc(torch.stack(outputs[-2:], dim=1)[:, -1])


def joined(self, x):
    h, outputs = None, []
    for t in range(x.shape[1]):
        h = self.cell(x[:, t, ...], h)
        outputs.append(h.unsqueeze(dim=1))
    return self.fc(torch.cat(outputs, 1).mean(1))


def cells(self, x):
    states = [torch.zeros(x.size(0), 8) for _ in range(2)]
    for t in range(x.size(1)):
        given = x[:, t]
        for k, cell in enumerate((self.cell, self.upper)):
            states[k] = given = cell(given, states[k])
    return self.fc(states[-1])


def early(self, x):
    h, outputs = None, []
    for t in range(x.shape[1]):
        h = self.cell(x[:, t], h)
        outputs.append(h)
    return self.whole(torch.cat(outputs, 1)) + self.fc(outputs[3] + h)


LOOPS = (early, joined, cells, no_state, zeros, unbound, elements_first, all_states, mean,
         two_at_once, one_after_the_other, few)


def by_hand(module, x):
    """The states of both cells in float64, ``(N, features, elements)``."""
    h, upper, states, uppers = None, None, [], []
    for t in range(x.shape[1]):
        h = module.cell(x[:, t], h)
        upper = module.upper(h, upper)
        states.append(h)
        uppers.append(upper)
    return {"cell": torch.stack(states, 2), "upper": torch.stack(uppers, 2)}


@pytest.mark.parametrize("loop", LOOPS)
def test_every_state_is_that_of_the_cells(loop):
    torch.manual_seed(1)
    module = Loop(loop)
    lowered = lower(module, (7, 5))
    assert lowered.input_form is Form.ELEMENTS
    names = ["cell", "upper"] if loop in (two_at_once, one_after_the_other, cells) else ["cell"]
    assert [layer.name for layer in lowered.relus] == names
    assert all(layer.name in [term.source for term in layer.terms] for layer in lowered.relus)
    x = torch.rand(30, 7, 5, dtype=torch.float64)
    ours = states_in_float64(lowered, x)
    with torch.no_grad():
        theirs = by_hand(module.double(), x)
    for name in names:
        # The two biases are added in float32.
        assert torch.allclose(ours[name][..., 0], theirs[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_integers_compute_what_the_loop_does(loop):
    torch.manual_seed(2)
    module = Loop(loop)
    images = np.random.default_rng(0).random((60, 7, 5), dtype=np.float32)
    quantised, _, scores = to_quantised(module, images, levels=255)
    with torch.no_grad():
        assert torch.equal(module(torch.from_numpy(images)), scores)
    network = quantised.to_network("a")
    counts = network.encode((images * 255 + 0.5).astype(np.int64).swapaxes(1, 2)[..., None])
    trace = network.run(counts)
    with torch.no_grad():
        made = quantised.trace(torch.from_numpy(counts))
    for name, values in trace.counts.items():
        assert np.array_equal(made[name].numpy(), values), name
    assert np.array_equal(made[network.readout.name].flatten(1).numpy(), trace.logits)
    ours = quantised.scores(made)
    assert (ours - scores).abs().mean() < 0.02 * (scores.max() - scores.min())


def test_a_loop_is_the_layer_of_an_rnn():
    """Weights of the cell, in an ``nn.RNN``: the same integers."""
    class Rnn(nn.Module):
        def __init__(self, loop):
            super().__init__()
            self.cell, self.fc = nn.RNN(5, 8, nonlinearity="relu", batch_first=True), loop.fc
            self.cell.load_state_dict({f"{name}_l0": value for name, value
                                       in loop.cell.state_dict().items()})

        def forward(self, x):
            return self.fc(self.cell(x, torch.zeros(1, x.shape[0], 8))[1][-1])

    loop = Loop(no_state)
    images = np.random.default_rng(0).random((20, 7, 5), dtype=np.float32)
    one, other = (to_quantised(module, images)[0].to_network("a") for module in (loop, Rnn(loop)))
    assert one.digest == other.digest


def test_features_may_come_first():
    class First(Loop):
        def forward(self, x):
            x, h = F.relu(self.conv(x)), None
            for t in range(x.shape[2]):
                h = self.cell(x[:, :, t], h)
            return self.fc(h)

    module = First(None)
    module.conv = nn.Conv1d(3, 5, 2, 2)
    lowered = lower(module, (3, 8))
    assert [layer.name for layer in lowered.layers] == ["conv", "cell", "fc"]
    to_quantised(module, np.random.default_rng(0).random((20, 3, 8), dtype=np.float32))


def test_a_long_loop():
    module = Loop(no_state)
    images = np.random.default_rng(0).random((20, 300, 5), dtype=np.float32)
    network = to_quantised(module, images)[0].to_network("a")
    assert network.input_shape == (5, 300, 1)


def test_a_loop_leaves_the_module_as_it_is():
    module = Loop(zeros)
    before = list(vars(module)), dict(module.named_modules())
    lower(module, (7, 5))
    assert (list(vars(module)), dict(module.named_modules())) == before
    assert module.cell.weight_ih.requires_grad


def test_a_cell_of_the_users_own_is_no_cell():
    class Gated(nn.RNNCell):
        def forward(self, x, h, gate):
            return super().forward(x, h) * gate

    module = Loop(looped(lambda self, x, t, h: self.cell(x[:, t], h, 2)))
    module.cell = Gated(5, 8, nonlinearity="relu")
    with pytest.raises(ConversionError):
        lower(module, (7, 5))


def test_a_loop_converts_from_its_files(tmp_path):
    file, weights, calibration = (tmp_path / name for name in ("a.py", "a.safetensors", "a.npy"))
    file.write_text('''
import torch
from torch import nn


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(8, 12, nonlinearity="relu")
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        h = torch.zeros(x.shape[0], 12)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.fc(h)


def make():
    return Loop()
''', encoding="utf-8")
    np.save(calibration, np.random.default_rng(0).integers(0, 256, (40, 6, 8)))
    with loaded(f"{file}:make") as module:
        save_model(module, str(weights))
    result = convert(f"{file}:make", weights=weights, calibration=calibration,
                     out=tmp_path / "a.npz", levels=63)
    assert load(result["network"]).input_shape == (8, 6, 1)


def test_loops_take_sequences():
    assert takes_sequences(nn.Sequential(nn.RNNCell(2, 2)))


def looped(step, start=None, numbers=range(7), read=lambda self, h, outputs: self.fc(h)):
    """A loop whose body is ``step(self, x, t, h)``."""
    def loop(self, x):
        h, outputs = start(self, x) if start else None, []
        for t in numbers:
            h = step(self, x, t, h)
            outputs.append(h)
        return read(self, h, outputs)

    return loop


def plain(self, x, t, h):
    return self.cell(x[:, t], h)


REFUSED = {
    "backwards": (looped(plain, numbers=range(6, -1, -1)), "call 0 takes element 6; .* in order"),
    "skips": (looped(plain, numbers=range(0, 7, 2)), "call 1 takes element 2; .* in order"),
    "from the second": (looped(plain, numbers=range(1, 7)), "call 0 takes element 1"),
    "too few": (looped(plain, numbers=range(5)), "call 4 is the last, but there are 7 elements"),
    "twice": (looped(plain, numbers=(0, 0, 1, 2, 3, 4, 5, 6)), "call 1 takes element 0"),
    "too many": (looped(plain, numbers=range(9)), "call 7 takes no element of a sequence"),
    "parts": (looped(lambda self, x, t, h: self.upper(x[:, t, :3], h)), "call 0 takes no element"),
    "forgets": (looped(lambda self, x, t, h: self.cell(x[:, t])), "call 0 takes element 6"),
    "changed": (looped(lambda self, x, t, h: self.cell(x[:, t], None if h is None else h * 0.5)),
                r"cell \(RNNCell\): call 1 begins with the result of 'mul'; the state must not"),
    "skipped": (looped(lambda self, x, t, h: self.cell(x[:, t], h) + (0 if h is None else h)),
                "call 1 begins with the result of 'add'"),
    "ones": (looped(plain, lambda self, x: torch.ones(x.shape[0], 8)), "first state must be zeros"),
    "features": (looped(plain, lambda self, x: self.upper(x[:, 0, :1].expand(-1, 8))),
                 "cell .* call 0 begins with another state; the first state must be zeros"),
    "learned": (looped(plain, lambda self, x: self.fc.weight[:1].expand(x.shape[0], -1)),
                "call 0 begins with another state"),
    "branch": (lambda self, x: self.fc(self.cell(x[:, 1], h := self.cell(x[:, 0]))
                                       + self.cell(x[:, 1], h)),
               "begins with the state of call 0; it must go on from the call before"),
    "another": (lambda self, x: self.fc(self.cell(F.relu(x)[:, 1], self.cell(x[:, 0]))),
                "call 1 takes an element of another sequence"),
    "no element": (looped(lambda self, x, t, h: self.cell(2 * x[:, t], h)),
                   "call 0 takes no element of a sequence, but the result of 'mul'"),
    "some": (looped(lambda self, x, t, h: self.cell(x[:, t:t + 1].mean(1), h)),
             "call 0 takes no element of a sequence, but the result of 'mean'"),
    "each": (looped(plain, read=lambda self, h, outputs: torch.stack(
        [self.fc(h) for h in outputs], 1)), "function 'stack'"),
    "joined": (looped(plain, read=lambda self, h, outputs: self.fc(torch.cat(outputs, 1))),
               "expects 8 features, but its input has 56"),
    "joined elsewhere": (looped(plain, read=lambda self, h, outputs: self.fc(
        torch.cat([h.unsqueeze(2) for h in outputs], 1)[:, -1])), "function"),
    "stacked": (looped(plain, read=lambda self, h, outputs: self.fc(
        torch.stack(outputs[::-1], 1)[:, -1])), "function 'stack'"),
}


@pytest.mark.parametrize("loop, message", REFUSED.values(), ids=REFUSED)
def test_other_loops_are_refused(loop, message):
    with pytest.raises(ConversionError, match=message):
        lower(Loop(loop), (7, 5))


def test_other_cells_are_refused():
    with pytest.raises(ConversionError, match="nonlinearity must be 'relu', not 'tanh'"):
        lower(Loop(no_state, nonlinearity="tanh"), (7, 5))
    for kind in nn.LSTMCell, nn.GRUCell:
        module = Loop(zeros)
        module.cell = kind(5, 8)
        with pytest.raises(ConversionError, match=rf"cell \({kind.__name__}\): its gates need"):
            lower(module, (7, 5))


def test_an_activation_in_the_loop_is_refused():
    module = Loop(looped(lambda self, x, t, h: self.act(self.cell(x[:, t], h))))
    module.act = Qcfs(15)
    with pytest.raises(ConversionError, match="call 1 begins with the result of 'act'"):
        lower(module, (7, 5))


def test_a_cell_that_computes_something_else_is_refused():
    module, images = Loop(no_state), np.random.default_rng(0).random((20, 7, 5), dtype=np.float32)
    module.cell.register_forward_hook(lambda cell, x, h: 1.1 * h)
    with pytest.raises(ConversionError, match="the module itself gives other scores"):
        to_quantised(module, images)


def test_states_that_are_not_zeros_are_refused():
    class Begun(nn.Module):
        def __init__(self, begin):
            super().__init__()
            self.rnn, self.fc = nn.RNN(5, 8, nonlinearity="relu", batch_first=True), nn.Linear(8, 2)
            self.begin = begin

        def forward(self, x):
            return self.fc(self.rnn(x, self.begin(x))[0][:, -1])

    for begin in (lambda x: torch.ones(1, x.shape[0], 8), lambda x: x[None, :, 0, :1]):
        with pytest.raises(ConversionError, match=r"rnn \(RNN\): its first state must be zeros"):
            lower(Begun(begin), (7, 5))
    assert lower(Begun(lambda x: torch.zeros(1, x.shape[0], 8)), (7, 5)).layers[0].name == "rnn"
