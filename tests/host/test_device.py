import random
import time

import numpy as np
import pytest

from host.device import Device
from host.errors import HostError, LinkError
from host.link import Link
from host.manifest import load

from .conftest import NETWORKS, BrokenTransport, ModelTransport


@pytest.fixture
def board(builds):
    """A device in integers, and a driver for it."""
    def get(name="linear", *, patience=0.01, attempts=10, **options):
        transport = ModelTransport(NETWORKS[name](), **options)
        return transport, Device(transport, load(builds(name)), patience=patience,
                                 attempts=attempts)
    return get


@pytest.mark.parametrize("name", NETWORKS)
def test_infer(name, board, images):
    transport, device = board(name)
    raw = images(transport.network, 7)
    result = device.infer(raw)
    expected = transport.network.predict(raw)
    assert np.array_equal(result.logits, expected)
    assert np.array_equal(result.predictions, expected.argmax(axis=1))
    assert result.cycles.tolist() == [1234] * 7
    assert result.retries == 0


def test_status(board, images):
    transport, device = board()
    device.infer(images(transport.network, 3))
    status = device.status()
    assert status == {
        "digest": device.manifest.digest, "matches": True, "version": 1, "clock_hz": 100_000_000,
        "frames": transport.link.frames, "crc_errors": 0, "dropped": 0, "submitted": 3,
        "completed": 3, "cycles": 1234, "busy": False, "input_words": 2, "classes": 5}


def test_a_restarted_driver_goes_on(board, images):
    transport, device = board()
    raw = images(transport.network, 4)
    device.infer(raw[:2])
    again = Device(transport, device.manifest, patience=0.01)
    assert np.array_equal(again.infer(raw).logits, transport.network.predict(raw))
    assert again.status()["submitted"] == 6


def test_sample_numbers_wrap(board, images):
    transport, device = board()
    transport.target.submitted = 0xffffffff
    raw = images(transport.network, 2)
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))
    assert transport.target.submitted == 1


def test_no_images(board):
    _, device = board()
    assert device.infer(np.zeros((0, 2, 3, 3), np.uint8)).logits.shape == (0, 5)


class Vandal:
    """Flips, drops, duplicates and inserts bytes, each at a rate."""

    def __init__(self, seed, rate):
        self.random, self.rate = random.Random(seed), rate

    def __call__(self, data):
        spoilt = bytearray()
        for byte in data:
            kind = self.random.randrange(4) if self.random.random() < self.rate else None
            if kind == 0:
                byte ^= 1 << self.random.randrange(8)
            if kind != 1:
                spoilt.append(byte)
            if kind == 2:
                spoilt.append(byte)
            if kind == 3:
                spoilt.append(self.random.randrange(256))
        return bytes(spoilt)


@pytest.mark.parametrize("name, seed", [("linear", 0), ("linear", 1), ("convolutional", 2)])
def test_a_lossy_line_gives_right_answers(name, seed, board, images):
    transport, device = board(name, spoil=Vandal(seed, 0.003), patience=0.005, attempts=30)
    raw = images(transport.network, 60)
    result = device.infer(raw)
    assert np.array_equal(result.logits, transport.network.predict(raw))
    assert result.retries > 5
    assert transport.link.crc_errors + transport.link.dropped > 0
    assert transport.target.submitted == 60


def test_a_lost_answer_does_not_start_a_sample_twice(board, images):
    lost = iter([False, False] * 3 + [False, True] * 3 + [False] * 1000)
    transport, device = board(spoil=lambda data: b"" if data and next(lost) else data)
    raw = images(transport.network, 3)
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))
    assert transport.target.submitted == 3


def test_a_cut_line_is_an_error_in_bounded_time(board, images):
    transport, device = board(patience=0.02, attempts=5)

    def cut(counts):
        for k, image in enumerate(counts):
            transport.cut = k == 2
            yield image

    start = time.monotonic()
    with pytest.raises(LinkError, match=r"^model: no answer; is the board powered and configured, "
                                        r"and this its port\? \(5 requests in 0\.\d s\)$"):
        device.infer(images(transport.network, 5), progress=cut)
    assert time.monotonic() - start < 5
    assert device.retries == 0


def test_garbage_only_is_an_error(board):
    _, device = board(spoil=lambda _: b"\xc0junk\xc0", attempts=3)
    with pytest.raises(LinkError, match=r"^model: bytes arrive, but no answer among them; is the "
                                        r"device's rate 1000000 baud\? \(3 requests in "):
        device.identify()


def test_a_stale_result_is_not_believed(board, images):
    transport, device = board(patience=0.05)
    raw = images(transport.network, 2)
    device.infer(raw[:1])
    read, where = transport.target.read, transport.target.registers.result
    transport.target.read = lambda addr: 1 if addr == where else read(addr)
    with pytest.raises(HostError, match=r"^model: the device has not completed sample 2 in 0.05 s; "
                                        r"its last is 1$"):
        device.infer(raw[1:], progress=iter)


def test_a_slow_result_is_waited_for(board, images):
    transport, device = board(patience=5)
    raw = images(transport.network, 1)
    read, where, asked = transport.target.read, transport.target.registers.result, []

    def late(addr):
        asked.append(addr)
        return 0 if addr == where and asked.count(where) < 4 else read(addr)

    transport.target.read = late
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))


def test_a_device_that_was_reset_is_noticed(board, images):
    transport, device = board()

    def reset(counts):
        for k, image in enumerate(counts):
            if k == 2:
                transport.target.submitted = 0
            yield image

    with pytest.raises(HostError, match=r"^model: the device refuses sample 3 \(order\); was it "
                                        r"reset, or is another program using it\?$"):
        device.infer(images(transport.network, 3), progress=reset)


def test_a_stranger_is_refused(board, builds, images):
    transport, _ = board()
    device = Device(transport, load(builds("residual")), patience=0.01)
    with pytest.raises(HostError, match=r"^model: the device holds another network or build "
                                        r"\(digest [0-9a-f]{12}\.\.\., not [0-9a-f]{12}\.\.\.\); "
                                        r"program it with the one of .*manifest\.json$"):
        device.infer(np.zeros((1, 3, 6, 6), np.uint8))
    assert transport.target.submitted == 0
    assert device.status()["matches"] is False


@pytest.mark.parametrize("addr, value, message", [
    (0, 5, r"^model: something answers, but it is no Spikeloom device$"),
    (1, 9, r"^model: the device speaks version 9 of the protocol, this driver version 1$"),
    (18, 3, r"^model: the device and .*manifest.json disagree on the size of input or output$"),
])
def test_what_is_no_device_of_ours(addr, value, message, board):
    transport, device = board()
    read = transport.target.read
    transport.target.read = lambda a: value if a == addr else read(a)
    with pytest.raises(HostError, match=message):
        device.identify()


def test_a_refused_read_is_an_error(board):
    _, device = board()
    device._where = device._where | {"result": 0x5000}
    with pytest.raises(HostError, match=r"^model: the device refuses to read 7 words at 0x5000 "
                                        r"\(range\); it doesn't match .*manifest\.json$"):
        device.infer(np.zeros((1, 2, 3, 3), np.uint8))


def test_a_line_that_was_pulled_out():
    with pytest.raises(LinkError, match=r"^broken: the line was cut while writing$"):
        Link(BrokenTransport()).read(0, 1)
