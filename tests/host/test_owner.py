"""One thread owns a device, and many ask."""

import threading
from contextlib import contextmanager

import pytest

from host.errors import Busy, HostError
from host.owner import Owner


class Bench:
    """Opens devices that are numbers, and notes what happens. ``broken`` are those that hold
    another build."""

    def __init__(self, broken=()):
        self.events, self.broken, self.opened = [], broken, 0

    @contextmanager
    def open(self):
        self.opened += 1
        number, bench = self.opened, self

        class Device:
            def identify(self):
                if number in bench.broken:
                    raise HostError("another build")

            def __repr__(self):
                return f"device {number}"
        self.events.append(f"open {number}")
        try:
            yield Device()
        finally:
            self.events.append(f"close {number}")


class Stop(BaseException):
    """As an interrupt."""


def end(device):
    raise Stop


@pytest.fixture
def owned():
    """An owner at work on a bench; at the end it has to have come to one."""
    running = []

    def start(bench):
        owner, ready = Owner(bench.open), threading.Event()

        def work():
            with pytest.raises(Stop):
                owner.work(ready.set)
        thread = threading.Thread(target=work)
        thread.start()
        assert ready.wait(10)
        running.append((owner, thread))
        return owner
    yield start
    for owner, thread in running:
        threading.Thread(target=owner.ask, args=(end,), daemon=True).start()
        thread.join(10)
        assert not thread.is_alive()


def fail(device):
    raise HostError(f"{device} is dead")


def test_an_answer(owned):
    assert owned(Bench()).ask(repr) == "device 1"


@pytest.mark.parametrize("error", [HostError("dead"), OSError("gone"), ValueError("a bug")])
def test_after_an_error_the_device_is_opened_again(owned, error):
    bench = Bench()
    owner = owned(bench)

    def job(device):
        raise error
    with pytest.raises(type(error), match=str(error)):
        owner.ask(job)
    assert owner.ask(repr) == "device 2"
    assert owner.ask(repr) == "device 2"
    assert bench.events == ["open 1", "close 1", "open 2"]


def test_a_device_that_can_t_be_opened_again_is_an_answer(owned):
    bench = Bench(broken=[2])
    owner = owned(bench)
    with pytest.raises(HostError, match="device 1 is dead"):
        owner.ask(fail)
    with pytest.raises(HostError, match="another build"):
        owner.ask(repr)
    assert owner.ask(repr) == "device 3"
    assert bench.events == ["open 1", "close 1", "open 2", "close 2", "open 3"]


def test_a_device_that_can_t_be_opened_at_first_is_the_end():
    bench, ready = Bench(broken=[1]), []
    with pytest.raises(HostError, match="another build"):
        Owner(bench.open).work(lambda: ready.append(True))
    assert bench.events == ["open 1", "close 1"]
    assert not ready


def test_jobs_are_done_one_after_the_other_and_too_many_are_refused(owned):
    owner, free, begun, order = owned(Bench()), threading.Event(), threading.Event(), []

    def first(device):
        begun.set()
        assert free.wait(10)
        order.append(0)
    threads = [threading.Thread(target=owner.ask, args=(first,))]
    threads[0].start()
    assert begun.wait(10)
    for number in range(1, 9):
        threads.append(threading.Thread(target=owner.ask,
                                        args=(lambda device, number=number: order.append(number),)))
        threads[-1].start()
        while owner._jobs.qsize() < number:
            pass
    with pytest.raises(Busy, match=r"^the device has 8 requests waiting; try again later$"):
        owner.ask(repr)
    free.set()
    for thread in threads:
        thread.join(10)
    assert order == list(range(9))
