import argparse

import pytest

from host.terminal import number, one_line


def test_what_is_too_long_loses_its_middle():
    line = one_line("begin " + "x" * 5000 + " end")
    assert len(line) in (499, 500)
    assert line.startswith("begin xxx")
    assert line.endswith("xxx end")
    assert "x ... x" in line


def test_control_characters_are_escaped():
    assert one_line("a\n\x1b[31m\udcffü") == r"a \x1b[31m\udcffü"


@pytest.mark.parametrize("text", ["0", "1001", "1.5", "", "many", "1e3"])
def test_a_number_out_of_bounds(text):
    with pytest.raises(argparse.ArgumentTypeError,
                       match=rf"^must be an integer from 1 to 1,000, not '{text}'$"):
        number(int, "an integer", 1, 1000)(text)


def test_a_number_within_bounds():
    assert [number(int, "an integer", 1, 1000)(text) for text in ("1", "1000")] == [1, 1000]
    assert number(float, "a number", 0.5, 2)("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError):
        number(float, "a number", 0.5, 2)("nan")
