"""Arrays in the user's files."""

import math
import os
import stat
import warnings

import numpy as np

from .errors import HostError

__all__ = ["array_of", "integers_of"]


def array_of(path: str, what: str) -> np.ndarray:
    """The array in a ``.npy`` file. Its header is compared with its size before any memory is
    allocated."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe or a device may wait forever
            raise HostError(f"{path}: {what} must be a regular file")
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(file)
            shape, _, dtype = (np.lib.format.read_array_header_1_0 if version == (1, 0) else
                               np.lib.format.read_array_header_2_0)(file)
            held, said = os.fstat(file.fileno()).st_size - file.tell(), math.prod(shape)
            if min(shape, default=0) < 0 or said * dtype.itemsize != held:
                raise ValueError(f"{held} bytes are not the shape {shape} of {dtype}")
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from error
    except HostError:
        raise
    except Exception as error:  # numpy raises many kinds of errors for a malformed header
        raise HostError(f"{path}: {what} must be a .npy file without pickled objects "
                        f"({error or type(error).__name__})") from error


def integers_of(path: str, what: str, ndim: int) -> np.ndarray:
    """An array of integers with ``ndim`` axes."""
    array = array_of(path, what)
    if array.dtype.kind not in "iu" or array.ndim != ndim:
        raise HostError(f"{path}: {what} must be one array of integers with {ndim} "
                        f"{'axis' if ndim == 1 else 'axes'}")
    return array
