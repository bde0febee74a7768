"""Children that end with this process, and scratch directories that do not outlive it.

Children run in their own process group, so the programs that they start in turn (make, g++,
cc1plus) end with them. A *watcher* leads the group: a one-line shell that reads from a pipe whose
other end only this process has. However this process ends, even by SIGKILL, the watcher sees the
end of the pipe and ends the group. Another watcher removes a scratch directory.
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
from typing import Any

__all__ = [
    "DEVNULL", "PIPE", "STDOUT", "Popen", "Terminated", "TimeoutExpired", "group", "run", "scratch",
    "terminable", "workers",
]

_GRACE = 2
"""Seconds between SIGTERM and SIGKILL."""

_END_GROUP = f"trap '' HUP INT TERM; read -r _; kill -TERM 0; sleep {_GRACE}; kill -KILL 0"

# A child that is about to end may still write to the directory.
_REMOVE = """\
trap '' HUP INT TERM
read -r _
for _ in 1 2 3 4 5; do
    rm -rf -- "$1" && exit
    sleep 1
done
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Everything ends as after Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """A context in which SIGTERM raises :class:`Terminated`, only once, so it can't interrupt the
    clean-up.

    Outside of the main thread, where signals do not arrive, the context does nothing.
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
    """A directory that is removed when the context or the process ends.

    Parameters
    ----------
    parent : where it is made; by default among the temporary files of the system
    """
    folder = tempfile.TemporaryDirectory(prefix="spikeloom-", dir=parent,
                                         ignore_cleanup_errors=True)
    try:
        with _watcher(_REMOVE, folder.name):  # closing the pipe ends it
            yield Path(folder.name)
    finally:
        folder.cleanup()


class _Group:
    """See :func:`group`."""

    def __init__(self, temporary):
        self._children, self._temporary = [], temporary
        self._watcher = _watcher(_END_GROUP)

    def start(self, command, *, env=None, **options):
        # Python children must print UTF-8, because UTF-8 is read, and accept any name of a
        # directory.
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
            child.kill()  # the child may have left the group
            child.wait()
            for pipe in filter(None, (child.stdin, child.stdout, child.stderr)):
                with suppress(BrokenPipeError):  # from flushing the buffer
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
    """Children that end together with all that they have started. When the context ends or this
    process dies, all that still runs gets SIGTERM and, 2 seconds later, SIGKILL.

    The context yields a function that starts a child. It takes the arguments of
    :class:`subprocess.Popen`. Standard input is empty by default. Temporary files go to a
    :func:`scratch` directory, unless the environment names another, because a killed program leaves
    them behind.
    """
    with scratch() as temporary:
        children = _Group(temporary)
        try:
            yield children.start
        finally:
            children.end()


def run(command: Sequence[str], *, given: str | bytes | None = None,
        **options: Any) -> CompletedProcess:
    """Run a program to its end in its own :func:`group`, whatever its exit status.

    Parameters
    ----------
    given : text for its standard input
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
    """Processes that share tasks. After an exception, running tasks are not waited for.

    Parameters
    ----------
    jobs : how many; by default one for each core of the machine
    """
    others = set(multiprocessing.active_children())
    # Each worker is a fresh process: a fork of a process with threads may hang.
    executor = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"),
                                   initializer=_end_with_parent)
    try:
        yield executor
    except BaseException:
        # The watchers of a worker end its children.
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


def _end_with_parent():
    """End this worker with its parent, because it would otherwise wait for tasks forever. Ctrl-C,
    which a terminal sends to both, is left to the parent."""
    def wait():
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=wait, daemon=True).start()
