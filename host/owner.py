"""The one thread that uses a device, for many that ask."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from queue import Full, Queue
from typing import Any, NoReturn, TypeVar

from .device import Device
from .errors import Busy

__all__ = ["Owner"]

_T = TypeVar("_T")

_WAITING = 8
"""Jobs that may wait for the one that is done."""


class Owner:
    """Does jobs on a device, one after the other, in their order.

    After an error the device is closed, and the next job opens it again: it takes the device over
    from whoever has it, and starts a virtual board anew.

    Parameters
    ----------
    opened : opens the device, for as long as the context lasts
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Device]]) -> None:
        self._opened = opened
        self._jobs: Queue[tuple[Callable[[Device], Any], Future]] = Queue(_WAITING)

    def ask(self, job: Callable[[Device], _T]) -> _T:
        """Have a job done, from any thread; returns what it returns, and raises what it raises.

        Raises
        ------
        Busy
            If too many wait already.
        HostError
            If the device can't be opened, or holds another build.
        """
        result: Future[_T] = Future()
        try:
            self._jobs.put_nowait((job, result))
        except Full:
            raise Busy(f"the device has {_WAITING} requests waiting; try again later") from None
        return result.result()

    def work(self, ready: Callable[[], None]) -> NoReturn:
        """Open the device and do the jobs, until an exception that no job has raised, such as an
        interrupt.

        Parameters
        ----------
        ready : called once the device has shown that it holds the build

        Raises
        ------
        HostError
            If the device can't be opened at first, or holds another build.
        """
        with ExitStack() as stack:
            device: Device | None = self._open(stack)
            ready()
            while True:
                job, result = self._jobs.get()
                try:
                    device = device or self._open(stack)
                    result.set_result(job(device))
                except Exception as error:  # whoever asked gets it
                    result.set_exception(error)
                    device = None
                    stack.close()

    def _open(self, stack):
        device = stack.enter_context(self._opened())
        device.identify()
        return device
