"""Children that end with this process, and scratch directories that do not outlive it.

Children run in a process group of their own, so that what they start in turn (make, g++, cc1plus)
ends with them. A *watcher* leads the group, a shell of one line at the reading end of a pipe whose
other end only this process has: however this process ends, by SIGKILL too, the watcher sees the end
of the file, and ends the group. Another removes a scratch directory.
"""

import multiprocessing
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, CompletedProcess, Popen, TimeoutExpired

__all__ = [
    "DEVNULL", "PIPE", "STDOUT", "Terminated", "TimeoutExpired", "group", "run", "scratch",
    "terminable", "workers",
]

_GRACE = 2
"""Seconds between SIGTERM and SIGKILL."""

_END_GROUP = f"trap '' HUP INT TERM; read -r _; kill -TERM 0; sleep {_GRACE}; kill -KILL 0"

# A child that is about to end may still write there.
_REMOVE = """\
trap '' HUP INT TERM
read -r _
for _ in 1 2 3 4 5; do
    rm -rf -- "$1" && exit
    sleep 1
done
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM came; everything ends as if it had been Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """Within this, SIGTERM raises :class:`Terminated`, once: what is cleaned up then is left alone.

    Outside of the main thread, where signals do not arrive, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number, frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watcher(script, *arguments):
    return subprocess.Popen(["/bin/sh", "-c", script, "spikeloom", *arguments], stdin=PIPE,
                            stdout=DEVNULL, stderr=DEVNULL, cwd="/", process_group=0,
                            env={"PATH": os.defpath})


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A directory that is gone when this ends, or else when the process does.

    Parameters
    ----------
    parent : where it is made; by default where the system has its temporary files
    """
    folder = tempfile.TemporaryDirectory(prefix="spikeloom-", dir=parent,
                                         ignore_cleanup_errors=True)
    try:
        with _watcher(_REMOVE, folder.name):  # whose end is to close the pipe, and wait
            yield Path(folder.name)
    finally:
        folder.cleanup()


class _Group:
    """See :func:`group`."""

    def __init__(self, temporary):
        self._children, self._temporary = [], temporary
        self._watcher = _watcher(_END_GROUP)

    def start(self, command, *, env=None, **options):
        # Python's own are told to print UTF-8, as it is read, and to take any name of a directory.
        env = (os.environ if env is None else env) | {"PYTHONUTF8": "1"}
        if env.get("TMPDIR") == os.environ.get("TMPDIR"):
            env["TMPDIR"] = str(self._temporary)
        child = subprocess.Popen(command, process_group=self._watcher.pid, env=env,
                                 **{"stdin": DEVNULL} | options)
        self._children.append(child)
        return child

    def end(self):
        if any(child.poll() is None for child in self._children):
            self._signal(signal.SIGTERM)
            self._wait()
        self._signal(signal.SIGKILL)
        for child in (*self._children, self._watcher):
            child.kill()  # it may have left the group
            child.wait()
            for pipe in filter(None, (child.stdin, child.stdout, child.stderr)):
                with suppress(BrokenPipeError):  # of what is buffered
                    pipe.close()

    def _signal(self, number):
        with suppress(ProcessLookupError):
            os.killpg(self._watcher.pid, number)

    def _wait(self):
        end = time.monotonic() + _GRACE
        for child in self._children:
            with suppress(TimeoutExpired):
                child.wait(max(0, end - time.monotonic()))


@contextmanager
def group() -> Iterator[Callable[..., Popen]]:
    """Children that end together, with all that they have started: when this ends, whatever still
    runs gets SIGTERM and, 2 seconds later, SIGKILL. So it does if this process dies.

    Gives a function that starts a child. It takes the arguments of :class:`subprocess.Popen`;
    standard input is empty unless it is given, and temporary files go to a :func:`scratch`
    directory unless the environment names another: a program that is killed leaves them.
    """
    with scratch() as temporary:
        children = _Group(temporary)
        try:
            yield children.start
        finally:
            children.end()


def run(command: Sequence[str], *, given: str | bytes | None = None, **options) -> CompletedProcess:
    """Run a program to its end, whatever its status, in a :func:`group` of its own.

    Parameters
    ----------
    given : what it reads on standard input
    options : as :class:`subprocess.Popen` takes them
    """
    if given is not None:
        options["stdin"] = PIPE
    with group() as start:
        child = start(command, **options)
        output, errors = child.communicate(given)
    return CompletedProcess(command, child.returncode, output, errors)


@contextmanager
def workers(jobs: int | None) -> Iterator[ProcessPoolExecutor]:
    """Processes that share tasks. Those under way are not waited for if this ends by an exception.

    Parameters
    ----------
    jobs : how many; by default one for each core of the machine
    """
    others = set(multiprocessing.active_children())
    # A fresh process a worker: one that was forked from a process with threads may hang.
    executor = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"),
                                   initializer=_end_with_parent)
    try:
        yield executor
    except BaseException:
        # What a worker has started is ended by its watchers.
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


def _end_with_parent():
    """A worker waits for tasks even if there is nobody left to send any. Ctrl-C, which a terminal
    sends to it as well, is its parent's affair."""
    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=wait, daemon=True).start()
