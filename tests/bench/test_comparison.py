"""Our figures beside those of others."""

import pytest

from bench import comparison

ROW = {
    "network": "mnist", "dataset": "mnist", "interval": 3500, "board": "arty-a7",
    "device": "xc7a35t", "clock_hz": 100_000_000, "images": 10_000, "accuracy": 0.9939,
    "mismatches": 0, "interval_cycles": 3344.4, "predicted_interval_cycles": 3300,
    "images_per_second": 1e8 / 3344.4, "latency_cycles": 5000.0, "latency_us": 50.0,
    "bottleneck": "conv2", "utilisation_bottleneck": 0.97, "utilisation_array": 0.834,
    "luts": 12_107, "ffs": 9000, "brams": 24.5, "dsps": 0, "latches": 0,
}


def test_section():
    other = comparison.Entry("Other", "mnist", "abstract", "https://arxiv.org/abs/1234.5",
                             accuracy="> 99", latency_us=0.31, luts=500, note="Odd.")
    lines = comparison.section([comparison.ours(ROW), other]).splitlines()
    assert lines[1:] == [
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --- | --: | --- |",
        ("| **Spikeloom** | `mnist`, `--interval 3500` | 99.39 | 3,344 | 29,901 | 50 | 12,107 "
         "| 24.5 | 0 | 2,470 | xc7a35t | 100 | run by us |"),
        ("| Other |  | > 99 |  |  | 0.31 | 500 |  |  |  |  |  "
         "| the paper's abstract, [1234.5](https://arxiv.org/abs/1234.5) (1) |"),
        "",
        "1. Odd."]


def test_a_peer_must_say_how_sure_it_is():
    with pytest.raises(ValueError, match=r"^X: data set must be one of digits, mnist, .* not "
                                         "'mnist', 'recalled'$"):
        comparison.Entry("X", "mnist", "recalled")


def test_peers_have_sources():
    entries = comparison.published()
    assert {entry.dataset for entry in entries} == {"mnist", "fashion-mnist", "cifar-10"}
    for entry in entries:
        assert entry.source.startswith(("https://arxiv.org/abs/", "https://doi.org/")), entry
        given = (entry.accuracy, entry.clocks, entry.images_per_second, entry.latency_us)
        assert any(value is not None for value in given), entry


def test_measured_rates_follow_from_clocks():
    for entry in comparison.published():
        if entry.clocks is not None:
            rate = entry.clock_mhz * 1e6 / entry.clocks
            assert entry.images_per_second == pytest.approx(rate, rel=1e-3), entry


def test_the_same_network_through_a_peer():
    entry = comparison.same_network({
        "network": "mnist-mlp-128", "images": 100, "steps": 4, "peer_clocks": 4000.0,
        "agreement": 1.0, "peer_luts": 6000, "peer_latches": 2115, "ratio_clocks": 14.64,
        "ratio_luts": 3.03})
    assert (entry.images_per_second, entry.luts) == (25_000, 6000)
    assert "14.6 times our clocks" in entry.note
    assert "3.0 times our LUTs" in entry.note
