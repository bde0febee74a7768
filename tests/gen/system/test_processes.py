"""Nothing is left behind, however a process ends: no child, no grandchild, no scratch directory."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gen.system import processes
from gen.system.processes import group, run, scratch, workers
from tests.leftovers import alive, eventually

ROOT = Path(__file__).parents[3]

# A child with a child, which both say who they are.
FAMILY = ["sh", "-c", "echo $$; sh -c 'echo $$; sleep 1000' & wait"]

PARENT = f"""
import sys
from gen.system import processes
with processes.terminable(), processes.scratch() as folder:
    print(folder, flush=True)
    (folder / "file").touch()
    processes.run({FAMILY!r}, cwd=folder)
"""

WORKER = f"""
import sys, time
from gen.system import processes
def work():
    with processes.scratch() as folder:
        print(folder, flush=True)
        processes.run({FAMILY!r}, cwd=folder)
if __name__ == "__main__":
    with processes.terminable(), processes.workers(1) as executor:
        executor.submit(work).result()
"""


@pytest.fixture
def parent(tmp_path):
    """Runs a program; gives the process, its scratch directory, and two pids beneath it."""
    started = []

    def start(text):
        file = tmp_path / "parent.py"
        file.write_text(text, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, str(file)], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
        started.append(process)
        folder, *pids = (process.stdout.readline().strip() for _ in range(3))
        assert os.path.isdir(folder)
        assert all(map(alive, pids))
        return process, folder, pids

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
@pytest.mark.parametrize("text", [PARENT, WORKER], ids=["child", "worker"])
def test_nothing_is_left(parent, text, number):
    process, folder, pids = parent(text)
    process.send_signal(number)
    process.wait(timeout=10)
    assert eventually(lambda: not any(map(alive, pids)))
    assert eventually(lambda: not os.path.exists(folder))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_it_has_ended(parent, number):
    process, folder, pids = parent(PARENT)
    process.send_signal(number)
    process.wait(timeout=10)
    assert not any(map(alive, pids))
    assert not os.path.exists(folder)


@pytest.mark.parametrize("trap", ["''", "exit"], ids=["deaf", "stopped"])
def test_a_child_that_does_not_end_is_killed(trap):
    began = time.monotonic()
    with group() as start:
        child = start(["sh", "-c", f"trap {trap} TERM; echo; while :; do sleep 0.02; done"],
                      stdout=processes.PIPE)
        child.stdout.readline()
        if trap == "exit":
            child.send_signal(signal.SIGSTOP)
    assert child.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 4


def test_a_child_that_has_left_the_group_is_ended():
    with group() as start:
        child = start([sys.executable, "-c",
                       "import os, time; os.setsid(); print(flush=True); time.sleep(1000)"],
                      stdout=processes.PIPE)
        child.stdout.readline()
    assert child.returncode == -signal.SIGKILL


def test_a_child_is_asked_first():
    with group() as start:
        child = start(["sh", "-c", "trap 'exit 7' TERM; echo; while :; do sleep 0.02; done"],
                      stdout=processes.PIPE)
        child.stdout.readline()
    assert child.returncode == 7


def test_what_a_child_leaves_behind_is_ended():
    done = run(["sh", "-c", "sleep 1000 >&- 2>&- & echo $!"], stdout=processes.PIPE, text=True)
    assert eventually(lambda: not alive(int(done.stdout)))


def test_run():
    done = run(["sh", "-c", "cat; echo oops >&2; exit 3"], given="text", text=True,
               stdout=processes.PIPE, stderr=processes.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (3, "text", "oops\n")


def test_temporary_files_are_removed(tmp_path):
    done = run(["sh", "-c", "touch $TMPDIR/file; echo $TMPDIR"], stdout=processes.PIPE, text=True)
    assert done.stdout.strip()
    assert not os.path.exists(done.stdout.strip())
    done = run(["sh", "-c", "echo $TMPDIR"], stdout=processes.PIPE, text=True,
               env={"TMPDIR": str(tmp_path)})
    assert done.stdout.strip() == str(tmp_path)


def test_standard_input_is_empty():
    assert run(["cat"], stdout=processes.PIPE).stdout == b""


def test_no_such_program():
    with pytest.raises(FileNotFoundError):
        run(["/nowhere/program"])


def test_scratch(tmp_path):
    with scratch(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "a" / "b").mkdir(parents=True)
    assert list(tmp_path.iterdir()) == []


def test_workers():
    with workers(2) as executor:
        assert list(executor.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]


def test_an_exception_does_not_wait_for_workers():
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), workers(1) as executor:
        executor.submit(time.sleep, 0).result()
        executor.submit(time.sleep, 1000)
        raise ZeroDivisionError
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("file", sorted((ROOT / "gen").rglob("*.py")),
                         ids=lambda file: str(file.relative_to(ROOT)))
def test_nobody_else_starts_processes(file):
    """Nor makes directories that somebody has to remove."""
    if file == Path(processes.__file__):
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]
    names += [f"{node.module}.{alias.name}" for node in ast.walk(tree)
              if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert not [name for name in names if name.split(".")[0] in ("subprocess", "multiprocessing")
                or name.endswith(("ProcessPoolExecutor", ".mkdtemp", ".TemporaryDirectory"))]
    assert not [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
                and node.attr in ("mkdtemp", "TemporaryDirectory", "system", "popen")]
