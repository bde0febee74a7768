"""Archives of arrays that ``numpy.load`` opens; the same arrays give the same bytes."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np

__all__ = ["packed"]

# What ZIP has for no date.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by their names as a ZIP archive of uncompressed ``.npy`` members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), member.getvalue())
    return buffer.getvalue()
