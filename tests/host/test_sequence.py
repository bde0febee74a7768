"""Sequences that go to a device element by element."""

import json

import numpy as np
import pytest

from gen.ir.blocks import answering
from host.cli import main
from host.device import Device
from host.errors import HostError, LinkError
from host.link import SerialLink
from host.mailbox import Mailbox
from host.manifest import load
from tests.sequences import layered

from .conftest import STREAM, ModelTransport
from .test_device import Vandal, driver

NETWORK = layered()


@pytest.fixture
def board(builds):
    def get(*, patience=0.01, attempts=10, **options):
        transport = ModelTransport(NETWORK, stream=STREAM, **options)
        return transport, driver(transport, load(builds("stream")), patience=patience,
                                 attempts=attempts)
    return get


def elements(count, seed=0):
    """Raw elements, ``(K, C)``."""
    return np.random.default_rng(seed).integers(0, 256, (count, NETWORK.input_shape[0]))


def expected(sequence):
    """Logits after each block."""
    blocks = len(sequence) // STREAM
    network = answering(NETWORK, STREAM, blocks)
    images = sequence[:blocks * STREAM].T[None, :, :, None]
    return network.predict(images).reshape(NETWORK.classes, blocks).T


def test_an_answer_after_each_block(board):
    _, device = board()
    sent = elements(11)
    with device.sequence() as sequence:
        assert sequence.due == 0
        sequence.send(sent[:1])
        assert sequence.due == 0
        sequence.send(sent[1:4])
        assert sequence.due == 2
        first = sequence.read()
        sequence.send(sent[4:])
        answers = [first, *sequence.answers()]
        assert sequence.elements == 11
    assert [answer.elements for answer in answers] == [2, 4, 6, 8, 10]
    assert np.array_equal([answer.logits for answer in answers], expected(sent))
    assert answers[0].cycles == 1234


@pytest.mark.parametrize("seed", range(6))
def test_a_line_with_errors(seed, board):
    _, device = board(spoil=Vandal(seed, 0.002), patience=0.005, attempts=30)
    for turn in range(3):
        sent = elements(14, seed=turn)
        with device.sequence() as sequence:
            sequence.send(sent)
            got = [answer.logits for answer in sequence.answers()]
        assert np.array_equal(got, expected(sent))


def test_a_sequence_that_is_cut_off_leaves_nothing_behind(board):
    transport, device = board()
    sent = elements(8)
    with pytest.raises(RuntimeError, match="gone"), device.sequence() as sequence:
        sequence.send(sent[:5])
        raise RuntimeError("gone")
    for again in (device, driver(transport, device.manifest)):
        with again.sequence() as sequence:
            sequence.send(sent)
            assert np.array_equal([a.logits for a in sequence.answers()], expected(sent))


def test_nothing_else_while_a_sequence_is_under_way(board):
    _, device = board()
    sent, busy = elements(8), "samples are under way; end the sequence"
    with device.sequence() as sequence:
        sequence.send(sent[:4])
        for other in (lambda: device.infer(sent[None]), device.status,
                      lambda: device.sequence().__enter__()):
            with pytest.raises(HostError, match=busy):
                other()
        sequence.send(sent[4:])
        assert np.array_equal([a.logits for a in sequence.answers()], expected(sent))
    with device.sequence() as another:
        with pytest.raises(HostError, match="the sequence has ended; begin another"):
            sequence.send(sent[:2])
        another.send(sent)
        assert np.array_equal([a.logits for a in another.answers()], expected(sent))


def test_a_line_that_fails_ends_the_sequence(board):
    transport, device = board(attempts=2)
    sent = elements(8)
    with device.sequence() as sequence:
        sequence.send(sent[:4])
        transport.cut = True
        with pytest.raises(LinkError):
            sequence.send(sent[4:])
            list(sequence.answers())
        transport.cut = False
        for again in (lambda: sequence.send(sent[4:]), sequence.read):
            with pytest.raises(HostError, match="given up after an error; begin another"):
                again()
    with device.sequence() as sequence:
        sequence.send(sent)
        assert np.array_equal([a.logits for a in sequence.answers()], expected(sent))


def test_answers_that_are_not_read(board):
    _, device = board()
    sent = elements(40)
    with device.sequence() as sequence:
        sequence.send(sent)
        assert sequence.due == 20
    with device.sequence() as sequence:
        sequence.send(sent[:4])
        assert np.array_equal([a.logits for a in sequence.answers()], expected(sent[:4]))


def test_whole_sequences(board):
    _, device = board()
    images = elements(3 * 6).reshape(3, 6, -1)
    result = device.infer(images)
    logits = np.stack([expected(sequence).T[:, :, None] for sequence in images])
    assert np.array_equal(result.logits, logits)
    assert np.array_equal(result.predictions, logits[:, :, -1, 0].argmax(axis=1))
    assert np.array_equal(device.infer(images[:, :2]).logits, logits[:, :, 0, 0])


def test_what_is_no_element(board, builds):
    _, device = board()
    with device.sequence() as sequence:
        for wrong, message in [
                (np.zeros((2, 4), int), r"elements must have the shape \(K, 3\), not \(2, 4\)"),
                (np.zeros(3, int), r"elements must have the shape \(K, 3\), not \(3,\)"),
                (np.zeros((2, 3)), r"elements must be integers in 0\.\.255, not float64"),
                (np.full((2, 3), 256), r"pixels must lie in 0\.\.255, not 256\.\.256")]:
            with pytest.raises(HostError, match=message):
                sequence.send(wrong)
        sequence.send(elements(3))
        sequence.read()
        with pytest.raises(HostError, match="no answer is due: the device answers after every 2 "
                                            "elements, and 1 have been sent since the last block"):
            sequence.read()
    with pytest.raises(HostError, match="5 elements are no whole number of blocks of 2"):
        device.infer(elements(5)[None])
    other = load(builds("linear"))
    with pytest.raises(HostError, match="takes whole images; build it with --stream"):
        other.encode_elements(elements(2))


def test_stream_and_infer_on_the_virtual_board(builds, tmp_path, capfd):
    folder, sent = builds("stream"), elements(9)
    np.save(tmp_path / "elements.npy", sent)
    np.save(tmp_path / "logits.npy", expected(sent))
    common = ["--board", str(folder), "--port", "virtual"]
    command = ["stream", str(tmp_path / "elements.npy"), *common, "--reference",
               str(tmp_path / "logits.npy")]
    assert main([*command, "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert [answer["logits"] for answer in report["answers"]] == expected(sent).tolist()
    assert (report["elements"], report["elements_left"], report["mismatches"]) == (9, 1, 0)
    assert all(20 < answer["cycles"] < 500 for answer in report["answers"])

    np.save(tmp_path / "logits.npy", expected(sent) + (np.arange(4) == 2)[:, None])
    assert main(command) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["2", *map(str, expected(sent)[0])]
    assert lines[-1].split() == ["mismatches", "5"]

    np.save(tmp_path / "images.npy", sent[None, :8])
    assert main(["infer", str(tmp_path / "images.npy"), *common, "--json"]) == 0
    assert np.array_equal(np.array(json.loads(capfd.readouterr().out)["logits"])[0, :, :, 0],
                          expected(sent).T)


@pytest.mark.parametrize("name", ["interleaved", "both"])
def test_interleaved_sequences_on_the_virtual_board(name, builds, tmp_path, capfd):
    """More sequences than fit a whole number of samples."""
    elements_each = 6 if name == "both" else 7
    images = elements(5 * elements_each).reshape(5, elements_each, -1)
    raw = images.swapaxes(1, 2)[..., None]
    logits = answering(NETWORK, STREAM, 3).predict(raw) if name == "both" else NETWORK.predict(raw)
    np.save(tmp_path / "images.npy", raw)
    np.save(tmp_path / "logits.npy", logits)
    common = ["--board", str(builds(name)), "--port", "virtual", "--json"]
    assert main(["infer", str(tmp_path / "images.npy"), *common,
                 "--reference", str(tmp_path / "logits.npy")]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["images"], report["mismatches"]) == (5, 0)
    assert np.array_equal(report["logits"], logits)
    assert len(report["cycles"]) == 5
    if name == "both":
        np.save(tmp_path / "elements.npy", images[:3].swapaxes(0, 1))
        np.save(tmp_path / "logits.npy", logits[:3, :, :, 0].transpose(2, 0, 1))
        assert main(["stream", str(tmp_path / "elements.npy"), *common,
                     "--reference", str(tmp_path / "logits.npy")]) == 0
        assert json.loads(capfd.readouterr().out)["mismatches"] == 0


def test_bad_files_of_a_stream(builds, tmp_path, capfd):
    np.save(tmp_path / "elements.npy", elements(4))
    np.save(tmp_path / "few.npy", elements(4)[:0])
    np.save(tmp_path / "logits.npy", np.zeros((3, 5), int))
    common = ["--board", str(builds("stream")), "--port", "nowhere"]
    for arguments, message in [
            (["elements.npy", "--reference", "logits.npy"],
             "the shape must be (2, 5), logits after each block of 2 elements, not (3, 5)"),
            (["few.npy"], "has no elements")]:
        paths = [str(tmp_path / word) if word.endswith(".npy") else word for word in arguments]
        assert main(["stream", *paths, *common]) == 1
        assert message in capfd.readouterr().err


def test_a_noisy_line_to_the_virtual_board(builds):
    """The line of the Verilated board, of whose bytes some are lost or changed on the way."""
    from host.transport import Transport
    from host.virtual import virtual_board
    folder, sent = builds("stream"), elements(24)
    manifest, vandal = load(folder), Vandal(5, 0.002)
    with virtual_board(folder) as path, Transport(path, manifest.baud) as transport:
        class Noisy:
            name, baud = transport.name, transport.baud

            def write(self, data):
                transport.write(vandal(data))

            def read(self, seconds):
                return vandal(transport.read(seconds))
        frames = SerialLink(Noisy(), patience=2, attempts=20)
        device = Device(Mailbox(frames, manifest, patience=2), manifest)
        with device.sequence() as sequence:
            sequence.send(sent)
            got = [answer.logits for answer in sequence.answers()]
    assert np.array_equal(got, expected(sent))
    assert device.retries
