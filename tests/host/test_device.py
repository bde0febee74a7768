import random
import time

import numpy as np
import pytest

from host.device import Device
from host.errors import HostError, LinkError
from host.frames import Decoder, encode, parse, request
from host.link import SerialLink
from host.mailbox import Mailbox
from host.manifest import load
from hw.bus import Status

from .conftest import NETWORKS, BrokenTransport, ModelTransport


def driver(transport, manifest, *, patience=0.01, **options):
    frames = SerialLink(transport, patience=patience, **options)
    return Device(Mailbox(frames, manifest, patience=patience), manifest)


@pytest.fixture
def board(builds):
    """A device in integers, and a driver for it."""
    def get(name="linear", *, patience=0.01, attempts=10, **options):
        transport = ModelTransport(NETWORKS[name](), **options)
        return transport, driver(transport, load(builds(name)), patience=patience,
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


def test_runs_of_any_number_of_time_steps(board, images):
    transport, device = board("stepping")
    network, raw = transport.network, images(transport.network, 9)
    raw[::3] = 0
    counts, seen = network.encode(raw), []
    for timesteps in (None, 1, 7, 7, 4, 5, 6, 2, 3):
        result = device.infer(raw, timesteps=timesteps)
        trace = network.run(counts, timesteps=timesteps)
        assert np.array_equal(result.logits, trace.logits)
        assert transport.target.timesteps == (timesteps or 7)
        quiet = np.stack(list(network.quiet(trace).values()), axis=1)
        assert np.array_equal(result.quiet, quiet)
        # All charge has arrived after four steps.
        assert np.array_equal(result.exact, quiet.all(axis=1) & ((timesteps or 7) >= 4))
        seen += result.exact.tolist()
    assert set(seen) == {True, False}
    for wrong in (0, 8):
        with pytest.raises(HostError, match=rf"runs 1 to 7 time-steps, not {wrong}$"):
            device.infer(raw, timesteps=wrong)


def test_time_steps_over_a_line_with_errors(board, images):
    transport, device = board("stepping", spoil=Vandal(3, 0.003), patience=0.005, attempts=30)
    raw = images(transport.network, 5)
    counts = transport.network.encode(raw)
    for timesteps in (2, 7, 1, 3):
        result = device.infer(raw, timesteps=timesteps)
        assert np.array_equal(result.logits,
                              transport.network.run(counts, timesteps=timesteps).logits)
    assert device.retries


def test_each_driver_chooses_its_time_steps(board, images):
    """The register keeps what the driver before has chosen."""
    transport, device = board("stepping")
    raw = images(transport.network, 2)
    device.infer(raw, timesteps=2)
    again = driver(transport, device.manifest)
    assert np.array_equal(again.infer(raw).logits, transport.network.predict(raw))


def test_a_device_that_is_busy_with_another_driver_s_samples(board, images, monkeypatch):
    transport, device = board("stepping", patience=0.02)
    raw = images(transport.network, 2)
    turns = iter([Status.BUSY] * 3)
    choose = transport.target._choose
    monkeypatch.setattr(transport.target, "_choose",
                        lambda value: next(turns, None) or choose(value))
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))
    monkeypatch.setattr(transport.target, "_choose", lambda value: Status.BUSY)
    with pytest.raises(HostError, match="has been busy with an earlier sample"):
        device.infer(raw, timesteps=3)


def test_without_time_steps_nothing_is_chosen(board, images):
    transport, device = board()
    result = device.infer(images(transport.network, 2))
    assert (result.quiet.shape, result.exact) == ((2, 0), None)
    assert np.array_equal(device.infer(images(transport.network, 2), timesteps=1).logits,
                          result.logits)
    with pytest.raises(HostError, match=r"manifest\.json: the network has no time-steps to choose: "
                                        r"leave --timesteps out$"):
        device.infer(images(transport.network, 2), timesteps=2)
    with pytest.raises(HostError, match=r"no time-steps to choose: leave --every-step out$"):
        device.manifest.run_steps(None, every=True)


def test_status(board, images):
    transport, device = board()
    device.infer(images(transport.network, 3))
    status = device.status()
    assert status == {
        "digest": device.manifest.digest, "matches": True, "version": 3, "clock_hz": 100_000_000,
        "frames": transport.target.counters.frames, "crc_errors": 0, "dropped": 0, "submitted": 3,
        "completed": 3, "busy": False, "input_words": 2, "classes": 5,
        "session": device.link.frames.session}


def test_a_driver_goes_on_in_its_session(board, images):
    transport, device = board()
    raw = images(transport.network, 5)
    for part in (raw[:2], raw[2:2], raw[2:]):
        assert np.array_equal(device.infer(part).logits, transport.network.predict(part))
    assert device.status()["submitted"] == 5


def test_a_restarted_driver_opens_another_session(board, images):
    transport, device = board()
    raw = images(transport.network, 4)
    device.infer(raw[:2])
    again = driver(transport, device.manifest)
    assert np.array_equal(again.infer(raw).logits, transport.network.predict(raw))
    assert again.status()["submitted"] == 6
    assert again.link.frames.session != device.link.frames.session


def test_sample_numbers_wrap(board, images):
    transport, device = board()
    raw = images(transport.network, 3)
    device.infer(raw[:1])
    transport.target.submitted = device.link._number = 0xffff
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))
    assert transport.target.submitted == 2


TAKEN = (r"^model: the device was taken over by another program since this one opened its session, "
         r"so there is no answer; start again$")
RESET = (r"^model: the device was reset or programmed since this one opened its session, so there "
         r"is no answer; start again$")


class Interleaved:
    """A transport that lets something happen before the request of a number."""

    def __init__(self, transport, number, happens):
        self.name, self.baud, self.read = transport.name, transport.baud, transport.read
        self._write, self._left, self._happens = transport.write, number, happens

    def write(self, data):
        self._left -= 1
        if self._left == -1:
            self._happens()
        self._write(data)


def in_frames(transport, manifest):
    """A driver whose frames carry so few words that images and answers take three each."""
    device = driver(transport, manifest)
    device.link.where = manifest.registers | {"max_words": 4}
    return device


IDENTIFY, OPENED, IMAGE, RESULT = 1 + 5, 1 + 5 + 1, 3, 2
REQUESTS = OPENED + 1 + 3 * IMAGE + RESULT
"""Of such a driver that sends three images of ``convolutional``: it identifies the device, opens a
session, asks for the number of the last sample, and reads the last result."""


@pytest.fixture
def interleaved(builds, images):
    """Send three images, with something that happens before a request; what should come out."""
    def get(number, happens):
        transport = ModelTransport(NETWORKS["convolutional"]())
        raw = images(transport.network, 3)
        line = Interleaved(transport, number, lambda: happens(transport))
        device = in_frames(line, load(builds("convolutional")))
        return device, raw, transport.network.predict(raw)
    return get


@pytest.mark.parametrize("number", range(REQUESTS))
def test_two_hosts_never_get_each_others_answers(number, interleaved, images):
    def other(transport):
        raw = images(transport.network, 3, seed=1)
        result = in_frames(transport, device.manifest).infer(raw)
        assert np.array_equal(result.logits, transport.network.predict(raw))
        done.append(number)

    done = []
    device, raw, expected = interleaved(number, other)
    if number < OPENED:
        assert np.array_equal(device.infer(raw).logits, expected)
    else:
        for _ in range(2):
            with pytest.raises(HostError, match=TAKEN):
                device.infer(raw)
    assert done == [number]


@pytest.mark.parametrize("number", range(REQUESTS))
def test_a_reset_never_leads_to_a_wrong_answer(number, interleaved):
    device, raw, expected = interleaved(number, ModelTransport.reset)
    if number < OPENED:
        assert np.array_equal(device.infer(raw).logits, expected)
    else:
        with pytest.raises(HostError, match=RESET):
            device.infer(raw)


@pytest.mark.parametrize("number", range(OPENED, REQUESTS))
def test_a_device_that_is_programmed_on_the_way_is_a_stranger(number, interleaved):
    device, raw, _ = interleaved(number, lambda transport: transport.reset(NETWORKS["residual"]()))
    with pytest.raises(HostError, match=r"^model: the device holds another network or build "):
        device.infer(raw)


@pytest.mark.parametrize("happens", [KeyboardInterrupt, LinkError])
@pytest.mark.parametrize("number", range(REQUESTS))
def test_a_driver_can_be_used_again_after_an_interrupt(happens, number, interleaved):
    def interrupt(transport):
        raise happens

    device, raw, expected = interleaved(number, interrupt)
    with pytest.raises(happens):
        device.infer(raw)
    assert np.array_equal(device.infer(raw).logits, expected)


def test_a_driver_can_be_used_again_after_a_dead_line(board, images):
    transport, device = board(attempts=2)
    raw = images(transport.network, 3)
    device.infer(raw)
    transport.cut = True
    with pytest.raises(LinkError):
        device.infer(raw)
    transport.cut = False
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))


def test_answers_to_another_host_are_not_taken(board, images):
    transport, device = board(attempts=2)
    receive = transport.read

    def as_if_to_another(seconds):
        answers = map(parse, Decoder().feed(receive(seconds)))
        return b"".join(encode(request(a.seq, 0x80 | a.op, a.addr, a.count, a.session ^ 1, a.words))
                        for a in answers)

    transport.read = as_if_to_another
    with pytest.raises(LinkError, match=r"^model: answers arrive, but to the requests of another "
                                        r"program that uses the port \(2 requests in "):
        device.infer(images(transport.network, 1))


def test_another_hosts_samples_are_waited_for(board, images):
    transport, device = board(patience=5)
    raw = images(transport.network, 2)
    target, begun = transport.target, []
    write = target.write

    def busy(addr, value):
        full = addr != target.registers.open and len(begun) < 9
        return Status.BUSY if full else write(addr, value)

    target.begin = lambda: begun.append(True)
    target.write = busy
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))


def test_a_device_that_stays_busy_is_an_error(board, images):
    transport, device = board(patience=0.02)
    write, where = transport.target.write, transport.target.registers.open
    transport.target.write = lambda addr, value: (
        write(addr, value) if addr == where else Status.BUSY)
    for _ in range(2):
        with pytest.raises(HostError, match=r"^model: the device has been busy with an earlier "
                                            r"sample for 0.02 s; wait longer \(--timeout\), or "
                                            r"reset it$"):
            device.infer(images(transport.network, 1))


class Slow:
    """Makes a device complete a sample when it has been asked for that so many times, and have room
    for two that are not completed."""

    def __init__(self, target, looks):
        self._target, self._looks, self._left = target, looks, looks
        self._write, self._read = target.write, target.read
        self._completed, self.most, self.busy, self._held = target.submitted, 0, 0, False
        target.write, target.read, target.begin = self.write, self.read, self.begin

    def _under_way(self):
        return (self._target.submitted - self._completed) & 0xffff

    def begin(self):
        self._held = self._under_way() == 2

    def write(self, addr, value):
        where, target = self._target.registers, self._target
        repeats = addr == where.submit and (target.submitted - value) & 0xffff < 4
        chooses = addr == where.timesteps and self._under_way()
        if (self._held and addr != where.open and not repeats) or chooses:
            self.busy += 1
            return Status.BUSY
        status = self._write(addr, value)
        self.most = max(self.most, self._under_way())
        return status

    def read(self, addr):
        where = self._target.registers
        if addr != where.completed and (
                addr < where.result or (addr - where.result) % where.stride):
            return self._read(addr)
        if self._under_way():
            self._left -= 1
            if self._left == 0:
                self._left, self._completed = self._looks, self._completed + 1 & 0xffff
        return self._completed


@pytest.mark.parametrize("rate", [0, 0.003])
@pytest.mark.parametrize("name, polls", [("linear", 2), ("linear", 5), ("convolutional", 3)])
def test_a_device_that_is_slower_than_the_line_is_kept_busy(name, polls, rate, board, images):
    transport, device = board(name, patience=0.01, attempts=30)
    device.link.patience = 5
    slow = Slow(transport.target, polls)
    transport.spoil = Vandal(polls, rate)
    raw = images(transport.network, 20)
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))
    assert slow.most == 2
    assert slow.busy > 0
    assert transport.target.submitted == 20


def test_the_next_images_travel_while_one_is_computed(board, images):
    transport, device = board()
    events, write, read = [], transport.write, transport.read
    transport.write = lambda data: (events.append("w"), write(data))
    transport.read = lambda seconds: (events.append("r"), read(seconds))[1]
    device.infer(images(transport.network, 1))
    events.clear()
    device.infer(images(transport.network, 12))
    # There is always one request behind the one that is answered. An answer brings the result of
    # the image before, and only the last one is asked for.
    assert "".join(events).startswith("wwr")
    assert "rr" not in "".join(events)[:-2]
    assert events.count("w") == 12 + 1


def test_one_busy_answer_does_not_slow_down_the_rest(board, images):
    """An image is sent before the answer to the one before has been read, as without it."""
    transport, device = board(patience=0.01)
    target, ahead, refused = transport.target, [], []
    write, send = target.write, transport.write
    transport.write = lambda data: (ahead.append(bool(transport._received)), send(data))

    def begin():
        if target.submitted == 5:
            refused.append(len(ahead))

    target.begin = begin
    target.write = lambda addr, value: (
        Status.BUSY if target.submitted == 5 and len(refused) < 4 else write(addr, value))
    raw = images(transport.network, 40)
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))
    assert len(ahead) > refused[3] + 30
    assert any(ahead[-10:])


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
    assert transport.target.counters.crc_errors + transport.target.counters.dropped > 0
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
            transport.cut = k >= 2
            yield image

    start = time.monotonic()
    with pytest.raises(LinkError, match=r"^model: no answer any more; was the cable pulled out, or "
                                        r"the board switched off\? \(5 requests in 0\.\d s\)$"):
        device.infer(images(transport.network, 5), progress=cut)
    assert time.monotonic() - start < 5
    assert device.retries == 0


def test_a_line_that_has_become_too_bad_is_not_of_another_rate(board):
    transport, device = board(attempts=3)
    device.identify()
    transport.spoil = lambda _: b"\xc0junk\xc0"
    with pytest.raises(LinkError, match=r"^model: the line has too many errors: bytes arrive, but "
                                        r"no answer among them; check cable and ground, or build "
                                        r"for a lower rate \(--baud\) \(3 requests in "):
        device.identify()


def test_frames_that_were_lost_without_a_word(board, images):
    transport, device = board()
    device.infer(images(transport.network, 1))
    transport.target.submitted = 7
    with pytest.raises(HostError, match=r"^model: the device refuses sample 2 \(order\); frames "
                                        r"were lost or changed their order on the way; start "
                                        r"again$"):
        device.infer(images(transport.network, 1))


def test_the_end_of_an_answer_before_the_line_dies_is_no_bad_line(board):
    transport, device = board(attempts=3)
    device.identify()
    spoilt = iter([bytes, lambda data: data[:3], *[lambda _: b""] * 99])
    transport.spoil = lambda data: next(spoilt)(data) if data else data
    with pytest.raises(LinkError, match=r"^model: no answer any more; "):
        device.identify()


def test_garbage_only_is_an_error(board):
    _, device = board(spoil=lambda _: b"\xc0junk\xc0", attempts=3)
    with pytest.raises(LinkError, match=r"^model: bytes arrive, but no answer among them; is the "
                                        r"device's rate 1000000 baud\? \(3 requests in "):
        device.identify()


def test_a_stale_result_is_not_believed(board, images):
    transport, device = board(patience=0.05)
    raw = images(transport.network, 2)
    device.infer(raw[:1])
    read, where = transport.target.read, transport.target.registers.slot(2)
    transport.target.read = lambda addr: 1 if addr == where else read(addr)
    with pytest.raises(HostError, match=r"^model: the device has not completed sample 2 in 0.05 s; "
                                        r"its last is 1; wait longer \(--timeout\), or reset "
                                        r"it$"):
        device.infer(raw[1:], progress=iter)


def test_a_slow_result_is_waited_for(board, images):
    transport, device = board(patience=5)
    raw = images(transport.network, 1)
    read, where, asked = transport.target.read, transport.target.registers.slot(1), []

    def late(addr):
        asked.append(addr)
        return 0 if addr == where and asked.count(where) < 4 else read(addr)

    transport.target.read = late
    assert np.array_equal(device.infer(raw).logits, transport.network.predict(raw))


def test_a_stranger_is_refused(board, builds, images):
    transport, _ = board()
    device = driver(transport, load(builds("residual")))
    with pytest.raises(HostError, match=r"^model: the device holds another network or build "
                                        r"\(digest [0-9a-f]{12}\.\.\., not [0-9a-f]{12}\.\.\.\); "
                                        r"program it with the build of .*manifest\.json$"):
        device.infer(np.zeros((1, 3, 6, 6), np.uint8))
    assert transport.target.submitted == 0
    assert device.status()["matches"] is False


@pytest.mark.parametrize("addr, value, message", [
    (0, 5, r"^model: something answers, but it is not a Spikeloom device$"),
    (1, 9, r"^model: the device speaks version 9 of the protocol, this driver version 3$"),
    (17, 3, r"^model: the device and .*manifest.json disagree on the size of input or output$"),
])
def test_what_is_no_device_of_ours(addr, value, message, board):
    transport, device = board()
    read = transport.target.read
    transport.target.read = lambda a: value if a == addr else read(a)
    with pytest.raises(HostError, match=message):
        device.identify()


def test_a_refused_read_is_an_error(board):
    _, device = board()
    device.link.where = device.link.where | {"result": 0x5000}
    with pytest.raises(HostError, match=r"^model: the device refuses to read 7 words at 0x5008 "
                                        r"\(range\); it doesn't match .*manifest\.json$"):
        device.infer(np.zeros((1, 2, 3, 3), np.uint8))


def test_a_line_that_was_pulled_out():
    with pytest.raises(LinkError, match=r"^broken: the line was cut while writing$"):
        SerialLink(BrokenTransport()).read(0, 1)
