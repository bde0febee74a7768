import pytest
import torch

from gen.convert.qcfs import ClipQuan, Qcfs, floor_ste, round_ste

torch.set_num_threads(1)


def test_values_are_whole_steps():
    z = torch.tensor([-9.0, -0.26, -0.25, 0.24, 0.25, 0.74, 0.75, 1.24, 1.25, 9.0])
    n = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 3, 3])
    assert torch.equal(Qcfs(3, step=0.5)(z), 0.5 * n)


@pytest.mark.parametrize("levels", [1, 2, 3, 7, 15, 200])
def test_any_levels(levels):
    counts = Qcfs(levels, step=1)(torch.linspace(-levels, 2 * levels, 999))
    assert counts.unique().tolist() == list(range(levels + 1))


def require_gradients(act, cases):
    """Each of the cases is ``(z, da/dz, da/dstep)``."""
    for z, dz, ds in cases:
        x = torch.tensor(z, requires_grad=True)
        act.step.grad = None
        act(x).backward()
        assert x.grad == dz
        assert float(act.step.grad) == pytest.approx(ds, abs=1e-5)


def test_gradients_are_those_of_the_published_code():
    # docs/methods.md, 1: da/dz is 1 inside; da/dstep is n - z/s inside, levels above, 0 below.
    require_gradients(Qcfs(3, step=0.5), [(0.6, 1, 1 - 1.2), (-0.2, 1, 0.4), (-0.3, 0, 0),
                                          (1.7, 1, 3 - 3.4), (2.0, 0, 3)])


def test_the_step_stays_positive():
    act = Qcfs(3)
    with torch.no_grad():
        act.step.fill_(-1)
    assert act(torch.ones(3)).min() > 0


def test_halves_are_rounded_up():
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    assert round_ste(x).tolist() == [-1, 0, 1, 2, 3]
    assert floor_ste(x).tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("levels", [0, -1, 2.0, True, "3"])
@pytest.mark.parametrize("activation", [Qcfs, ClipQuan])
def test_bad_levels(activation, levels):
    with pytest.raises(ValueError, match=r"^levels must be a positive integer, not "):
        activation(levels)


def test_clip_quan_rounds_down():
    z = torch.tensor([-9.0, -0.1, 0.0, 0.24, 0.25, 0.49, 0.99, 1.0, 9.0])
    assert torch.equal(4 * ClipQuan(4)(z), torch.tensor([0.0, 0, 0, 0, 1, 1, 3, 4, 4]))


@pytest.mark.parametrize("z, given, gradient", [
    (0.3, 1.0, 1.0), (0.3, -2.0, -2.0), (0.3, 40.0, 4.0), (0.3, -40.0, -4.0), (-0.1, 1.0, 0.0),
    (1.1, 1.0, 0.0)])
def test_gradients_of_clip_quan(z, given, gradient):
    """Within 0..1 straight through; that of the floor, a quarter with 4 levels, is clipped to 1."""
    x = torch.tensor(z, requires_grad=True)
    ClipQuan(4)(x).backward(torch.tensor(given))
    assert x.grad == gradient


@pytest.mark.parametrize("step", [0, -1.0, float("nan"), float("inf")])
def test_bad_step(step):
    with pytest.raises(ValueError, match=r"^step must be positive, not "):
        Qcfs(3, step=step)
