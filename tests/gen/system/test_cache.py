"""Where programs are compiled and executed: a harmless name, and nobody else's hands on it."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from gen.errors import SimulationError
from gen.system import cache

HOSTILE = "my net's $(touch PWNED); ü#1"


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Sets where the cache may be; what is not named does not exist."""
    def set_places(xdg=None, home=None, temporary=tmp_path / "tmp"):
        for name, value in {"XDG_CACHE_HOME": xdg, "HOME": home}.items():
            monkeypatch.setenv(name, str(value or "/dev/null/none"))
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        Path(temporary).mkdir(exist_ok=True)
    return set_places


@pytest.fixture
def fallback(tmp_path):
    return tmp_path / "tmp" / f"spikeloom-{os.geteuid()}"


def test_it_is_made_for_the_user_alone(places, tmp_path):
    places(xdg=tmp_path / "deep" / "cache")
    assert cache.directory() == tmp_path / "deep" / "cache" / "spikeloom"
    assert cache.directory().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("xdg", ["", "relative/path"])
def test_without_the_variable_it_is_at_home(places, tmp_path, monkeypatch, xdg):
    places(home=tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache.directory() == tmp_path / ".cache" / "spikeloom"


@pytest.mark.parametrize("name", [HOSTILE, "a b", "tab\t", "new\nline", "a'b", 'a"b', "a#b", "a$b",
                                  "a&b", "a;b", "a:b", "a%b", "a=b", "ü", "\udcff"])
def test_a_name_that_a_shell_or_make_reads(places, tmp_path, fallback, name):
    places(xdg=tmp_path / name)
    assert cache.directory() == fallback
    assert not (tmp_path / name).exists()


def test_a_link_to_such_a_name(places, tmp_path, fallback):
    (tmp_path / "a b").mkdir()
    (tmp_path / "link").symlink_to("a b")
    places(xdg=tmp_path / "link")
    assert cache.directory() == fallback


def test_temporary_files_in_such_a_place(places, tmp_path):
    places(temporary=tmp_path / "a b")
    assert cache.directory() == Path("/tmp") / f"spikeloom-{os.geteuid()}"


def spoil(monkeypatch, folder, how):
    if how == "file":
        folder.rmdir()
        folder.touch()
    elif how == "link":
        (folder.parent / "elsewhere").mkdir()
        folder.rmdir()
        folder.symlink_to("elsewhere")
    elif how == "parent":
        folder.parent.chmod(0o777)
    elif how == "noexec":
        facts = os.statvfs(folder)
        monkeypatch.setattr(os, "statvfs", lambda path: (
            os.statvfs_result([*facts[:8], os.ST_NOEXEC, *facts[9:]])
            if path == folder else facts))
    else:
        folder.chmod(how)


@pytest.mark.parametrize("how", [
    "file", "link", "parent", "noexec", 0o770, 0o707, 0o1777,
    pytest.param(0o500, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write")),
])
def test_a_place_that_is_not_safe(places, tmp_path, fallback, monkeypatch, how):
    folder = tmp_path / "cache" / "spikeloom"
    folder.mkdir(parents=True)
    places(xdg=folder.parent)
    assert cache.directory() == folder
    spoil(monkeypatch, folder, how)
    assert cache.directory() == fallback


def test_another_users(places, tmp_path, monkeypatch):
    places(xdg=tmp_path)
    cache.directory()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SimulationError, match="/spikeloom: it is another user's, or others may "):
        cache.directory()


def test_no_place_is_safe(places, tmp_path, monkeypatch):
    places(xdg=tmp_path / ("b " * 100))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SimulationError, match=r"^no directory is safe to compile in \(.*; set "
                                              r"XDG_CACHE_HOME to one that is$") as caught:
        cache.directory()
    assert len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)


def test_whose_program_is_trusted(tmp_path, monkeypatch):
    program = tmp_path / "program"
    assert not cache.trusted(program)
    program.write_bytes(b"")
    assert not cache.trusted(program)
    program.chmod(0o700)
    assert cache.trusted(program)
    (tmp_path / "link").symlink_to(program)
    assert not cache.trusted(tmp_path / "link")
    program.chmod(0o720)
    assert not cache.trusted(program)
    program.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not cache.trusted(program)


def aged(path, days):
    then = time.time() - days * 24 * 60 * 60
    os.utime(path, (then, then), follow_symlinks=False)


def test_what_is_not_used_is_removed(tmp_path):
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "cache"
    for folder in (elsewhere, root / "old" / "deep", root / "new"):
        folder.mkdir(parents=True)
    (elsewhere / "file").touch()
    (root / "old" / "deep" / "file").touch()
    (root / "log").touch()
    (root / "link").symlink_to(elsewhere)
    for name in ("old", "log", "link"):
        aged(root / name, 31)
    aged(root / "new", 29)
    cache.prune(root)
    assert [path.name for path in root.iterdir()] == ["new"]
    assert (elsewhere / "file").exists()


def test_the_oldest_are_removed_if_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_NUMBER", 3)
    monkeypatch.setattr(cache, "_EFFORT", 2)
    for age in (0, 0.5, 0.6, 0.7, 2, 3, 4):
        (tmp_path / f"{age}").mkdir()
        aged(tmp_path / f"{age}", age)
    left = {"0", "0.5", "0.6", "0.7", "2"}
    cache.prune(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == left
    cache.prune(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == left - {"2"}
