"""Running the user's code: a Python file that makes a module, and the module itself."""

import contextlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

from gen.errors import ConversionError, SpikeloomError

__all__ = ["blamed", "first_line", "loaded"]

_OURS = Path(__file__).parents[1]
"""The folder of our code."""

_LIBRARIES = {Path(torch.__file__).parent, Path(np.__file__).parent}
_STANDARD = Path(os.__file__).parent
"""Folders of code that only does what it is called for."""


def first_line(error: BaseException) -> str:
    """First line of an error's message, or its type if it has none."""
    text = _tried(str, error)
    return next(iter(text.splitlines()), "") or type(error).__name__


def _tried(show: Callable[[object], str], what: object) -> str:
    """``show(what)``, or nothing if that fails, because the class is the user's."""
    try:
        return show(what)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return ""


@contextlib.contextmanager
def blamed(what: str, *, code_alone: bool = False) -> Iterator[None]:
    """Turn any exception of the user's code, including ``sys.exit``, into a ConversionError about
    ``what``. Our own errors stay as they are. If the code changes the working directory, it is
    restored.

    Parameters
    ----------
    code_alone : whether what happens in our code is our mistake, and stays as it is, too
    """
    place = Path.cwd()
    try:
        yield
    except (SpikeloomError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise ConversionError(f"{what}: calls sys.exit({_tried(repr, error.code)})") from error
    except BaseException as error:
        if code_alone and _is_ours(error):
            raise
        raise ConversionError(f"{what}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        os.chdir(place)


def _is_ours(error: BaseException) -> bool:
    """Whether the innermost code that is in no library is ours. What is nested too deeply is the
    user's."""
    if isinstance(error, RecursionError | MemoryError):
        return False
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename)
        if _OURS in file.parents:
            return True
        if not _in_library(file):
            return False
    return True


def _in_library(file: Path) -> bool:
    standard = _STANDARD in file.parents and "site-packages" not in file.parts
    return standard or bool(_LIBRARIES & {*file.parents}) or file.name.startswith("<frozen")


@contextlib.contextmanager
def loaded(target: str) -> Iterator[nn.Module]:
    """Execute ``FILE.py``, call its ``FUNCTION`` and yield the module.

    Until the context ends, the file and its neighbours can be imported by their names.

    Raises
    ------
    ConversionError
        If the file or function does not exist, fails, exits, or returns something else.
    """
    path, function = _split(target)
    with _importable(path) as name:
        with blamed(target):
            module = getattr(_execute(name, path), function)()
            if not isinstance(module, nn.Module):
                raise ConversionError(f"{target}: must return a torch.nn.Module, not "
                                      f"{type(module).__name__}")
        yield module


def _split(target: str) -> tuple[Path, str]:
    path, colon, function = target.rpartition(":")
    if not colon or not function.isidentifier():
        raise ConversionError(f"the module must be given as FILE.py:FUNCTION, not {target!r}")
    if not Path(path).is_file():
        raise ConversionError(f"{path}: there is no such file")
    return Path(path), function


@contextlib.contextmanager
def _importable(path: Path) -> Iterator[str]:
    """Put the user's folder first on the module path, and yield the file's name as a module.

    Afterwards the path is restored, and modules from the folder are forgotten. So a file of the
    same name in another folder is another module.
    """
    folder = path.resolve().parent
    # A file may have the name of a module that is in use (numpy.py).
    name = path.stem if path.stem not in sys.modules else f"converted.{path.stem}"
    before, places = set(sys.modules), sys.path
    sys.path = [str(folder), *places]
    try:
        yield name
    finally:
        sys.path = places
        new = set(sys.modules) - before
        tops = {other for other in new if other == name or _lies_in(sys.modules[other], folder)}
        for other in new:
            if other in tops or other.partition(".")[0] in tops:
                del sys.modules[other]


def _lies_in(module: object, folder: Path) -> bool:
    """Whether a module is a file of a folder, or a package in it."""
    file, name = (_tried(partial(getattr, module), what) for what in ("__file__", "__name__"))
    if not isinstance(file, str) or not file or not isinstance(name, str) or "." in name:
        return False
    path = Path(file).resolve()
    return path.parent == folder or (path.parent.parent == folder and path.stem == "__init__")


def _execute(name: str, path: Path) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:
        raise ImportError(f"{path}: can't be imported", name=name, path=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up the module of their annotations
    loader.exec_module(module)
    return module
