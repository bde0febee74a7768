"""Commands on a build's directory, which says how it was built, and on a network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gen.build import builder, manifest
from gen.build.design import load
from gen.build.verilog import array_verilog
from gen.cli import main as cli
from gen.ir import artifact
from gen.ir.network import Network
from gen.plan.workload import Calibration, Workload
from gen.verify import rtl, simulation
from tests import networks

ROOT = Path(__file__).parents[3]
MAPPING = ["--board", "ulx3s-85f", "--lanes", "fc1=3", "--code", "rate", "--interval", "90"]
COMMANDS = ("verify", "simulate", "report", "virtual", "program")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Path of a network that says it was trained on the digits."""
    path = tmp_path_factory.mktemp("network") / "net.npz"
    layers = networks.linear(shape=(1, 8, 8), hidden=6, classes=10).layers
    artifact.save(Network("net", (1, 8, 8), 3, 16, layers, {"dataset": "digits"}), path)
    return path


@pytest.fixture(scope="module")
def built(network, tmp_path_factory):
    """A build of it with options of which none is the default."""
    out = tmp_path_factory.mktemp("built")
    assert cli.main(["build", str(network), *MAPPING, "-o", str(out), "--no-synthesis"]) == 0
    return out


@pytest.fixture
def asked(capsys):
    """The object that a command prints."""
    def run(*words):
        status = cli.main([*map(str, words), "--json"])
        out, err = capsys.readouterr()
        assert status == 0, err
        return json.loads(out)
    return run


@pytest.fixture
def arrays(monkeypatch):
    """Every array that is simulated."""
    seen = []

    def spy(config, image):
        seen.append(config)
        return array_verilog(config, image)
    for module in (rtl, simulation):
        monkeypatch.setattr(module, "array_verilog", spy)
    return seen


def error(capsys, *words):
    """The one line of a command that fails."""
    assert cli.main([*map(str, words)]) == 1
    out, err = capsys.readouterr()
    *_, line = err.splitlines()
    assert out == ""
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


class TestWithoutAFlag:
    """What was built is what is simulated, and nothing is planned."""

    @pytest.fixture(autouse=True)
    def unplanned(self, monkeypatch, built):
        config = load(built).config
        assert (config.readout.schedule.code, config.cores[0].lanes) == ("rate", 3)
        monkeypatch.setattr("gen.build.planning.plan", lambda *_, **__: pytest.fail("planned"))
        monkeypatch.setattr("gen.build.planning.calibrate", lambda *_: pytest.fail("planned"))

    def test_verify(self, built, asked, arrays):
        result = asked("verify", built, "--images", "5")
        assert (result["images"], result["mismatches"], result["source"]) == (5, 0, "digits")
        assert arrays == [load(built).config]

    def test_simulate(self, built, asked, arrays):
        result = asked("simulate", built, "--limit", "40", "--jobs", "1")
        assert (result["images"], result["mismatches"]) == (40, 0)
        assert arrays == [load(built).config]

    def test_report(self, built, asked, arrays, tmp_path):
        result = asked("report", built, "--limit", "8", "--jobs", "1", "-o", tmp_path / "p.html")
        assert (result["board"], result["mismatches"]) == ("ulx3s-85f", 0)
        assert arrays == [load(built).config] * 2
        assert "in rate code" in (tmp_path / "p.html").read_text(encoding="utf-8")

    def test_virtual(self, built, network, tmp_path):
        """As the host starts it."""
        images = np.random.default_rng(0).integers(0, 17, (6, 1, 8, 8), np.uint8)
        np.save(tmp_path / "images.npy", images)
        done = subprocess.run(
            [sys.executable, "-m", "host", "infer", str(tmp_path / "images.npy"), "--board",
             str(built), "--port", "virtual", "--json"], cwd=ROOT, capture_output=True, text=True,
            check=True)
        assert json.loads(done.stdout)["logits"] == artifact.load(network).predict(images).tolist()

    def test_program(self, built, capsys):
        assert error(capsys, "program", built).startswith(f"{built} has no bitstream; ")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", [
    ["--board", "ulx3s-85f"], ["--lanes", "fc1=3"], ["--interval", "90"], ["--code", "rate"],
    ["--objective", "smallest"], ["--calibration", "5"],
    ["--differential", "fc1=conv1"]], ids=lambda flag: flag[0])
def test_what_a_build_has_fixed(command, flag, built, capsys):
    assert error(capsys, command, built, *flag) == (
        f"{flag[0]} is fixed by the build in {built}; leave it out")


@pytest.mark.parametrize("command", ["program", "virtual"])
@pytest.mark.parametrize("flag", [["--dataset", "digits"], ["--data", "folder"]],
                         ids=lambda flag: flag[0])
def test_images_that_can_only_calibrate(command, flag, built, capsys):
    """Not even with --calibration, so no message asks for it."""
    assert error(capsys, command, built, *flag) == (
        f"{flag[0]} is fixed by the build in {built}; leave it out")


def test_images_that_are_not_read(built, capsys):
    """A build has been calibrated, so no message asks for --calibration."""
    for flag in (["--dataset", "digits"], ["--data", "folder"]):
        assert error(capsys, "verify", built, "--images-file", "i.npy", *flag) == (
            "i.npy gives the images: leave --dataset and --data out")
    assert error(capsys, "report", built, "--data", "folder") == (
        "--data is the folder of a data set: say which (--dataset)")


def test_verilog_that_was_changed(built, tmp_path, capsys):
    copy = shutil.copytree(built, tmp_path / "copy")
    (copy / "top.v").write_text("module top(); endmodule\n")
    for command in ("verify", "simulate"):
        assert error(capsys, command, copy).startswith(f"{copy}/top.v: is not as it was built: ")


class TestDesigns:
    """Files that the manifest lists as they are, with a design that is not the build's."""

    @pytest.fixture
    def copy(self, built, tmp_path):
        return shutil.copytree(built, tmp_path / "copy")

    @staticmethod
    def relist(copy):
        facts = json.loads((copy / "manifest.json").read_text())
        manifest.write(copy, facts, facts["files"])

    @pytest.mark.parametrize("command", COMMANDS)
    def test_damaged(self, command, copy, capsys):
        (copy / "design.json").write_text("{")
        self.relist(copy)
        assert error(capsys, command, copy) == (
            f"{copy}/design.json: is no design: it is not JSON; {manifest.AGAIN}")

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_another_network(self, command, copy, tmp_path, capsys):
        other = Network("net", (1, 8, 8), 3, 16,
                        networks.linear(shape=(1, 8, 8), hidden=5, classes=10).layers)
        builder.build(other, board="ulx3s-85f", out=tmp_path / "other", synthesise=False)
        shutil.copy(tmp_path / "other" / "design.json", copy)
        self.relist(copy)
        line = error(capsys, command, copy)
        assert line.startswith(f"{copy}/design.json: config")
        assert line.endswith(manifest.AGAIN)

    def test_other_verilog(self, copy, capsys):
        """A bitstream is loaded as it is; what is simulated must be the design's."""
        (copy / "top.v").write_text((copy / "top.v").read_text() + "\n")
        self.relist(copy)
        for command in ("verify", "simulate", "report", "virtual"):
            assert error(capsys, command, copy) == (
                f"{copy}/top.v: is not what this version of Spikeloom makes of design.json; "
                f"{manifest.AGAIN}")
        assert error(capsys, "program", copy).startswith(f"{copy} has no bitstream; ")


class TestNames:
    def test_a_directory_that_is_no_build(self, tmp_path, capsys):
        for command in COMMANDS:
            assert error(capsys, command, tmp_path).startswith(
                f"{tmp_path}/manifest.json: can't be read: No such file or directory; ")

    def test_nothing_of_the_name(self, capsys):
        for command in COMMANDS:
            assert error(capsys, command, "nothing").startswith(
                "there is no file or shipped network 'nothing'; known are ")

    def test_a_directory_called_as_a_shipped_network(self, built, tmp_path, monkeypatch, asked):
        monkeypatch.chdir(tmp_path)
        os.mkdir("digits")
        assert asked("verify", "digits", "--images", "1")["source"] == "digits"
        Path("mnist").symlink_to(built)
        assert asked("verify", "mnist", "--images", "1")["source"] == "digits"


class TestOfANetwork:
    """Commands that need a directory have one built, as ``build`` would."""

    @pytest.fixture
    def places(self, monkeypatch, tmp_path):
        """Directories that the work was done on."""
        monkeypatch.chdir(tmp_path)
        found = []

        def work(directory, *_, **__):
            found.append(directory)
            return {}
        for name in ("gen.report.report", "gen.build.program.program", "gen.verify.virtual.run"):
            monkeypatch.setattr(name, work)
        return found

    @pytest.mark.parametrize("command, place, whole", [
        ("report", "build/report-net-ulx3s-85f", True),
        ("program", "build/program-net-ulx3s-85f", True),
        ("virtual", "build/virtual-net-ulx3s-85f", False)])
    def test_directory(self, command, place, whole, network, places, asked, monkeypatch):
        def stop_early(network, *, synthesise=True, **options):
            assert synthesise == whole
            return original(network, synthesise=False, **options)

        original = builder.build
        monkeypatch.setattr(builder, "build", stop_early)
        asked(command, network, *MAPPING)
        assert places == [Path(place)]
        design = load(place)
        assert (design.board.name, design.code) == ("ulx3s-85f", "rate")
        assert design.config.cores[0].lanes == 3

    def test_a_data_set_that_only_calibrates(self, network, places, asked, tmp_path, monkeypatch):
        """Its images are read beside those of a file, and beside those that travel."""
        calibrations = []
        monkeypatch.setattr("gen.build.planning.calibrate", lambda network, calibration: (
            calibrations.append(calibration) or Workload(network)))
        monkeypatch.setattr("gen.verify.rtl.verify", lambda _, images, **__: {
            "images": len(images)})
        np.save(tmp_path / "i.npy", np.zeros((2, 1, 8, 8), np.uint8))
        data = ["--dataset", "digits", "--data", tmp_path, "--calibration", 5]
        result = asked("verify", network, "--images-file", tmp_path / "i.npy", *data)
        assert (result["images"], result["source"]) == (2, str(tmp_path / "i.npy"))
        monkeypatch.setattr("gen.build.builder.build_for", (
            lambda _, network, *, board, **options: calibrations.append(options["calibration"])))
        asked("report", network, *data[2:])
        assert calibrations == [Calibration(5, "digits", str(tmp_path)),
                                Calibration(5, None, str(tmp_path))]

    def test_whose_images_calibrate(self, network, capsys):
        for command in ("program", "virtual"):
            assert error(capsys, command, network, "--dataset", "digits") == (
                "--dataset and --data choose calibration images: add --calibration")


def test_places_of_results_come_first(network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gen.build.planning.plan", lambda *_, **__: pytest.fail("planned"))
    for command, flag in (("report", "-o"), ("simulate", "--images-out")):
        assert error(capsys, command, network, flag, tmp_path).startswith(
            f"{tmp_path}: can't be written: Is a directory; ")


@pytest.mark.parametrize("command", ["verify", "simulate"])
def test_time_steps_come_before_the_images(command, tmp_path, capsys):
    """Of a network without images `verify` would say that it draws random ones."""
    path = tmp_path / "net.npz"
    artifact.save(networks.linear(), path)
    assert cli.main([command, str(path), "--timesteps", "2"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("error: linear has no time-steps to choose, as every run takes 1: leave "
                   "--timesteps out\n")


def test_images_come_before_the_plan(network, monkeypatch, capsys):
    monkeypatch.setattr("gen.build.planning.plan", lambda *_, **__: pytest.fail("planned"))
    assert error(capsys, "verify", network, "--images-file", "absent.npy").startswith("absent.npy:")
    assert error(capsys, "simulate", network, "--dataset", "none").startswith("there is no data ")
