"""Conversion in a separate process, because it executes the user's code.

That code may print at exit, leave threads behind, call ``os._exit``, close descriptors or crash in
C. None of this reaches standard output or the exit status of the command: the standard output of
the process is standard error, and arguments and answer are files in a scratch directory.
"""

import json
import logging
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from gen.errors import EXPLAINED, ConversionError, SpikeloomError, explain
from gen.system import files
from gen.system.processes import group, scratch, terminable

__all__ = ["convert_apart"]

_STDERR = 2
_ARGUMENTS, _ANSWER = "arguments.json", "answer.json"


def convert_apart(target: str, **options: object) -> dict[str, Any]:
    """Call :func:`gen.convert.conversion.convert` in a process that ends with it.

    Parameters
    ----------
    target, options : its arguments, in types that JSON has: paths are strings

    Returns
    -------
    Its result.

    Raises
    ------
    SpikeloomError
        The error in the process, with the same message; a ConversionError if the process ended
        without an answer.
    RuntimeError
        A mistake of ours in the process, with its traceback.
    """
    with scratch() as folder, group() as start:
        files.write_text(folder / _ARGUMENTS, json.dumps({"target": target, **options}))
        status = start([sys.executable, "-m", __name__, str(folder)], stdout=_STDERR).wait()
        try:
            answer = json.loads(files.read_text(folder / _ANSWER))
        except FileNotFoundError:
            raise ConversionError(f"{target}: the process was ended from within ({_end(status)}); "
                                  f"the module and its file must return") from None
    if "error" in answer:
        raise SpikeloomError(answer["error"])
    if "bug" in answer:
        raise RuntimeError(f"in the process that converts:\n{answer['bug']}")
    return answer["result"]


def _end(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    return next((name.name for name in signal.Signals if name == -status), f"signal {-status}")


def _answer(arguments: dict[str, Any]) -> dict[str, Any]:
    from .conversion import convert
    try:
        try:
            return {"result": convert(**arguments)}
        except EXPLAINED as error:
            return {"error": explain(error)}
    except Exception:
        return {"bug": traceback.format_exc()}


def _main(folder: Path) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with terminable():
            answer = _answer(json.loads(files.read_text(folder / _ARGUMENTS)))
            files.write_text(folder / _ANSWER, json.dumps(answer))
    except KeyboardInterrupt:
        os._exit(130)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # that code may have closed or replaced it
            stream.flush()
    # Skip the threads and exit handlers that the code has left behind.
    os._exit(0)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
