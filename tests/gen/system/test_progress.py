"""A bar on a terminal, elsewhere a line now and then."""

import io
import logging
import sys
import time

import pytest
from tqdm import tqdm

from gen.system import progress
from gen.system.progress import bar, working


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def hurried(monkeypatch, caplog):
    """No pause between lines; their texts."""
    monkeypatch.setattr(progress, "_PAUSE", 0)
    caplog.set_level(logging.INFO)
    return caplog


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with bar(total=2, desc="run") as shown:
        assert isinstance(shown, tqdm)
        shown.update(2)
    assert "run: 100%" in sys.stderr.getvalue()


def test_short_work_says_nothing(capsys, caplog):
    caplog.set_level(logging.INFO)
    assert list(bar(range(3), desc="run")) == [0, 1, 2]
    with bar(total=3, desc="run") as shown:
        shown.update(3)
    assert capsys.readouterr().err == ""
    assert not caplog.messages


def test_long_work_says_how_far_it_is(hurried):
    assert list(bar(iter("ab"), total=2, desc="run")) == ["a", "b"]
    with bar(total=4000, desc="verify") as shown:
        shown.update(1000)
        assert shown.n == 1000
    with bar(desc="Yosys") as shown:
        shown.set_postfix_str("ABC")
    assert hurried.messages == ["run: 0 s, 1 of 2", "run: 0 s, 2 of 2",
                                "verify: 0 s, 1,000 of 4,000", "Yosys: 0 s, ABC"]


def test_disabled(hurried):
    assert list(bar(range(2), desc="run", disable=True)) == [0, 1]
    assert not hurried.messages


def test_a_step_is_named_and_remembered(hurried, monkeypatch):
    monkeypatch.setattr(progress, "_PAUSE", 0.05)
    with working("net for board: Verilog"):
        time.sleep(0.3)
    lines = len(hurried.messages)
    assert hurried.messages[0] == "net for board: Verilog ..."
    assert lines > 1
    assert set(hurried.messages[1:]) == {"net for board: Verilog: 0 s"}
    time.sleep(0.1)
    assert len(hurried.messages) == lines
