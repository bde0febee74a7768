"""What the command lines of this project have in common: arguments within bounds, open streams,
errors of one line.

Nothing here is about a device, so `gen` takes it from here.
"""

import argparse
import io
import os
import sys
from argparse import Action
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

__all__ = ["Parser", "fail", "number", "one_line", "open_streams", "put"]

_Number = TypeVar("_Number", int, float)

# Greatest length of an error, in characters.
_LONGEST = 500


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and that reports if its help can't be written."""

    def error(self, message: str) -> NoReturn:
        """Show the usage and an error of one line, and end with status 2."""
        self.print_usage(sys.stderr)
        self.exit(2, one_line(f"{self.prog}: error: {message}") + "\n")

    def print_help(self, file: object = None) -> None:
        """Write the help to standard output."""
        put(self.format_help().rstrip("\n"))

    def _get_values(self, action: Action, arg_strings: list[str]) -> Any:
        # In Python 3.11, "--option=--" gives an empty list.
        value = super()._get_values(action, arg_strings)
        if value == [] and action.nargs is None:
            raise argparse.ArgumentError(action, "expected one argument")
        return value


def number(convert: Callable[[str], _Number], what: str, least: _Number, most: _Number
           ) -> Callable[[str], _Number]:
    """The type of an argument that is a number within bounds.

    Parameters
    ----------
    convert : ``int`` or ``float``
    what : what it has to be, for the message
    """
    def parse(text: str) -> _Number:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"must be {what} from {least:,} to {most:,}, not {text!r}")
        return value
    return parse


def open_streams() -> None:
    """Open the closed ones of descriptors 0 to 2 on the null device. Otherwise the next file that
    is opened would get such a descriptor, and the output of other programs. Characters that a
    stream's encoding lacks are written as escapes. Closed standard output stays ``None``."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.set_inheritable(descriptor, True)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def put(text: str) -> None:
    """Write a result and a line end to standard output at once.

    Raises
    ------
    OSError
        If it can't be written; its file name is "standard output".
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # The end of the program would write the buffer again, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise type(error)(error.errno, error.strerror, "standard output") from error


def fail(error: object) -> int:
    """Write an error to standard error; returns the exit status."""
    print(one_line(f"error: {error}"), file=sys.stderr)
    return 1


def one_line(message: object) -> str:
    """A message on one line of at most 500 characters that a terminal can show.

    A message that is too long loses its middle: its beginning says what and where, its end what to
    do.
    """
    text = " ".join(str(message).split())
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    half = (_LONGEST - len(" ... ")) // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} ... {text[-half:]}"
