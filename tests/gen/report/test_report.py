"""The report: one page that needs nothing else, says what was measured, and survives any input."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from gen.build import manifest
from gen.build.builder import build
from gen.cli import main as cli
from gen.errors import BuildError, OutputError
from gen.plan.mapping import map_network
from gen.report import directory, drawings, measure, page, report
from gen.report.steps import steps
from tests import networks

NAME = '<b onclick="x">&$fc^1$\x07'
VOID = {"meta", "path", "use", "br", "image", "rect", "link"}


def network():
    """Two linear layers, one with a name that would be markup, and images that travel along."""
    plain = networks.linear()
    first, last = plain.layers
    (synapses,) = last.synapses
    images = np.random.default_rng(0).integers(0, 256, (24, *plain.input_shape))
    return replace(plain, samples=images, metadata={"accuracy": 0.5, "command": "<i>train</i>"},
                   layers=(replace(first, name=NAME),
                           replace(last, synapses=(replace(synapses, source=NAME),))))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("build")
    build(network(), board="arty-a7", out=out, synthesise=False)
    return out


@pytest.fixture(scope="module")
def result(built):
    return report(built, jobs=1)


@pytest.fixture(scope="module")
def text(result):
    with open(result["report"], encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def measured(built, result):
    return json.loads((built / measure.CACHE).read_text())["measured"]


class Page(HTMLParser):
    """Checks that elements are nested, and keeps their attributes and the text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._open = [], "", []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_result(result):
    assert result["network"] == "linear"
    assert result["board"] == "arty-a7"
    assert result["images"] == 24 * 6
    assert result["mismatches"] == 0
    assert result["accuracy"] is None
    assert result["lane_utilisation"].keys() == {NAME, "out"}
    assert result["headline"].endswith("images a second at 100 MHz.")


def test_page_is_whole_and_alone(text):
    page = Page(text)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for _, attrs in page.elements:
        for name in ("href", "xlink:href", "src", "srcset", "action", "data"):
            value = attrs.get(name, "#")
            assert value.startswith("data:image/png;base64,") or value.startswith("#")
            assert not value.startswith("#") or value == "#" or value[1:] in ids
        assert not any(name.startswith("on") for name in attrs)
        for reference in re.findall(r"url\(([^)]*)\)", " ".join(filter(None, attrs.values()))):
            assert reference[1:] in ids
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "link", "b", "i", "base"}
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert re.search(r"url\((?!#)", text) is None


def test_page_says_it(text):
    page = Page(text)
    for words in ("What runs where", "How fast", "How full", "Spikes", "Is it right", "Timing",
                  "Versions and digests", "sets the interval", "without synthesis",
                  "predicted, by layer", network().digest, "<i>train</i>", "50.00%"):
        assert words in page.text, words
    assert page.text.count('<b onclick="x">&$fc^1$\N{REPLACEMENT CHARACTER}') >= 4
    figures = [attrs for tag, attrs in page.elements if tag == "svg" and "aria-label" in attrs]
    assert len(figures) == 6 + 2  # two layers have lanes
    assert all(attrs["role"] == "img" for attrs in figures)
    assert not re.search("#0000f[0-5]", text), "a stand-in colour is left"


def test_second_call_measures_nothing(built, text, monkeypatch, tmp_path):
    monkeypatch.delattr(measure, "stream")
    again = report(built, jobs=1, out=tmp_path / "again.html")
    assert again["report"] == str(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text
    with pytest.raises(NameError):
        report(built, limit=5, out=tmp_path / "few.html")


def test_command(built, result, capsys, tmp_path):
    out = tmp_path / "page.html"
    assert cli.main(["report", str(built), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result | {"report": str(out)}
    assert cli.main(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/manifest.json: can't be read: No such file or directory; give a "
        f"directory that 'python -m gen build' has filled\n")


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"key": 1}'])
def test_a_spoiled_cache_is_none(kept, tmp_path):
    (tmp_path / "report.json").write_text(kept)
    assert measure._kept(tmp_path / "report.json", "key") is None


def test_too_few_images_for_a_pace(built, measured):
    few = measured | {"interval": None, "busy": None, "array": None, "occupancy": None}
    text = page.render(directory.read(built), few)
    assert "images a second at" not in text
    assert "of clocks" not in text
    Page(text)


def test_mismatches_are_seen(built, measured):
    whole = directory.read(built)
    wrong = measured | {"mismatches": 7, "verified": measured["verified"] | {
        "mismatches": 2, "first_mismatch": {"layer": "<u>", "sample": 3}}}
    text = page.render(whole, wrong)
    assert 'class="bad"><dt>mismatches</dt><dd>9</dd>' in text
    assert "First mismatch: layer &lt;u&gt;, sample 3." in text
    assert 'class="good"><dt>mismatches</dt>' in page.render(whole, measured)


def test_gate_level(built, measured):
    whole = replace(directory.read(built), gate_level=[
        {"kind": "netlist", "file": "netlist.json", "images": 3, "spikes": 3036, "mismatches": 0,
         "first_mismatch": None, "cells": 7654},
        {"kind": "bitstream", "file": "board.bin", "images": 5, "spikes": 50, "mismatches": 8,
         "first_mismatch": {"layer": "<u>", "sample": 3}, "cells": None}])
    text = page.render(whole, measured)
    for words in ("<dt>mismatches</dt><dd>8</dd>", "the netlist, from pin to pin",
                  "netlist.json, 7,654 cells", "<td>3,036</td>", "the bitstream, from pin to pin",
                  "<small>board.bin</small>",
                  "First mismatch of the bitstream: layer &lt;u&gt;, sample 3."):
        assert words in text, words
    assert page.wrong(whole, measured) == 8
    Page(text)
    assert "from pin to pin" not in page.render(directory.read(built), measured)


def test_device_and_timing(built, measured):
    whole = directory.read(built)
    resources = {"luts": 5200, "ffs": 10, "brams": 2.5, "dsps": 0}
    whole = replace(
        whole, manifest=replace(whole.manifest, resources=resources),
        timing={"toolchain": "nextpnr-<x>", "asked_hz": 100e6, "fmax_hz": 104_270_000.0,
                "critical_path": [{"kind": "logic", "delay_ns": 0.25, "from": "c", "to": "a<b>"},
                                  "odd"],
                "used": {"TRELLIS_COMB": {"used": 4321, "available": 83640}, "odd": 3},
                "tools": {"nextpnr-ecp5": "0.9<"}})
    text = page.render(whole, measured)
    for words in ("5,200", "25%", "2.5", "104 MHz", "1 hops", "a&lt;b&gt;", "nextpnr-&lt;x&gt;",
                  "4,321", "83,640", "0.9&lt;"):
        assert words in text, words
    assert "not predicted" in page.render(replace(whole, needs=None), measured)
    for odd in ({}, {"critical_path": 3, "used": 3, "tools": 3, "fmax_hz": "x"}):
        Page(page.render(replace(whole, timing=odd), measured))


def test_headline(built, measured):
    whole = directory.read(built)
    assert page.headline(whole, measured | {
        "bottleneck": "input", "predicted": measured["predicted"] | {"input": 18.0},
        "interval": 20.0,
    }) == ("The input sets the interval: its pixels take 18 clocks for an image; an image leaves "
           "the array every 20 clocks, which is 5,000,000 images a second at 100 MHz.")
    assert page.headline(whole, measured | {
        "bottleneck": "out", "predicted": {"out": 1234.4}, "busy": {"out": 0.957},
        "interval": None,
    }) == ("out sets the interval: it needs 1,234 clocks for an image, and its lanes add in 96% of "
           "all clocks.")


@pytest.mark.parametrize("network", [networks.convolutional(), networks.residual()])
def test_every_kind_of_layer(network, built, measured):
    """The parts of a page that depend on the layers, drawn of made-up clocks."""
    replicas = {layer.name: 2 for layer in network.layers[:1]}
    config, _ = map_network(network, replicas=replicas)
    names = [layer.name for layer in config.layers]
    beats = {layer.name: np.arange(layer.beats) * 3 + k
             for k, layer in enumerate(config.layers)} | {"out": np.array([1000])}
    counts = networks.counts_for(network, 2)
    cores = {core.name: 0.25 for core in config.cores}
    whole = directory.read(built)
    whole = replace(whole, design=replace(whole.design, network=network, config=config))
    made_up = measured | {
        **measure._predicted(network, config, counts, counts), "bottleneck": names[0],
        "busy": cores, "alone": {name: [k * 10.0, k * 10.0 + 40] for k, name in enumerate(names)},
        "spikes": dict.fromkeys(["input", *names[:-1]], 2.5),
        "occupancy": {"width": 4, "shares": {name: [0, 0.5, 1] for name in cores},
                      "completed": [5]},
        "raster": measure._raster(network, config, counts[:1], beats),
        "picture": measured["picture"] | {"pixels": counts[0].tolist()}}
    text = page.render(whole, made_up)
    Page(text)
    for words in ("× <strong>2</strong> replicas", "in each of 2 replicas", "sum pooling",
                  "convolution 3×3", "read-out",
                  'would make it faster (<code class="option">--interval</code>)'):
        assert words in text, words
    assert ("sum of 2 sources" in text) == (network.name == "residual")
    assert ("from deep and stem" in text) == (network.name == "residual")
    assert ("maximum pooling" in text) == (network.name == "convolutional")


def test_raster():
    """Each spike at the clock of its beat, adjacent ones in one stroke."""
    network = networks.convolutional()
    config, _ = map_network(network)
    counts = networks.counts_for(network, 1)
    trace = network.run(counts)
    clocks = {layer.name: 100 * k + np.arange(500) for k, layer in enumerate(config.layers)}
    clocks["out"] = np.array([650])
    raster = measure._raster(network, config, counts, clocks)
    assert raster["clocks"] == 651
    for layer, drawn in zip(config.layers, raster["layers"], strict=False):
        found = {(channel, clock) for channel, low, high in drawn["runs"]
                 for clock in range(low, high)}
        expected = set()
        for channel, y, x in zip(*np.nonzero(trace.counts[layer.name][0]), strict=True):
            beat = (y * layer.out.width + x) * layer.out.chunks + channel // layer.out.word
            expected.add((int(channel), int(clocks[layer.name][beat])))
        assert found == expected
        ends = {(channel, high) for channel, _, high in drawn["runs"]}
        assert not ends & {(channel, low) for channel, low, _ in drawn["runs"]}


@pytest.fixture(scope="module")
def stepping(tmp_path_factory):
    """The build of a network with time-steps."""
    out = tmp_path_factory.mktemp("stepping")
    plain = networks.settling()
    build(replace(plain, samples=networks.counts_for(plain, 6)), board="arty-a7", out=out,
          synthesise=False)
    return directory.read(out)


@pytest.fixture(scope="module")
def found(stepping):
    return steps(stepping.network, stepping.network.samples, np.array([0, 1, 2, 3, 0, 1]))


class TestTimeSteps:
    """A network that takes spikes back, and may end before it is quiet."""

    def test_steps(self, stepping, found):
        """All that the network tells of its time-steps."""
        trace = stepping.network.run(stepping.network.samples)
        for layer, (name, train) in zip(found["layers"], trace.trains.items(), strict=True):
            assert layer["name"] == name
            for which, number, sign in (("added", "spikes", 1), ("taken", "takes", -1)):
                fired = np.argwhere(train[:, 0, :, 0, 0] == sign)
                assert sorted(map(tuple, layer[which])) == sorted(
                    (int(channel), int(step)) for step, channel in fired)
                assert layer[number] == (train[:, 0] == sign).sum(axis=(1, 2, 3)).tolist()
        assert found["logits"] == trace.steps[:, 0].tolist()
        assert found["classes"] == trace.steps[:, 0].argmax(axis=1).tolist()
        right = trace.steps.argmax(axis=2) == [0, 1, 2, 3, 0, 1]
        assert found["accuracy"] == right.mean(axis=1).tolist()
        assert found["final"][-1] == 1
        assert found["awake"] == [True, False, False]
        assert [layer["share"] for layer in found["quiet"]] == [2 / 6, 1 / 6]
        assert [layer["sample"] for layer in found["quiet"]] == [True, False]

    def test_batches_are_one(self, stepping, found, monkeypatch):
        monkeypatch.setattr("gen.ir.batches._MOST", 4)
        network = stepping.network
        assert steps(network, network.samples, np.array([0, 1, 2, 3, 0, 1])) == found

    def test_of_those_that_never_rest(self):
        network = networks.stepping(networks.STEPPING["burst"])
        found = steps(network, networks.counts_for(network, 2), None)
        assert found["quiet"] is None
        assert found["accuracy"] is None
        trains = network.run(networks.counts_for(network, 2)).trains
        assert [layer["spikes"] for layer in found["layers"]] == [
            train[:, 0].sum(axis=(1, 2, 3)).tolist() for train in trains.values()]

    def test_without_time_steps(self):
        network = networks.linear()
        assert steps(network, networks.counts_for(network, 1), None) is None

    def test_page(self, stepping, found):
        result = report(stepping.directory, jobs=1)
        assert result["mismatches"] == 0
        text = (stepping.directory / "report.html").read_text(encoding="utf-8")
        said = Page(text)
        for words in ("Neurons fire in each of 3 time-steps", "taken back", "class is final",
                      "quiet at the end", "layers send the spikes of 3 time-steps",
                      "the logits are those of the quantised network"):
            assert words in said.text, words
        kept = json.loads((stepping.directory / measure.CACHE).read_text())["measured"]
        assert kept["steps"] == found | {"accuracy": None}
        # Every spike counts, also those that are taken back.
        train = stepping.network.run(stepping.network.samples).trains["fc2"]
        assert kept["spikes"]["fc2"] == np.count_nonzero(train) / 6
        assert kept["picture"]["spikes"]["fc2"] == np.count_nonzero(train[:, 0])
        labels = [attrs["aria-label"] for tag, attrs in said.elements if tag == "svg"]
        assert any(label.startswith("Spikes of one image by time-step: fc1 sends ")
                   for label in labels)
        assert any(label.startswith("Logits of 4 classes after each of 3 ") for label in labels)
        assert not re.search("#0000f[0-5]", text), "a stand-in colour is left"
        text = page.render(stepping, kept | {"steps": found})
        assert "class is final" not in text
        assert "accuracy<br><small>all images" in text


def test_drawings_have_their_own_ids():
    twice = [drawings.points([[1, 2], [3, 5]]), drawings.alone(["a"], {"a": [1, 9]}, 12)]
    ids = [set(re.findall(r' id="([^"]*)"', drawing)) for drawing in twice]
    assert all(ids)
    assert not ids[0] & ids[1]
    assert drawings.points([[1, 2], [3, 5]]) == twice[0]


class TestBadDirectory:
    """Of a manifest that is damaged, and files that are not those of the build, test_manifest and
    test_design in tests/gen/build tell."""

    @pytest.fixture
    def copy(self, built, tmp_path):
        return shutil.copytree(built, tmp_path / "copy")

    def fails(self, copy, message):
        with pytest.raises(BuildError, match=rf"^{re.escape(str(copy))}/{message}") as caught:
            report(copy)
        assert "\n" not in str(caught.value)

    def test_verilog_of_another_version(self, copy):
        (copy / "top.v").write_text("// of another version\n" + (copy / "top.v").read_text())
        facts = json.loads((copy / "manifest.json").read_text())
        manifest.write(copy, facts, facts["files"])
        (copy / measure.CACHE).unlink(missing_ok=True)
        self.fails(copy, r"top.v: is not what this version of Spikeloom makes of design.json; "
                         r"build the network again \(python -m gen build\)$")

    @pytest.mark.parametrize("text", ["{", "3"])
    def test_timing(self, copy, text):
        (copy / "timing.json").write_text(text)
        self.fails(copy, r"timing.json: .*JSON.*; build the network again \(python -m gen build\)$")


class TestOutput:
    """What is in the page's way is said before anything is simulated."""

    @pytest.fixture(autouse=True)
    def early(self, monkeypatch):
        monkeypatch.setattr(measure, "measure", lambda *_, **__: pytest.fail("simulated"))

    def test_page(self, built, tmp_path):
        with pytest.raises(OutputError, match=f"^{tmp_path}: can't be written: Is a directory; "):
            report(built, out=tmp_path)

    def test_page_over_the_build(self, built):
        for name in ("top.v", "manifest.json", "network.npz"):
            with pytest.raises(OutputError, match=f"^{built}/{name}: is an input of this command "):
                report(built, out=built / name)

    def test_measurements(self, built, tmp_path):
        copy = shutil.copytree(built, tmp_path / "copy", ignore=shutil.ignore_patterns("report*"))
        (copy / measure.CACHE).mkdir()
        with pytest.raises(OutputError, match=f"^{copy}/report.json: can't be written: Is a dir"):
            report(copy, out=tmp_path / "page.html")


def test_what_was_decided(tmp_path, built, measured):
    """Nothing of it is guessed."""
    build(network(), board="arty-a7", out=tmp_path, synthesise=False, code="rate",
          lanes={NAME: 3})
    whole = directory.read(tmp_path)
    assert (whole.design.code, whole.config.cores[0].lanes) == ("rate", 3)
    text = Page(page.render(directory.read(built), measured)).text
    assert "in phase code" in text
    assert "24 samples that travel with the network" in text


def test_a_network_that_is_a_readout_only(tmp_path):
    build(networks.wide(), board="arty-a7", out=tmp_path, synthesise=False)
    report(tmp_path, limit=2, jobs=1)
    assert "Spike raster" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_images_of_a_network_without_any():
    images, labels, source = measure._images(networks.linear(), None, None)
    assert source == "random"
    assert labels is None
    assert networks.linear().encode(images).any()


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)

PROBE = """<!DOCTYPE html><body style="margin:0"><iframe style="border:0" width="WIDTH"
height="900"></iframe><pre id="facts"></pre><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const inner = frame.contentDocument, root = inner.documentElement;
  const box = element => element.getBoundingClientRect();
  document.querySelector("#facts").textContent = JSON.stringify({
    width: root.scrollWidth, height: root.scrollHeight,
    figures: [...inner.querySelectorAll("svg")].map(svg => [box(svg).width, box(svg).height]),
    texts: [...inner.querySelectorAll("figure svg text")].map(text => box(text).height),
    page: frame.contentWindow.getComputedStyle(inner.body).backgroundColor,
    ink: frame.contentWindow.getComputedStyle(inner.body).color,
    fills: [...inner.querySelectorAll("figure svg text")].map(
      text => frame.contentWindow.getComputedStyle(text).fill),
  });
};
frame.srcdoc = PAGE;
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width, scheme", [(380, "light"), (1400, "dark")])
def test_in_a_browser(text, tmp_path, width, scheme):
    probe = PROBE.replace("WIDTH", str(width)).replace(
        "PAGE", json.dumps(text).replace("</", "<\\/"))
    (tmp_path / "probe.html").write_text(probe, encoding="utf-8")
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *dark,
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1500,1000",
         "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "probe.html").as_uri()],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, timeout=120)
    facts = json.loads(re.search(r'<pre id="facts">(.*?)</pre>', done.stdout)[1])
    assert facts["width"] <= width, "the page scrolls sideways"
    assert facts["height"] > 2000
    assert len(facts["figures"]) == 8
    assert all(inner > 5 and height > 5 for inner, height in facts["figures"])
    assert all(inner <= width for inner, _ in facts["figures"])
    assert min(facts["texts"]) >= 7, "figures are too small to read"

    def light(colour):
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765

    page, ink = light(facts["page"]), light(facts["ink"])
    assert (page > 0.9 and ink < 0.3) if scheme == "light" else (page < 0.2 and ink > 0.8)
    assert all(abs(light(fill) - page) > 0.3 for fill in facts["fills"])
