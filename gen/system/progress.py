"""Progress of long work: a bar on a terminal, elsewhere a line now and then."""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, Self, TypeVar, overload

__all__ = ["Bar", "bar", "working"]

log = logging.getLogger(__name__)

# Seconds from one line to the next. Shorter work prints nothing.
_PAUSE = 30.0

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Bar(Protocol[T_co]):
    """The part of tqdm that is used.

    Members
    -------
    n : items that are done
    """

    n: int

    def __iter__(self) -> Iterator[T_co]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def update(self, count: int = 1) -> object:
        """Report that so many more items are done."""

    def set_postfix_str(self, text: str) -> None:
        """Show a text behind the number of items."""


@overload
def bar(iterable: Iterable[T], *, total: int | None = None, desc: str, unit: str = "step",
        disable: bool = False, **layout: Any) -> Bar[T]: ...
@overload
def bar(iterable: None = None, *, total: int | None = None, desc: str, unit: str = "step",
        disable: bool = False, **layout: Any) -> Bar[None]: ...
def bar(iterable: Iterable[Any] | None = None, *, total: int | None = None, desc: str,
        unit: str = "step", disable: bool = False, **layout: Any) -> Bar[Any]:
    """A bar of tqdm if standard error is a terminal, else an object that logs a line now and then.

    Iterate over it, or use it as a context and report progress with ``update(count)``.

    Parameters
    ----------
    iterable : the items
    total : number of items; by default the length of ``iterable``, if it has one
    desc : a description of the work
    unit, layout : name of an item, and further arguments of tqdm, which matter only on a terminal
    """
    if sys.stderr.isatty():
        from tqdm import tqdm
        return tqdm(iterable, total=total, desc=desc, unit=unit, disable=disable, **layout)
    return _Lines(iterable, total, desc, disable)


class _Lines:
    """See :func:`bar`."""

    def __init__(self, iterable, total, desc, disable):
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)
        self.n, self.total, self._iterable, self._disable = 0, total, iterable, disable
        self._desc, self._postfix = desc, ""
        self._began = self._said = time.monotonic()

    def __iter__(self):
        for item in self._iterable:
            yield item
            self.update()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, count=1):
        self.n += count
        self._say()

    def set_postfix_str(self, text):
        self._postfix = text
        self._say()

    def _say(self):
        now = time.monotonic()
        if self._disable or now - self._said < _PAUSE:
            return
        self._said = now
        done = f"{self.n:,} of {self.total:,}" if self.total else ""
        log.info(", ".join(filter(None, [f"{self._desc}: {now - self._began:.0f} s", done,
                                         self._postfix])))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Log the beginning of a step, and now and then that it still runs."""
    log.info("%s ...", what)
    began, done = time.monotonic(), threading.Event()

    def remind():
        while not done.wait(_PAUSE):
            log.info("%s: %.0f s", what, time.monotonic() - began)

    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    try:
        yield
    finally:
        done.set()
        reminder.join()
