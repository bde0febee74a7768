"""Standard output, which may be full or closed by its reader."""

import os
import sys

__all__ = ["put"]


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
