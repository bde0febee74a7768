"""Standard output, which may be full or have nobody who reads it."""

import os
import sys

__all__ = ["put"]


def put(text: str) -> None:
    """Write a result to standard output at once, and the end of its line.

    Raises
    ------
    OSError
        If it can't be written; its file name is "standard output".
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # What is in the buffer would be tried again, and fail again, when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise type(error)(error.errno, error.strerror, "standard output") from error
