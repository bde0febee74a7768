"""``manifest.json`` of a build, before anything is known of its entries."""

import json
from pathlib import Path
from typing import Any

from .errors import HostError

__all__ = ["read"]

# Greatest size of a manifest, in bytes.
_LARGEST = 16 << 20


def read(directory: str | Path) -> tuple[str, dict[str, Any]]:
    """The path and the entries of the manifest of a build.

    Raises
    ------
    HostError
        If it is missing, not JSON or of another format.
    """
    path = Path(directory) / "manifest.json"
    try:
        raw = json.loads(_text(path))
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}; --board takes the directory that "
                        f"`python -m gen build` has written") from error
    except (ValueError, RecursionError) as error:
        raise HostError(f"{path}: not JSON ({error}); build it again") from error
    if not isinstance(raw, dict) or raw.get("format") != 4:
        raise HostError(f"{path}: not a manifest of format 4; build it again with this version")
    return str(path), raw


def _text(path):
    """Text of a regular file. Reading a FIFO or a device might never end."""
    if path.exists() and not path.is_file():
        raise HostError(f"{path}: not a regular file; --board takes the directory that "
                        f"`python -m gen build` has written")
    if path.stat().st_size > _LARGEST:
        raise HostError(f"{path}: larger than {_LARGEST >> 20} MiB, so not a manifest; build it "
                        f"again")
    return path.read_text(encoding="utf-8")
