"""The page's answers from a virtual board, over HTTP."""

import base64
import json
import os
import signal
import threading

import numpy as np
import pytest

from gen.build.builder import build
from host.cli import main
from host.device import Device
from host.errors import HostError, Rejected
from host.link import SerialLink
from host.mailbox import Mailbox
from host.manifest import load
from host.serve import Exhibit
from host.transport import Transport
from host.virtual import virtual_board
from tests.leftovers import alive, eventually
from tests.networks import linear, settling

from .conftest import ModelTransport
from .serving import children, served


@pytest.fixture(scope="module")
def page(builds):
    with served(builds("linear")) as page:
        yield page


def pixels(network, count, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, network.pixel_max + 1, (count, *network.input_shape))
    return images, images.reshape(count, -1).tolist()


def test_facts(page):
    network = linear()
    status, facts = page.ask("/facts")
    assert status == 200
    channels, height, width = network.input_shape
    assert (facts["planes"], facts["height"], facts["width"]) == (channels, height, width)
    assert (facts["pixel_max"], facts["timesteps"]) == (network.pixel_max, 1)
    assert [layer["name"] for layer in facts["layers"]] == [
        layer.name for layer in network.layers[:-1]]
    assert (facts["board"], facts["port"], facts["clock_hz"]) == (
        "arty-a7", "virtual", 100_000_000)


def numbers(text):
    return np.frombuffer(base64.b64decode(text), "<i2")


def check(answer, network, trace, k):
    """An answer of a virtual board is that of the network, and so are its spikes."""
    names = [layer.name for layer in network.layers[:-1]]
    assert answer["scores"] == trace.logits[k].tolist()
    assert answer["prediction"] == trace.logits[k].argmax()
    assert answer["equal"] is True
    assert answer["clocks"] > 10
    assert answer["spikes"]["beats"] > 0
    assert answer["spikes"]["difference"] is None
    for name, layer in zip(names, answer["spikes"]["layers"], strict=True):
        spikes = numbers(layer["counts"])
        assert layer["spikes"] == spikes.sum()
        if trace.trains:
            assert (numbers(layer["steps"]) == trace.trains[name][:, k].ravel()).all()
            assert (spikes == np.abs(trace.trains[name][:, k]).sum(axis=0).ravel()).all()
        else:
            assert (spikes == trace.counts[name][k].ravel()).all()


def test_answers_and_recorded_spikes(page):
    network = linear()
    images, flat = pixels(network, 3)
    trace = network.run(network.encode(images))
    for k, image in enumerate(flat):
        status, answer = page.ask("/infer", {"pixels": image})
        assert status == 200
        check(answer, network, trace, k)
        assert answer["exact"] is None


@pytest.mark.slow
def test_recorded_time_steps(tmp_path):
    network = settling()
    build(network, board="arty-a7", out=tmp_path, synthesise=False)
    images, (image,) = pixels(network, 1, seed=4)
    with served(tmp_path) as page:
        for timesteps in (network.timesteps, 1):
            trace = network.run(network.encode(images), timesteps=timesteps)
            _, answer = page.ask("/infer", {"pixels": image, "timesteps": timesteps})
            check(answer, network, trace, 0)


@pytest.mark.slow
def test_pci_express(builds):
    network = linear()
    images, (image,) = pixels(network, 1)
    with served(builds("linear", "pcie"), port="virtual-pcie") as page:
        _, answer = page.ask("/infer", {"pixels": image})
        check(answer, network, network.run(network.encode(images)), 0)


WRONG = [None, "0", 5, {}, [], [0] * 17, [0] * 19, [0] * 17 + [-1], [0] * 17 + [256],
         [0] * 17 + [1.0], [0] * 17 + [True], [0] * 17 + ["1"], [0] * 17 + [None], [[0] * 18],
         [0] * 17 + [10**30]]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong)[-20:])
def test_pixels_that_are_none(wrong, page):
    assert page.ask("/infer", {"pixels": wrong}) == (
        400, {"error": "pixels must be a list of 18 integers in 0..255"})


@pytest.mark.parametrize("wrong", [0, 2, -1, 1.0, True, "1", None, []])
def test_time_steps_that_are_none(wrong, page):
    assert page.ask("/infer", {"pixels": [0] * 18, "timesteps": wrong}) == (
        400, {"error": "timesteps must be an integer in 1..1"})


def test_what_else_is_asked_for(page):
    assert page.ask("/infer", {"pixels": [0] * 18, "port": "/dev/sda"}) == (
        400, {"error": "the request may have pixels and timesteps, and nothing else"})
    assert page.ask("/infer", {}) == (
        400, {"error": "pixels must be a list of 18 integers in 0..255"})


def test_a_request_of_pixels_is_never_too_large(page):
    assert page.ask("/infer", {"pixels": [255] * 18, "timesteps": 1})[0] == 200


def test_many_at_once(page):
    network, found = linear(), {}
    images, flat = pixels(network, 6, seed=5)
    logits = network.predict(images).tolist()

    def ask(k):
        found[k] = page.ask("/infer", {"pixels": flat[k]})
    threads = [threading.Thread(target=ask, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [found[k][1]["scores"] for k in range(6)] == logits
    assert all(found[k][1]["spikes"]["difference"] is None for k in range(6))


def test_a_board_that_dies_is_an_error_and_the_next_request_has_another(page):
    image = [1] * 18
    _, before = page.ask("/infer", {"pixels": image})
    (board,) = children(page.process, "+beats=")
    os.kill(board, signal.SIGKILL)
    status, said = page.ask("/infer", {"pixels": image})
    assert status == 502
    assert said["error"].startswith("virtual: ")
    status, after = page.ask("/infer", {"pixels": image})
    assert status == 200
    assert (after["scores"], after["spikes"]) == (before["scores"], before["spikes"])


def test_spikes_that_nobody_computes(builds):
    with served(builds("linear")) as page:
        (process,) = children(page.process, "gen.verify.lines")
        os.kill(process, signal.SIGKILL)
        status, answer = page.ask("/infer", {"pixels": [0] * 18})
        assert (status, answer["equal"]) == (200, None)
        assert answer["spikes"] == {
            "error": "the process that computes the spikes has ended; start this page again"}
        assert page.ask("/infer", {"pixels": [0] * 18})[1]["scores"] == answer["scores"]


def test_a_board_at_a_serial_port(builds):
    """A real one has no record: the spikes are the network's. Another host may take it over."""
    folder, network = builds("linear"), linear()
    images, (image,) = pixels(network, 1)
    with virtual_board(folder) as port, served(folder, "--timeout", "30", port=port) as page:
        for _ in range(2):
            _, answer = page.ask("/infer", {"pixels": image})
            assert answer["scores"] == network.predict(images)[0].tolist()
            assert answer["equal"] is True
            assert answer["spikes"]["beats"] is answer["spikes"]["difference"] is None
        with pytest.raises(HostError, match="another program uses the port"):
            Transport(port, load(folder).baud)


def test_nothing_is_left(builds):
    with served(builds("linear"), "--json") as page:
        page.address = json.loads(page.address)["address"]
        assert page.ask("/facts")[0] == 200
        below = children(page.process, "")
    assert eventually(lambda: not any(map(alive, below)))


def test_what_has_no_page(builds, capsys):
    folder = builds("stream")
    assert main(["serve", "--board", str(folder), "--port", "/nowhere/x"]) == 1
    assert capsys.readouterr().err == (
        f"error: {folder}/manifest.json: the page shows one image at a time, but the device takes "
        f"blocks of sequences or several at once; build it without --stream and --interleaved\n")


def test_errors_at_the_start(builds, capsys, page):
    folder = builds("linear")
    command = ["serve", "--board", str(folder), "--port"]
    taken = page.address.split(":")[2].rstrip("/")
    for arguments, error in (
            (["/nowhere/x"], "/nowhere/x: there is no such port; is the board connected?"),
            (["virtual", "--listen", taken],
             f"127.0.0.1:{taken}: Address already in use; give another port with --listen")):
        assert main([*command, *arguments]) == 1
        assert capsys.readouterr().err.splitlines()[-1] == f"error: {error}"


class Elsewhere:
    """Spikes of nobody, and the logits of a network that is not the device's."""

    layers, samples = [], [list(range(18))]

    def begin(self):
        pass

    def of(self, image, timesteps):
        return {"logits": [0, 0, 0, 0, 0], "layers": [], "beats": None, "difference": None}


def exhibit(network, folder):
    """What the page gets of a device in integers."""
    manifest = load(folder)
    device = Device(Mailbox(SerialLink(ModelTransport(network)), manifest), manifest)
    return Exhibit(manifest, "model", lambda job: job(device), Elsewhere(), None)


def test_logits_that_differ_are_told(builds):
    shown = exhibit(linear(), builds("linear"))
    assert shown.infer({"pixels": [200] * 18})["equal"] is False
    assert shown.facts()["samples"] == [list(range(18))]
    with pytest.raises(Rejected):
        shown.infer({"pixels": []})


def test_time_steps(tmp_path):
    """As many as are asked for, and whether the answer is exact."""
    network = settling()
    build(network, board="arty-a7", out=tmp_path, synthesise=False)
    shown = exhibit(network, tmp_path)
    assert shown.facts()["timesteps"] == network.timesteps
    images, flat = pixels(network, 5)
    for timesteps in range(1, network.timesteps + 1):
        trace = network.run(network.encode(images), timesteps=timesteps)
        answers = [shown.infer({"pixels": image, "timesteps": timesteps}) for image in flat]
        assert [answer["scores"] for answer in answers] == trace.logits.tolist()
        assert [answer["exact"] for answer in answers] == network.exact(trace).tolist()
        assert {answer["timesteps"] for answer in answers} == {timesteps}
    assert shown.infer({"pixels": flat[0]})["timesteps"] == network.timesteps
    with pytest.raises(Rejected, match=r"^timesteps must be an integer in 1\.\.3$"):
        shown.infer({"pixels": flat[0], "timesteps": network.timesteps + 1})
