"""The C driver, against a device in integers."""

import re
import time

import numpy as np
import pytest

from host.frames import Decoder, encode, parse, request
from hw import registers
from hw.bus import Status
from hw.link import Op
from tests.host.conftest import NETWORKS, ModelTransport
from tests.host.test_device import Interleaved, Slow, Vandal

from .compiling import DRIVER, enumerators
from .conftest import LARGE
from .driver import Error

LINKS = ("serial", "mapped")

ALL = {name: NETWORKS[name] for name in ("linear", "convolutional", "wide", "stepping")} | LARGE


@pytest.fixture
def board(driver_of):
    """A device in integers, and a driver for it."""
    def get(name="linear", link="serial", *, patience=2, attempts=10, **options):
        transport, driver = ModelTransport(ALL[name](), **options), driver_of(name)
        if link == "serial":
            driver.serial(transport, patience=patience, attempts=attempts)
        else:
            driver.mapped(transport.target)
        return transport, driver
    return get


def test_constants_are_those_of_the_gateware():
    text = (DRIVER / "spikeloom_driver.h").read_text(encoding="utf-8")
    defined = dict(re.findall(r"#define SPIKELOOM_(\w+) (\w+)u\b", text))
    assert int(defined["PROTOCOL"]) == registers.VERSION
    assert int(defined["MAGIC"], 0) == registers.MAGIC
    assert int(defined["SLOTS"]) == registers.SLOTS
    assert int(defined["MAX_WORDS"]) == registers.MAX_WORDS
    assert enumerators("SPIKELOOM_STATUS_", "spikeloom_status") == {
        status.name: status.value for status in Status}
    assert enumerators("SPIKELOOM_OP_", "spikeloom_op") == {op.name: op.value for op in Op}


def test_every_error_has_its_own_line(driver_of):
    texts = [driver_of("linear").c.spikeloom_text(error).decode() for error in Error]
    assert len(set(texts)) == len(Error)
    assert all(text.isprintable() and len(text) < 100 for text in texts)
    assert driver_of("linear").c.spikeloom_text(99) == b"no error of this driver"


@pytest.mark.parametrize("link, ahead", [
    ("serial", 1), ("serial", 2), ("serial", 4), ("mapped", 1), ("mapped", 2)])
@pytest.mark.parametrize("name", ALL)
def test_logits(name, link, ahead, board, images):
    transport, driver = board(name, link)
    raw = images(transport.network, 7)
    assert driver.open() == Error.OK
    expected = transport.network.predict(raw)
    assert np.array_equal(driver.infer(raw, ahead=ahead), expected)
    assert driver.clocks == 1234
    assert driver.predicted() == expected[-1].argmax()
    assert driver.c.shim_retries() == 0


@pytest.mark.parametrize("name, logits, label", [
    ("linear", [-(1 << 31), -1, 0, (1 << 31) - 1, 1], 3), ("linear", [-5, 7, -9, 7, 7], 1),
    ("linear", [-3] * 5, 0), ("linear", [-(1 << 31), -1, -2, -3, -4], 1),
    ("wide", [-(1 << 63), (1 << 63) - 1, 0, -1, 1 << 32], 1), ("wide", [1 << 31, 5, 1 << 31, 0, 0],
                                                              0),
    ("wide", [-(1 << 32), -(1 << 31), -(1 << 33), -(1 << 63), -1 << 40], 1)])
def test_logits_of_any_size(name, logits, label, driver_of):
    driver = driver_of(name)
    size = 4 * driver.manifest.registers["logit_words"]
    words = np.array(logits, f"<i{size}").view("<u4").tolist()
    driver._result[2:2 + len(words)] = words
    assert driver.logits == logits
    assert driver.predicted() == label


@pytest.mark.parametrize("link", LINKS)
def test_time_steps(link, board, images):
    transport, driver = board("stepping", link)
    network, raw = transport.network, images(transport.network, 4)
    raw[::3] = 0
    assert driver.open() == Error.OK
    seen = set()
    for timesteps in (7, 1, 7, 4, 5, 2, 3):
        assert driver.choose(timesteps) == Error.OK
        trace = network.run(network.encode(raw), timesteps=timesteps)
        quiet = np.stack(list(network.quiet(trace).values()), axis=1)
        for k, pixels in enumerate(raw):
            assert np.array_equal(driver.infer([pixels]), trace.logits[k:k + 1])
            assert transport.target.timesteps == timesteps
            assert [driver.quiet(layer) for layer in range(quiet.shape[1])] == quiet[k].tolist()
            seen |= set(quiet[k].tolist())
    assert seen == {True, False}
    assert driver.choose(0) == driver.choose(8) == Error.RANGE


def test_each_session_chooses_its_time_steps(board, images):
    """The register keeps what the host before has chosen."""
    transport, driver = board("stepping")
    raw = images(transport.network, 2)
    counts = transport.network.encode(raw)
    expected = transport.network.run(counts, timesteps=2).logits
    assert driver.open() == driver.choose(2) == Error.OK
    assert np.array_equal(driver.infer(raw), expected)
    transport.target.timesteps = 5
    assert driver.open() == Error.OK
    assert np.array_equal(driver.infer(raw), expected)


def test_time_steps_change_only_between_samples(board, images):
    transport, driver = board("stepping", "mapped")
    raw = images(transport.network, 2)
    Slow(transport.target, 8)
    assert driver.open() == Error.OK
    assert driver.submit(driver.pack(raw[0])) == Error.OK
    assert driver.choose(2) == Error.OK
    assert driver.submit(driver.pack(raw[1])) == Error.BUSY
    assert driver.wait() == Error.OK
    assert driver.logits == transport.network.predict(raw[:1])[0].tolist()
    counts = transport.network.encode(raw)
    assert np.array_equal(driver.infer(raw[1:]),
                          transport.network.run(counts[1:], timesteps=2).logits)


def test_what_the_caller_gets_wrong(board, images):
    transport, driver = board()
    words = driver.pack(images(transport.network, 1))
    assert driver.submit(words) == driver.poll() == Error.CLOSED
    assert driver.c.spikeloom_open(driver.device, 0) == Error.RANGE
    assert driver.open() == Error.OK
    assert driver.poll() == driver.wait() == Error.EMPTY
    assert [driver.submit(words) for _ in range(5)] == [Error.OK] * 4 + [Error.BUSY]
    assert [driver.poll() for _ in range(5)] == [Error.OK] * 4 + [Error.EMPTY]


@pytest.mark.parametrize("link", LINKS)
def test_a_device_that_takes_its_time(link, board, images):
    transport, driver = board("convolutional", link)
    raw = images(transport.network, 6)
    assert driver.open() == Error.OK
    slow = Slow(transport.target, 12)
    words = [driver.pack(pixels) for pixels in raw]
    assert driver.submit(words[0]) == driver.submit(words[1]) == Error.OK
    assert driver.submit(words[2]) == Error.BUSY
    assert [driver.poll() for _ in range(2)] == [Error.PENDING] * 2
    assert driver.wait() == Error.OK
    assert driver.logits == transport.network.predict(raw[:1])[0].tolist()
    assert driver.wait() == Error.OK
    assert np.array_equal(driver.infer(raw), transport.network.predict(raw))
    assert slow.most == 2


@pytest.mark.parametrize("link", LINKS)
def test_a_device_that_never_completes(link, board, images):
    transport, driver = board("linear", link)
    raw = images(transport.network, 1)
    Slow(transport.target, 1 << 30)
    assert driver.open() == Error.OK
    assert driver.submit(driver.pack(raw)) == Error.OK
    assert driver.wait(50) == Error.TIMEOUT
    assert driver.due == 1
    assert driver.open() == Error.BUSY


@pytest.mark.parametrize("link", LINKS)
def test_numbers_wrap(link, board, images):
    transport, driver = board("linear", link)
    raw = images(transport.network, 9)
    transport.target.submitted = 0xfffc
    assert driver.open() == Error.OK
    assert np.array_equal(driver.infer(raw), transport.network.predict(raw))
    assert transport.target.submitted == 5


@pytest.mark.parametrize("name, seed, rate, count", [
    ("linear", 0, 0.003, 60), ("linear", 1, 0.003, 60), ("convolutional", 2, 0.003, 60),
    ("large", 3, 0.0005, 15)])
def test_a_lossy_line_gives_right_answers(name, seed, rate, count, board, images):
    transport, driver = board(name, spoil=Vandal(seed, rate), attempts=30)
    raw = images(transport.network, count)
    assert driver.open() == Error.OK
    assert np.array_equal(driver.infer(raw), transport.network.predict(raw))
    assert driver.c.shim_retries() > 5
    assert transport.target.counters.crc_errors + transport.target.counters.dropped > 0
    assert transport.target.submitted == count


class Answers:
    """Lets answers through that are spoilt one after the other by functions, the last of which
    stays."""

    def __init__(self, *spoils):
        self.spoils = list(spoils)

    def __call__(self, data):
        if len(data) < 2:  # a request comes byte by byte
            return data
        return (self.spoils.pop(0) if len(self.spoils) > 1 else self.spoils[0])(data)


@pytest.mark.parametrize("spoil, again", [
    (lambda answer: b"", True), (lambda answer: answer * 2, False),
    (lambda answer: answer[:-1], True), (lambda answer: answer[:5], True),
    (lambda answer: answer[:9] + answer[10:], True),
    (lambda answer: answer[:-1] + b"\xdb\xc0", True),
    (lambda answer: b"\xdb\x01" + answer, False),
    (lambda answer: answer[:-1] + bytes(4) + b"\xc0", True),
    (lambda answer: answer[:-1] + bytes(300) + b"\xc0", True),
    (lambda answer: b"\xc0" * 9 + answer, False)],
    ids=["lost", "twice", "no end", "cut off", "short", "escaped end", "wrong escape before",
         "long", "too long", "ends"])
def test_every_other_answer_is_spoilt(spoil, again, board, images):
    def spoilt(answer):
        done.append(answer)
        return spoil(answer)

    done = []
    transport, driver = board("full")  # whose answers are as long as they can be
    transport.spoil = Answers(*[bytes, spoilt] * 6, bytes)
    raw = images(transport.network, 5)
    assert driver.open() == Error.OK
    assert np.array_equal(driver.infer(raw), transport.network.predict(raw))
    assert transport.target.submitted == 5
    assert len(done) > 4
    assert driver.c.shim_retries() == again * len(done)


def test_a_wrong_escape(board):
    """Of a byte that would make the frame right."""
    transport, driver = board()
    transport.target.submitted = 0xdb00
    seen = []

    def spoil(answer):
        if b"\xdb\xdd" in answer and not seen:
            seen.append(answer)
            return answer.replace(b"\xdb\xdd", b"\xdb\x01")
        return answer

    transport.spoil = spoil
    assert driver.open() == Error.OK
    assert driver.c.shim_retries() == len(seen) == 1


def altered(*, op=None, words=None, whose=(1, 2), **fields):
    """Makes the answers to some operations others, with a right CRC."""
    def spoil(data):
        if len(data) < 2:
            return data
        (answer,) = map(parse, Decoder().feed(data))
        if answer.op not in whose:
            return data
        seq, addr, count, session = (getattr(answer, name) + fields.get(name, 0)
                                     for name in ("seq", "addr", "count", "session"))
        return encode(request(
            seq & 0xff, 0x80 | answer.status << 4 | answer.op if op is None else op, addr, count,
            session, answer.words if words is None else words(answer.words)))
    return spoil


@pytest.mark.parametrize("change", [
    {"seq": 1}, {"seq": -1}, {"addr": 1}, {"count": 1}, {"session": 1}, {"op": 1}, {"op": 0x82},
    {"words": lambda words: words[1:]}, {"words": lambda words: (*words, 0)},
    {"words": lambda words: ()}, {"words": lambda words: words * 6},
    {"words": lambda words: (0,), "whose": [2]}, {"op": 0x91}],
    ids=range(13))
def test_answers_to_something_else(change, board):
    transport, driver = board(attempts=2)
    assert driver.open() == Error.OK
    transport.spoil = altered(**change)
    assert driver.open() == Error.NOISY
    transport.spoil = altered()
    assert driver.open() == Error.OK


@pytest.mark.parametrize("status", [1, 2, 4, 6, 7])
def test_refusals(status, board):
    transport, driver = board()
    transport.spoil = altered(op=0x81 | status << 4, words=lambda _: ())
    assert driver.open() == (Error.DAMAGED if status == 7 else Error.REFUSED)


def test_no_answer(board, images):
    transport, driver = board(attempts=3)
    words = driver.pack(images(transport.network, 1))
    assert driver.open() == driver.submit(words) == Error.OK
    transport.cut = True
    assert driver.submit(words) == Error.SILENT
    assert driver.submit(words) == driver.poll() == Error.CLOSED
    assert driver.open() == Error.SILENT
    assert driver.c.shim_retries() == 2 * 2
    transport.cut = False
    assert driver.open() == Error.OK
    raw = images(transport.network, 3)
    assert np.array_equal(driver.infer(raw), transport.network.predict(raw))


def test_nothing_but_noise(board):
    transport, driver = board(attempts=3)
    transport.read = lambda seconds: b"\xc0junk"
    assert driver.open() == Error.NOISY


def test_a_line_that_takes_no_bytes(driver_of):
    driver = driver_of("linear")
    driver.line(lambda _, byte: False, lambda _: -1)
    assert driver.open() == Error.CUT


@pytest.mark.parametrize("clock", [0xffffff00, 0x7fffffff])
def test_the_clock_wraps(clock, driver_of, images):
    began = time.monotonic()

    def milliseconds(_):
        return clock + int((time.monotonic() - began) * 1e4) & 0xffffffff

    transport, driver = ModelTransport(NETWORKS["linear"]()), driver_of("linear")
    driver.serial(transport, patience=100, attempts=2, clock=milliseconds)
    raw = images(transport.network, 20)
    assert driver.open() == Error.OK
    assert np.array_equal(driver.infer(raw), transport.network.predict(raw))
    transport.cut = True
    assert driver.open() == Error.SILENT


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("register, value, error", [
    ("magic", 1, Error.STRANGER), ("version", 2, Error.VERSION), ("digest", 3, Error.OTHER_BUILD)])
def test_devices_that_are_refused(register, value, error, link, board, monkeypatch):
    transport, driver = board("linear", link)
    read, where = transport.target.read, getattr(transport.target.registers, register)
    monkeypatch.setattr(transport.target, "read",
                        lambda addr: value if addr == where else read(addr))
    assert driver.open() == error


@pytest.mark.parametrize("link", LINKS)
def test_another_build_is_refused(link, board, driver_of):
    transport, _ = board("convolutional", link)
    driver = driver_of("linear")
    driver.serial(transport) if link == "serial" else driver.mapped(transport.target)
    assert driver.open() == Error.OTHER_BUILD


OPENED = 3
"""Requests of a driver until it has a session. It then asks for the numbers of the last samples."""

REQUESTS = {"linear": OPENED + 2 + 3 + 1, "large": OPENED + 2 + 3 * 3 + 2 * 2 + 3}
"""Those until it has sent three samples, and has read the last result. The others come with
answers, as far as these hold them."""

LOST = [(name, number) for name in REQUESTS for number in range(REQUESTS[name])]


class Happening(Interleaved):
    """The same for a line that is given byte by byte, by the frames' ends: two a request."""

    def write(self, data):
        if data == b"\xc0":
            self._left -= 1
            if self._left == -1:
                self._happens()
        self._write(data)


@pytest.mark.parametrize("name, number", LOST)
@pytest.mark.parametrize("happening, error", [("taken", Error.TAKEN), ("reset", Error.RESET)])
def test_a_session_that_is_lost(happening, error, name, number, driver_of, images):
    def happens():
        done.append(number)
        transport.reset() if happening == "reset" else setattr(transport.target, "session", 99)

    done = []
    transport, driver = ModelTransport(ALL[name]()), driver_of(name)
    raw = images(transport.network, 3)
    driver.serial(Happening(transport, 2 * number, happens))
    assert driver.open() == Error.OK
    found = driver.infer(raw)
    assert done == [number]
    if number < OPENED:
        assert np.array_equal(found, transport.network.predict(raw))
    else:
        assert found == error
        assert driver.poll() == Error.CLOSED
        assert driver.open() == Error.OK
        assert np.array_equal(driver.infer(raw), transport.network.predict(raw))


@pytest.mark.parametrize("happening, error", [("taken", Error.TAKEN), ("reset", Error.RESET)])
def test_registers_of_a_session_that_is_lost(happening, error, board, images, monkeypatch):
    """They are not written any more: they are another host's."""
    transport, driver = board("linear", "mapped")
    write, writes = transport.target.write, []
    monkeypatch.setattr(transport.target, "write",
                        lambda addr, word: writes.append(addr) or write(addr, word))
    words = driver.pack(images(transport.network, 1))
    for read in (driver.poll, lambda: driver.submit(words)):
        assert driver.open() == driver.submit(words) == Error.OK
        transport.target.session = None if happening == "reset" else 99
        writes.clear()
        assert read() == error
        assert not writes


def test_a_session_that_the_device_remembers_but_does_not_own(board, images, monkeypatch):
    transport, driver = board()
    words = driver.pack(images(transport.network, 1))
    assert driver.open() == Error.OK
    monkeypatch.setattr(transport.target, "owner", lambda session: False)
    assert driver.submit(words) == Error.RESET


@pytest.mark.parametrize("link", LINKS)
def test_samples_that_the_device_numbers_otherwise(link, board, images):
    transport, driver = board("linear", link)
    words = driver.pack(images(transport.network, 1))
    assert driver.open() == driver.submit(words) == Error.OK
    transport.target.submitted = 700
    assert driver.submit(words) == Error.REFUSED
    assert driver.submit(words) == Error.CLOSED


def test_memory(driver_of):
    c, words = driver_of("linear").c, np.zeros(9, np.uint32)
    c.spikeloom_memory_write(words.ctypes.data, 5, 0xdeadbeef)
    assert words.tolist() == [0] * 5 + [0xdeadbeef] + [0] * 3
    assert c.spikeloom_memory_read(words.ctypes.data, 5) == 0xdeadbeef
