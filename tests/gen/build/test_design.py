"""What was decided for a build is in its directory, whole and of one piece, or is refused."""

import copy
import hashlib
import json
import os
import re
import shutil
from dataclasses import replace

import pytest

import boards
from gen.build import design as module
from gen.build import manifest
from gen.build.bitstream import MissedClock
from gen.build.builder import build
from gen.build.design import Design, identity_digest, load, require_emitted, save
from gen.build.planning import design_for
from gen.errors import BuildError, SpikeloomError
from gen.ir import artifact
from hw.config import MemoryImage
from tests import networks
from tests.hw import cases

OPTIONS = {"lanes": {"conv1": 2, "out": 3}, "code": "rate", "interval": 700, "baud": 500_000,
           "clock_hz": 40e6}
NETWORK = networks.convolutional()

FOREIGN = "is not what this version of Spikeloom makes of the network"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A build whose clock comes from a PLL."""
    out = tmp_path_factory.mktemp("built")
    build(NETWORK, board="ulx3s-85f", out=out, synthesise=False, **OPTIONS)
    return out


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same with other lanes."""
    out = tmp_path_factory.mktemp("other")
    build(NETWORK, board="ulx3s-85f", out=out, synthesise=False,
          **OPTIONS | {"lanes": {"conv1": 1, "out": 5}})
    return out


@pytest.fixture
def built(original, tmp_path):
    return shutil.copytree(original, tmp_path / "built")


@pytest.fixture(scope="module")
def stepping(tmp_path_factory):
    """A build of a network whose neurons come to rest."""
    out = tmp_path_factory.mktemp("stepping")
    build(networks.settling(), board="ulx3s-85f", out=out, synthesise=False)
    return out


@pytest.fixture
def settling(stepping, tmp_path):
    return shutil.copytree(stepping, tmp_path / "settling")


def relist(built, **changes):
    """The digests of the files as they are now."""
    facts = json.loads((built / "manifest.json").read_text()) | changes
    manifest.write(built, facts, facts["files"])


def write(built, facts):
    (built / "design.json").write_text(json.dumps(facts))
    relist(built)


def facts_of(built):
    return json.loads((built / "design.json").read_text())


def refused(built, message, file="design.json"):
    """By one line, of moderate length."""
    with pytest.raises(BuildError) as caught:
        load(built)
    text = str(caught.value)
    assert text.startswith(f"{built}/{file}: {message}"), text
    assert text.endswith(" build the network again (python -m gen build)")
    assert "\n" not in text
    assert len(text) < len(str(built)) + 300


class TestThereAndBack:
    def test_it_is_what_was_planned(self, original):
        planned, loaded = design_for(NETWORK, boards.find("ulx3s-85f"), **OPTIONS), load(original)
        for name in ("config", "placement", "clock", "baud", "interval", "calibration", "board",
                     "image", "code", "identity", "digest", "needs"):
            assert getattr(loaded, name) == getattr(planned, name), name
        assert loaded.network.digest == NETWORK.digest
        assert (loaded.code, loaded.baud, loaded.clock.hz) == ("rate", 500_000, 40_000_000)
        assert loaded.clock.pll is not None
        assert loaded.config.cores[0].lanes == 2

    def test_nothing_is_planned(self, original, monkeypatch):
        for name in ("plan", "calibrate"):
            monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("planned"))
        load(original)

    def test_it_is_what_the_verilog_was_made_of(self, built):
        design = load(built)
        require_emitted(design, built)
        (built / "top.v").write_text((built / "top.v").read_text() + "\n")
        with pytest.raises(BuildError, match=f"^{built}/top.v: is not what this version of "
                                             "Spikeloom makes of design.json; build the network "):
            require_emitted(design, built)

    @pytest.mark.parametrize("network, lanes", [
        (networks.linear(), None), (networks.residual(), None), (networks.wide(), None),
        *((cases.network(name), lanes) for name, lanes in cases.LANES.items()),
    ], ids=["linear", "residual", "wide", *cases.LANES])
    def test_every_network(self, network, lanes, tmp_path):
        build(network, board="arty-a7", out=tmp_path, lanes=lanes, synthesise=False)
        design = load(tmp_path)
        assert lanes is None or any(core.masked for core in design.config.cores)
        save(design, tmp_path / "again")
        for name in module.FILES:
            assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()

    def test_rows_that_are_skipped(self, tmp_path):
        build(networks.pruned(NETWORK, 0.9), board="arty-a7", out=tmp_path, synthesise=False)
        design = load(tmp_path)
        assert any(core.live is not None for core in design.config.cores)
        facts = facts_of(tmp_path)
        layer = next(k for k, core in enumerate(design.config.layers)
                     if getattr(core, "live", None) is not None)
        facts["config"]["layers"][layer]["live"][0][0] ^= 1
        write(tmp_path, facts)
        refused(tmp_path, f"config.layers[{layer}].live[0][0] {FOREIGN}")
        facts["config"]["layers"][layer]["live"] = None
        write(tmp_path, facts)
        refused(tmp_path, f"config.layers[{layer}].live {FOREIGN}")

    def test_no_file_is_a_pickle(self, original):
        assert json.loads((original / "design.json").read_text())["format"] == 3
        artifact.load(original / "network.npz")  # which reads none

    def test_the_clock_that_is_met_is_the_one_that_is_saved(self, tmp_path, monkeypatch):
        def miss(board, out, *, clock_hz, asked_hz):
            if clock_hz == 25_000_000:
                raise MissedClock("a tool", clock_hz, 21e6)

        monkeypatch.setattr("gen.build.bitstream.make", miss)
        monkeypatch.setattr(Design, "verilog", lambda self: (
            "module top(input clk, input rst, input rx, output tx); reg q; assign tx = q; always "
            "@(posedge clk) q <= rst & rx; endmodule\n"))
        build(networks.linear(), board="ulx3s-85f", out=tmp_path, clock_hz=25e6)
        facts = json.loads((tmp_path / "manifest.json").read_text())
        assert load(tmp_path).clock.hz == facts["clock_hz"] < 21_000_000


def test_the_digest_is_that_of_the_canonical_text():
    facts = {"b": [1, {"d": "é", "c": None}], "a": 2}
    text = '{"a":2,"b":[1,{"c":null,"d":"\\u00e9"}]}'
    assert identity_digest(facts) == hashlib.sha256(text.encode()).hexdigest()


class TestOfOnePiece:
    """Each file is sound, and one is of another build."""

    @pytest.mark.parametrize("name, message", [
        ("design.json", f"'l0_conv1.parameters' in memory.img {FOREIGN}"),
        ("memory.img", "is of another design than manifest.json"),
    ])
    def test_other_lanes(self, name, message, built, other):
        shutil.copy(other / name, built)
        relist(built)
        refused(built, message, file=name)

    def test_another_network(self, built):
        artifact.save(networks.convolutional(seed=9), built / "network.npz")
        relist(built)
        refused(built, "is another network than that of manifest.json", file="network.npz")

    def test_another_board(self, built):
        relist(built, board="ecpix5-85")
        refused(built, "board is not that of manifest.json, 'ecpix5-85'")

    @pytest.mark.parametrize("changes, message", [
        ({"clock_hz": 50_000_000}, "clock is not that of manifest.json, 50000000"),
        ({"link": {"kind": "uart", "baud": 9600, "wiring": ""}},
         "baud is not that of manifest.json, 9600"),
    ])
    def test_another_clock(self, changes, message, built):
        relist(built, **changes)
        refused(built, message)

    @pytest.mark.parametrize("place, value", [
        ("registers.output_size", 1), ("registers.stride", 1), ("output.settling[0]", "conv9"),
        ("output.charged", 3), ("registers.version", True), ("network_digest", "0" * 64),
        ("array_digest", "0" * 64), ("slice_steps", 1), ("lanes.fc1", 9), ("replicas", None),
        ("code", "rate"), ("interval_cycles", 1), ("interval_cycles", None),
        ("rows.fc1[0]", 99), ("device", "other"), ("budget.luts", 0), ("network", "other"),
        ("calibration", "none")])
    def test_entries_that_were_edited(self, place, value, settling):
        """Of the manifest; the digest of the device is left as it was."""
        facts = json.loads((settling / "manifest.json").read_text())
        *way, last = [int(key) if key.isdigit() else key for key in re.findall(r"\w+", place)]
        inner = facts
        for key in way:
            inner = inner[key]
        assert last in range(len(inner)) if isinstance(inner, list) else last in inner
        inner[last] = value
        manifest.write(settling, facts, facts["files"])
        if place == "network_digest":
            refused(settling, "is another network than that of ", file="network.npz")
        else:
            refused(settling, f"{place} is not that of manifest.json")

    def test_a_baud_that_the_clock_does_not_allow(self, built):
        facts = facts_of(built)
        write(built, facts | {"baud": 1 << 30})
        relist(built, link={"kind": "uart", "baud": 1 << 30, "wiring": ""})
        refused(built, "baud can't be: baud must be at most ")

    @pytest.mark.parametrize("changes, message", [
        ({"interval": -5.0}, "interval must be a positive number of clocks, not -5.0"),
        ({"interval": 0.0}, "interval must be a positive number of clocks, not 0.0"),
        ({"calibration": "two\nlines"}, "calibration must be one line of text"),
    ])
    def test_facts_that_cannot_be(self, changes, message, built):
        write(built, facts_of(built) | changes)
        relist(built)
        refused(built, message)

    @pytest.mark.parametrize("changes", [{"family": "zzz"}, {"family": "iCE40"}, {"in_blocks": []},
                                         {"brams": -1.0}])
    def test_another_placement(self, changes, built):
        facts = facts_of(built)
        placed = facts["placement"]
        write(built, facts | {"placement": placed | {
            name: value for name, value in changes.items() if name in placed}})
        relist(built)
        refused(built, "placement is not what this version of Spikeloom chooses for ulx3s-85f")

    def test_a_build_without_one(self, built):
        facts = json.loads((built / "manifest.json").read_text())
        manifest.write(built, facts, facts["files"].keys() - {"design.json"})
        with pytest.raises(BuildError, match=r"manifest.json: lists no design.json: it is no "):
            load(built)

    def test_a_design_that_was_edited_consistently(self, original, tmp_path):
        """All the files are rewritten, digests and all; what contradicts itself is seen still."""
        design = load(original)
        config, image = design.config, design.image
        first, parameters = config.layers[0], f"{config.layers[0].port}.parameters"

        def layer(**changes):
            return replace(config, layers=(replace(first, **changes), *config.layers[1:]))

        source = replace(first.sources[0], kernel=(1 << 40, 1), padding=(1 << 40, 1),
                         rows=1 << 41)
        for changes, message in [
            ({"config": layer(name="conv9")}, "config.layers must be the network's"),
            ({"config": layer(port="l0 evil;")}, f"config.layers[0].port {FOREIGN}"),
            ({"config": layer(sources=(source,))},
             "config can't be: rows of conv1 must be from [9] to [18], not [2199023255552]"),
            ({"config": layer(sources=(replace(first.sources[0], lanes=(0, 1)),))},
             f"config.layers[0].sources[0].lanes {FOREIGN}"),
            ({"config": layer(sources=(replace(first.sources[0], fixed=True),))},
             f"config.layers[0].sources[0].fixed {FOREIGN}"),
            ({"config": layer(schedule=replace(first.schedule, levels=7))},
             f"config.layers[0].schedule.levels {FOREIGN}"),
            ({"config": layer(schedule=replace(first.schedule, steps=()))},
             f"config.layers[0].schedule.steps {FOREIGN}"),
            ({"config": layer(channels=6)}, f"config.layers[0].channels {FOREIGN}"),
            ({"config": layer(membrane_bits=1 << 40)}, f"config.layers[0].membrane_bits {FOREIGN}"),
            ({"config": layer(lanes=6)},
             "config can't be: conv1: lanes must be 1 to 5 (its channels), not 6"),
            ({"config": replace(config, layers=config.layers[1:])}, "config.layers must be the n"),
            ({"config": replace(config, input=replace(config.input, levels=3))},
             f"config.input.levels {FOREIGN}"),
            ({"image": image | {"l9.weights": MemoryImage(3, (1,))}},
             f"'l9.weights' in memory.img {FOREIGN}"),
            ({"image": {name: memory for name, memory in image.items() if name != parameters}},
             f"{parameters!r} in memory.img {FOREIGN}"),
            ({"image": image | {parameters: replace(
                image[parameters], rows=(image[parameters].rows[0] ^ 1,
                                         *image[parameters].rows[1:]))}},
             f"{parameters!r} in memory.img {FOREIGN}"),
        ]:
            out = shutil.copytree(original, tmp_path / "edited", dirs_exist_ok=True)
            edited = replace(design, **changes)
            save(edited, out)
            relist(out, **edited.identity, digest=edited.digest)
            refused(out, message)


def four_replicas(layers):
    """Another mapping of the network: with the rows of spike memories that go with it."""
    layers[0].update(replicas=4)
    layers[0]["sources"][0].update(rows=13)
    layers[1]["source"].update(rows=9)


class TestDamaged:
    @pytest.mark.parametrize("text, message", [
        (b"", "is no design: it is not JSON"), (b"[" * 100_000, "is no design: it is not JSON"),
        (b"\xff", "is no design: it is not JSON"), (b"9" * 5000, "is no design: it is not JSON"),
        (b"[]", "is no design of format 3"), (b"{}", "is no design of format 3"),
        (b'{"format": 3}', "board is not that of manifest.json, 'ulx3s-85f'"),
        (b'{"format": 3, "board": "ulx3s-85f"}', "config is missing"),
    ])
    def test_text(self, text, message, built):
        (built / "design.json").write_bytes(text)
        relist(built)
        refused(built, message)

    def test_huge(self, built, monkeypatch):
        monkeypatch.setattr(module, "_MAX_BYTES", 1 << 10)
        refused(built, "is no design: it is larger than 0 MiB")

    def test_fifo(self, built):
        (built / "design.json").unlink()
        os.mkfifo(built / "design.json")
        refused(built, "can't be read: Not a regular file; it is part of the build",
                file="design.json")

    def test_image(self, built):
        (built / "memory.img").write_bytes(b"SPKLIMG\0" * 9)
        relist(built)
        refused(built, "image version must be 1", file="memory.img")

    @pytest.mark.parametrize("change, message", [
        (lambda f: f.pop("baud"), "baud is missing"),
        (lambda f: f.update(baud="fast"), "baud must be an integer, not 'fast'"),
        (lambda f: f.update(baud=1 << 70), "baud is not that of manifest.json, 500000"),
        (lambda f: f.update(more=1), "the object has 'more', which is no field of Decisions"),
        (lambda f: f.update(interval=float("nan")), "interval must be a number, not 'nan'"),
        (lambda f: f["clock"].update(output=[1, 0]), "clock.output must be a fraction, not a list"),
        (lambda f: f["placement"]["in_blocks"].append({}), "placement.in_blocks["),
        (lambda f: f["config"]["layers"].clear(), "config.layers must be the network's"),
        (lambda f: f["config"]["layers"].__setitem__(-1, f["config"]["layers"][1] | {
            "name": "out"}), "config.layers must be the network's"),
        (lambda f: f["config"]["layers"][0].update({"is": "Pool"}),
         "config.layers[0] must be an object that is a CoreConfig or PoolConfig, not an object"),
        (lambda f: f["config"]["layers"][0].update(lanes=2.5),
         "config.layers[0].lanes must be an integer, not '2.5'"),
        (lambda f: f["config"]["layers"][0]["sources"][0]["map"].update(code="burst"),
         ("config.layers[0].sources[0].map: code must be 'phase', 'rate', 'train' or "
         "'change', not 'burst'")),
        (lambda f: f["config"]["layers"][2]["masks"].pop(), f"config.layers[2].masks {FOREIGN}"),
        (lambda f: f["config"]["layers"][0]["schedule"].update(code="burst"),
         f"config.layers[0].schedule.code {FOREIGN}"),
        (lambda f: f["config"]["layers"][-1]["schedule"].update(code="burst"),
         ("config can't be: code must be 'phase', 'rate', 'train' or 'change', not "
         "'burst'")),
        (lambda f: f["config"]["layers"][0]["schedule"]["steps"][0]["fires"][0].update(row=1.5),
         "config.layers[0].schedule.steps[0].fires[0].row must be an integer, not '1.5'"),
        (lambda f: f["config"]["layers"][0]["schedule"]["rows"].pop(),
         f"config.layers[0].schedule.rows {FOREIGN}"),
        (lambda f: f["config"]["layers"][0]["sources"][0].update(rows=99),
         "config can't be: rows of conv1 must be from [9] to [18], not [99]"),
        (lambda f: f["config"]["layers"][0]["sources"][0].update(rows=18),
         "config is of another array than manifest.json says"),
        (lambda f: f["config"]["layers"][0]["sources"][0].update(stride=[0, 1]),
         "config.layers[0].sources[0]: stride must be at least 1, not (0, 1)"),
        (lambda f: four_replicas(f["config"]["layers"]),
         "config is of another array than manifest.json says"),
        (lambda f: f["clock"].update(output=[0, 1]),
         "clock is not that of manifest.json, 40000000"),
    ])
    def test_fields(self, change, message, built):
        facts = facts_of(built)
        change(facts)
        write(built, facts)
        refused(built, message)

    def test_any_value_anywhere(self, built):
        """One line that names the file, or a design whose array is the one that was built."""
        facts, digest = facts_of(built), load(built).digest
        for k, place in enumerate(places(facts)):
            for value in (None, -1, 0, 1 << 70, 1e308, True, "x", [], {}, [[1]])[k % 3::3]:
                changed = copy.deepcopy(facts)
                inner = changed
                for key in place[:-1]:
                    inner = inner[key]
                inner[place[-1]] = value
                write(built, changed)
                try:
                    design = load(built)
                except SpikeloomError as error:
                    text = str(error)
                    assert text.startswith(f"{built}/design.json: ")
                    assert "\n" not in text
                else:
                    assert isinstance(design, Design)
                    assert design.digest == digest


def places(value, before=()):
    """Keys that lead to every value within a value, one of many equal items of a list."""
    items = (value.items() if isinstance(value, dict) else
             list(enumerate(value))[:3] if isinstance(value, list) else ())
    for key, inner in items:
        yield (*before, key)
        yield from places(inner, (*before, key))


def test_a_train_of_events_is_packed_by_the_host_as_it_is():
    """Its counts are bits, which no level rounds."""
    network = networks.spiking()
    design = design_for(network, boards.find("arty-a7"))
    given = design.identity["input"]
    assert (given["levels"], given["pixel_max"], given["bits"]) == (63, 63, 6)
    chunks = -(-given["map"][0] // given["word"])
    assert given["beats"] == given["map"][1] * given["map"][2] * chunks
