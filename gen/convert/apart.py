"""Conversion in a process of its own, because it executes the user's code.

Whatever that code does to its process (it prints at its end, leaves threads behind, calls
``os._exit``, crashes in C) reaches neither standard output nor the exit status of the command: its
standard output is standard error, and the answer travels over a pipe, as one line of JSON.
"""

import json
import logging
import os
import signal
import sys
from contextlib import suppress

from ..errors import ConversionError, SpikeloomError
from ..extras import advice
from ..system.processes import group, terminable

__all__ = ["convert_apart"]

_STDERR = 2


def convert_apart(target: str, **options) -> dict:
    """Call :func:`gen.convert.conversion.convert` with the same arguments, in a process that ends
    with it.

    Raises
    ------
    SpikeloomError
        With the message of the error there; a ConversionError if the process ended without a word.
    """
    reading, writing = os.pipe()
    with open(reading, "rb") as answers, group() as start:
        try:
            child = start([sys.executable, "-m", __name__, str(writing),
                           json.dumps({"target": target, **options})],
                          pass_fds=(writing,), stdout=_STDERR)
        finally:
            os.close(writing)
        line = answers.readline()
        if not line.endswith(b"\n"):
            raise ConversionError(f"{target}: the process was ended from within "
                                  f"({_end(child.wait())}); the module and its file must return")
    answer = json.loads(line)
    if error := answer.get("error"):
        raise SpikeloomError(error)
    return answer["result"]


def _end(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name


def _answer(arguments: dict) -> dict:
    from .conversion import convert
    try:
        return {"result": convert(**arguments)}
    except SpikeloomError as error:
        return {"error": str(error)}
    except ImportError as error:
        return {"error": advice(error)}
    except OSError as error:
        return {"error": f"{error.filename}: {error.strerror}" if error.filename else str(error)}
    except MemoryError as error:
        return {"error": f"there is not enough memory: {error}"}


def _main(pipe: int, arguments: dict):
    # Programs that the user's code starts must not keep the pipe open.
    os.set_inheritable(pipe, False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with terminable(), open(pipe, "w", encoding="utf-8") as answers:
            print(json.dumps(_answer(arguments)), file=answers, flush=True)
    except KeyboardInterrupt:
        os._exit(130)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # that code may have closed it, or put anything in its place
            stream.flush()
    # Neither threads nor what else that code has left for the end.
    os._exit(0)


if __name__ == "__main__":
    _main(int(sys.argv[1]), json.loads(sys.argv[2]))
