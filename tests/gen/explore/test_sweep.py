"""Explorations: what is kept, what is best, and that a cluster does the same."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gen.cli import main as cli
from gen.errors import BuildError, FitError, NetworkError
from gen.explore.sweep import explore, front
from gen.ir import artifact
from hw.dynamics import Dynamics
from tests import networks


def point(rate, luts, accuracy, **more):
    return {"board": "a", "dataset": "d", "images_per_second": rate, "luts": luts,
            "accuracy": accuracy} | more


def test_the_front_is_what_nothing_beats():
    best = [point(100, 50, 0.9), point(200, 90, 0.9), point(50, 90, 0.95)]
    others = [point(90, 50, 0.9), point(200, 91, 0.9), point(40, 90, 0.94)]
    elsewhere = [point(1, 99, 0.5, board="b"), point(1, 99, 0.5, dataset="e")]
    assert front([*best, *others, *elsewhere]) == [*best, *elsewhere]
    assert front([best[0], best[0]]) == [best[0], best[0]]


@pytest.fixture
def sampled():
    """A small network with images of its own."""
    net = networks.linear()
    rng = np.random.default_rng(0)
    return replace(net, samples=rng.integers(0, 256, (5, *net.input_shape)))


OPTIONS = {"boards": ["arty-a7"], "points": 3}


def test_finished_points_are_not_computed_again(sampled, tmp_path):
    first = explore([sampled], out=tmp_path, jobs=1, **OPTIONS)
    assert first["kept"] == 0
    assert first["computed"] == 3
    assert not first["refused"]
    rates = [p["images_per_second"] for p in first["points"]]
    assert rates == sorted(rates, reverse=True)
    assert first["points"][0]["front"]
    assert json.loads((tmp_path / "explore.json").read_text()) == first["points"]
    assert "</svg>" in (tmp_path / "explore.svg").read_text()

    (tmp_path / "points" / "damaged.json").write_text("{")
    lost = sorted((tmp_path / "points").glob("[0-9a-f]*.json"))[0]
    lost.write_text("{")
    drawn = (tmp_path / "explore.svg").read_bytes()
    again = explore([sampled], out=tmp_path, jobs=1, **OPTIONS)
    assert (again["kept"], again["computed"]) == (2, 1)
    assert again["points"] == first["points"]
    assert (tmp_path / "explore.svg").read_bytes() == drawn


def test_points_of_another_version_are_computed_again(sampled, tmp_path, monkeypatch):
    program = tmp_path / "programs" / "fit.py"
    program.parent.mkdir()
    program.write_text("one = 1\n")
    monkeypatch.setattr("gen.explore.sweep._PROGRAMS", [program.parent])
    options = {"boards": ["arty-a7"], "intervals": [5000], "out": tmp_path, "jobs": 1}
    explore([sampled], **options)
    assert explore([sampled], **options)["kept"] == 1
    program.write_text("one = 2\n")
    assert explore([sampled], **options)["kept"] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cluster_computes_the_same(sampled, tmp_path):
    distributed = pytest.importorskip("distributed")
    here = explore([sampled], out=tmp_path / "here", jobs=2, **OPTIONS)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                                  host="127.0.0.1") as cluster:
        there = explore([sampled], out=tmp_path / "there",
                        scheduler=cluster.scheduler_address, **OPTIONS)
    assert there["points"] == here["points"]
    assert there["computed"] == here["computed"]


@pytest.mark.slow
def test_no_scheduler(sampled, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("gen.explore.sweep._PATIENCE", 1)
    with pytest.raises(BuildError, match=r"^there is no Dask scheduler at tcp://127.0.0.1:9: "):
        explore([sampled], out=tmp_path, scheduler="tcp://127.0.0.1:9", **OPTIONS)


def test_what_does_not_fit_is_told(sampled, tmp_path):
    result = explore([sampled], out=tmp_path, boards=["arty-a7"], intervals=[2, 5000], jobs=1)
    assert len(result["points"]) == 1
    (why,) = result["refused"]
    assert "can't keep 2 clocks an image" in why


def test_command(sampled, tmp_path, capsys):
    artifact.save(sampled, tmp_path / "net.npz")
    words = ["explore", str(tmp_path / "net.npz"), "-o", str(tmp_path / "out"), "--jobs", "1"]
    assert cli.main([*words, "--intervals", "2,5000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["network", "board", "code", "clocks"]
    assert lines[1].split()[:3] == [sampled.name, "arty-a7", "phase"]
    assert [line.split()[0] for line in lines if "can't keep 2 clocks an image" in line] == [
        "refused"]
    assert cli.main([*words, "--intervals", "2"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("error: no point was found: ")


def test_nothing_fits(sampled, tmp_path):
    with pytest.raises(FitError, match=r"^no point was found: .* can't keep 2 clocks an image"):
        explore([sampled], out=tmp_path, boards=["arty-a7"], intervals=[2], jobs=1)
    assert not (tmp_path / "explore.json").exists()


@pytest.mark.parametrize("codes", [["rate"], ["phase", "rate"]])
def test_counts_of_time_steps_have_no_code(codes, sampled, tmp_path):
    stepping = replace(networks.stepping(Dynamics(3)), name="stepping")
    with pytest.raises(FitError, match=r"^stepping fires in time-steps, so its counts have no "
                                       r"code; leave --codes out$"):
        explore([sampled, stepping], out=tmp_path, codes=codes, jobs=1, **OPTIONS)
    assert not list(tmp_path.iterdir())


def test_networks_of_one_name(sampled, tmp_path):
    with pytest.raises(NetworkError, match=f"^{sampled.name} is given twice$"):
        explore([sampled, sampled], out=tmp_path, jobs=1, **OPTIONS)
    other = replace(networks.linear(hidden=6), name=sampled.name)
    with pytest.raises(NetworkError, match=f"^two networks are called {sampled.name}; give each "):
        explore([sampled, other], out=tmp_path, jobs=1, **OPTIONS)


def test_two_points_are_the_ends(sampled, tmp_path):
    result = explore([sampled], out=tmp_path, boards=["arty-a7"], points=2, jobs=1)
    assert result["computed"] == 2


def test_the_network_travels_whole(sampled, tmp_path):
    from gen.explore.sweep import _content, _network
    artifact.save(sampled, tmp_path / "a.npz")
    assert _content(sampled) == (tmp_path / "a.npz").read_bytes()
    assert _network(_content(sampled)).digest == sampled.digest
