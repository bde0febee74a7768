"""Explorations: what is kept, what is best, and that a cluster does the same."""

import json

import numpy as np
import pytest

from gen.errors import BuildError
from gen.explore.sweep import explore, front
from gen.ir import artifact
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
    from dataclasses import replace
    net = networks.linear()
    rng = np.random.default_rng(0)
    return replace(net, samples=rng.integers(0, 256, (5, *net.input_shape)))


OPTIONS = {"boards": ["arty-a7"], "points": 3}


def test_finished_points_are_not_computed_again(sampled, tmp_path):
    first = explore([sampled], out=tmp_path, jobs=1, **OPTIONS)
    assert first["kept"] == 0
    assert first["computed"] == 3
    assert not first["too_large"]
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
    result = explore([sampled], out=tmp_path, boards=["arty-a7"], intervals=[2], jobs=1)
    assert result["points"] == []
    assert "can't keep 2 clocks an image" in result["too_large"][0]


def test_the_network_travels_whole(sampled, tmp_path):
    from gen.explore.sweep import _content, _network
    artifact.save(sampled, tmp_path / "a.npz")
    assert _content(sampled) == (tmp_path / "a.npz").read_bytes()
    assert _network(_content(sampled)).digest == sampled.digest
