"""Files are written whole or not at all, checked before the work, and read only if regular."""

import ast
import hashlib
import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gen.errors import OutputError
from gen.system import files

ROOT = Path(__file__).parents[3]


@pytest.fixture
def old(tmp_path):
    """A file that must not be lost."""
    path = tmp_path / "old.txt"
    path.write_text("old")
    return path


@pytest.fixture
def foreign():
    """A folder of somebody who is not root, and who one is within the test."""
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.txt").write_text("old")
    (folder / "mine.txt").chmod(0o444)
    (folder / "closed").mkdir(mode=0o555)
    folder.chmod(0o777)
    if os.getuid() == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(os.getuid())
    shutil.rmtree(folder)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


class TestReplacing:
    def test_whole(self, old):
        with files.replacing(old) as draft:
            assert draft.parent == old.parent
            assert draft.suffix == ".txt"
            draft.write_text("ne")
            assert old.read_text() == "old"
            draft.write_text("new")
        assert old.read_text() == "new"
        assert names(old.parent) == ["old.txt"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_or_not_at_all(self, old, error):
        with pytest.raises(error), files.replacing(old) as draft:
            draft.write_text("half")
            raise error
        assert old.read_text() == "old"
        assert names(old.parent) == ["old.txt"]

    def test_permissions(self, tmp_path, old):
        before = os.umask(0o027)
        try:
            files.write_bytes(tmp_path / "new", b"")
            files.write_text(tmp_path / "new.sh", "", executable=True)
            old.chmod(0o604)
            files.write_text(old, "new")
        finally:
            os.umask(before)
        assert [mode(tmp_path / name) for name in ("new", "new.sh", "old.txt")] == [
            0o640, 0o750, 0o604]

    def test_link(self, tmp_path, old):
        link = tmp_path / "link"
        link.symlink_to("old.txt")
        files.write_text(link, "new")
        assert link.is_symlink()
        assert old.read_text() == "new"

    def test_link_to_nothing_yet(self, tmp_path):
        (tmp_path / "link").symlink_to("far/new.txt")
        files.write_text(tmp_path / "link", "new")
        assert (tmp_path / "far" / "new.txt").read_text() == "new"

    def test_directories_are_made(self, tmp_path):
        files.write_text(tmp_path / "a" / "b" / "c.txt", "ü\n")
        assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "ü\n".encode()

    def test_long_names(self, tmp_path):
        for name in ("x" * 255, "x." + "y" * 253):
            files.write_text(tmp_path / name, "new")
            assert names(tmp_path) == [name]
            (tmp_path / name).unlink()

    def test_a_full_disk_leaves_the_old_file(self, old):
        """The limit on a file's size stands in for the disk's."""
        done = subprocess.run([sys.executable, "-c", (
            "import resource, sys\nfrom gen.errors import OutputError\n"
            "from gen.system import files\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "try: files.write_bytes(sys.argv[1], bytes(1001))\n"
            "except OutputError as error: print(error)"), str(old)],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
        assert done.stdout == (f"{old}: can't be written: File too large; make it possible or "
                               f"choose another place\n")
        assert old.read_text() == "old"
        assert names(old.parent) == ["old.txt"]


CHECKS = (files.require_output, lambda path: files.write_text(path, "new"))


@pytest.mark.parametrize("write", CHECKS, ids=["check", "write"])
class TestRefused:
    """The same by the check before the work and by the work."""

    def refused(self, write, path, reason):
        with pytest.raises(OutputError, match=rf"^{re.escape(str(path))}: can't be written: "
                                              rf"{reason}; make it possible or choose another "
                                              rf"place$"):
            write(path)

    def test_directory(self, write, tmp_path):
        self.refused(write, tmp_path, "Is a directory")

    def test_file_for_a_directory(self, write, old):
        self.refused(write, old / "a" / "b.txt", "Not a directory")

    def test_no_regular_file(self, write, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "link").symlink_to("fifo")
        for path in (tmp_path / "fifo", tmp_path / "link", "/dev/null", "/dev/full"):
            self.refused(write, path, "Not a regular file")
        assert Path("/dev/null").is_char_device()
        assert names(tmp_path) == ["fifo", "link"]

    def test_names(self, write, tmp_path):
        for path in (tmp_path / ("x" * 256), tmp_path / "a" / ("ü" * 128) / "b",
                     tmp_path / "/".join(["a" * 100] * 50)):
            self.refused(write, path, "File name too long")
        for name in ("a\0b", "a\ud800"):
            self.refused(write, tmp_path / name, "Not a valid name")

    def test_loop(self, write, tmp_path):
        (tmp_path / "loop").symlink_to("loop")
        self.refused(write, tmp_path / "loop", "Too many levels of symbolic links")

    def test_rights(self, write, foreign):
        for path in (foreign / "mine.txt", foreign / "closed" / "new",
                     foreign / "closed" / "far" / "new"):
            self.refused(write, path, "Permission denied")
        assert (foreign / "mine.txt").read_text() == "old"
        assert names(foreign) == ["closed", "mine.txt"]


class TestRequire:
    def test_nothing_is_left(self, tmp_path, old):
        files.require_output(tmp_path / "a" / "b.txt")
        files.require_output(old)
        files.require_directory(tmp_path / "c" / "d", ["e"])
        files.require_directory(tmp_path, ["old.txt", "f"])
        assert names(tmp_path) == ["old.txt"]
        assert old.read_text() == "old"

    def test_no_room(self, tmp_path):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            for require in (files.require_output, files.require_directory):
                with pytest.raises(OutputError, match="can't be written: File too large"):
                    require(tmp_path / "new")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert names(tmp_path) == []

    def test_an_input_is_not_replaced(self, tmp_path, old):
        (tmp_path / "link").symlink_to("old.txt")
        for path in (old, tmp_path / "link"):
            with pytest.raises(OutputError, match=rf"^{path}: is an input of this command "
                                                  r"and would be overwritten; choose another "
                                                  r"place$"):
                files.require_output(path, inputs=[tmp_path / "absent", old])
        files.require_output(tmp_path / "new.txt", inputs=[old])

    def test_directory(self, tmp_path, old, foreign):
        with pytest.raises(OutputError, match=rf"^{foreign}/closed: can't be written: Permission"):
            files.require_directory(foreign / "closed")

    def test_file_in_the_way(self, tmp_path, old):
        for path in (old, old / "deeper"):
            with pytest.raises(OutputError, match=rf"^{path}: can't be written: Not a directory"):
                files.require_directory(path)
        with pytest.raises(OutputError, match=r"/x{300}: can't be written: File name too long; "):
            files.require_directory(tmp_path / ("x" * 300))

    def test_directory_in_the_way(self, tmp_path):
        (tmp_path / "top.v").mkdir()
        with pytest.raises(OutputError, match=rf"^{tmp_path}/top.v: can't be written: Is a dir"):
            files.require_directory(tmp_path, ["manifest.json", "top.v"])


class TestReading:
    def test_regular(self, old):
        assert files.read_text(old) == "old"
        assert files.sha256(old) == hashlib.sha256(b"old").hexdigest()
        with files.open_regular(old) as file:
            assert file.read() == b"old"

    def test_nothing_else(self, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "fifo", tmp_path / "socket", "/dev/zero"):
            for read in (files.open_regular, files.read_text, files.sha256):
                with pytest.raises(OSError, match="Not a regular file") as caught:
                    read(path)
                assert caught.value.filename == str(path)
        for path, error in ((tmp_path, IsADirectoryError), (tmp_path / "x", FileNotFoundError)):
            with pytest.raises(error):
                files.open_regular(path)


# Calls that write a file, or put one somewhere.
_METHODS = {"write_text", "write_bytes", "touch", "savefig", "tofile", "symlink_to", "hardlink_to"}
_FUNCTIONS = {
    "np": {"save", "savez", "savez_compressed", "savetxt"}, "os": {"replace", "rename", "link"},
    "shutil": {"copy", "copy2", "copyfile", "copytree", "move"},
    "tempfile": {"NamedTemporaryFile", "mkstemp"},
}

OTHERWISE = {
    ("virtual.py", "run"): "a record grows while the board runs",
    ("apart.py", "_main"): "into a pipe",
    ("bitstream.py", "_run"): "the log of a program grows while it runs",
    ("drawings.py", "_drawn"): "into a string",
    ("testbench.py", "_close"): "in a simulator's process, each test adds a line",
    ("testbench.py", "compares"): "so does each sample, to be counted",
    ("verilator.py", "verilate"): "in a directory of its own, which is renamed as a whole",
    ("verilator.py", "_laid_out"): "in the same directory",
    ("verilator.py", "_linked"): "in the same directory",
    ("verilator.py", "_take_objects"): "in the same directory",
    ("verilator.py", "_give_objects"): "whole, and what is there stays as it is",
    ("verilator.py", "_put"): "of that directory",
    ("verilator.py", "_compile"): "in the same directory",
    ("rtl.py", "_run"): "the log of a program grows while it runs",
}
"""Functions that write in another way, and why."""


def _names(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _functions(tree):
    return [node for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _drafts(function):
    """What a function calls the files that it may write to: those of `replacing`."""
    drafts = {"replacing"}
    for node in ast.walk(function):
        if isinstance(node, ast.With):
            for item in node.items:
                if item.optional_vars is not None and (
                        _names(item.context_expr) & drafts or "replacing" in
                        {a.attr for a in ast.walk(item.context_expr)
                         if isinstance(a, ast.Attribute)}):
                    drafts |= _names(item.optional_vars)
    return drafts


def _writes(call):
    match call.func:
        case ast.Attribute(value=ast.Name(id="files")):
            return False
        case ast.Attribute(value=ast.Name(id=module), attr=name) if module in _FUNCTIONS:
            return name in _FUNCTIONS[module]
        case ast.Name(id="open") | ast.Attribute(attr="open"):
            modes = [argument.value for argument in [*call.args, *(k.value for k in call.keywords)]
                     if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
            return any(re.fullmatch(r"[rwaxbt+]*[wax+][rwaxbt+]*", mode) for mode in modes)
        case ast.Attribute(attr=name):
            return name in _METHODS
    return False


def _written(path):
    """`(function, line)` of what writes files without :func:`gen.system.files.replacing`."""
    functions = _functions(ast.parse(path.read_text(encoding="utf-8")))
    inner = {nested for function in functions for nested in _functions(function)[1:]}
    for function in functions:
        if function not in inner:
            drafts = _drafts(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _writes(node) and not _names(node) & drafts:
                    yield function.name, node.lineno


@pytest.mark.parametrize("path", sorted(
    path for path in (ROOT / "gen").rglob("*.py") if path.name != "files.py"),
    ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_written_in_one_way(path):
    found = [f"{path.name}:{line} in {function}" for function, line in _written(path)
             if (path.name, function) not in OTHERWISE]
    assert not found, "gen.system.files writes files"


def test_what_counts_as_writing(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("""
def bad(path, array, file):
    path.write_text("")
    open(path, "w")
    path.open(mode="r+b")
    np.save(path, array)
    array.tofile(path)
    os.replace(path, file)

def good(path, array, text):
    files.write_text(path, text)
    open(path, "rb"), path.open()
    text.replace("a", "w")
    with files.replacing(path) as draft, draft.open("wb") as file:
        array.tofile(file)
        draft.write_text("")
""")
    assert sorted(_written(module)) == [("bad", line) for line in range(3, 9)]
