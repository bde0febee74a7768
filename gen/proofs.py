"""What was proven past the Verilog, kept beside the build that it is about.

``gen.prove`` leaves ``verified-netlist.json`` and ``verified-bitstream.json``, ``gen.report`` shows
them. They are about one content of one file: what has been built anew since has not been verified.
"""

import hashlib
import json
from pathlib import Path

from .errors import BuildError

__all__ = ["keep", "kept"]

_KINDS = ("netlist", "bitstream")

_FIGURES = ("images", "spikes", "mismatches")


def _file(directory, kind):
    return Path(directory) / f"verified-{kind}.json"


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def keep(kind: str, path: Path, result: dict):
    """Leave what was found beside the file it was found of.

    Parameters
    ----------
    kind : ``"netlist"`` or ``"bitstream"``
    path : the file
    result : what :func:`gen.prove.compare_netlist` and others return
    """
    path = Path(path)
    facts = {"file": path.name, "sha256": _digest(path), **result}
    _file(path.parent, kind).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def kept(directory: Path) -> list[dict]:
    """What is known of the files that a build directory holds now.

    Returns
    -------
    Of each: ``kind``, ``file``; ``images``, ``spikes`` (values compared), ``mismatches``,
    ``first_mismatch`` (``None``, or a dict), and ``cells`` of a netlist, else ``None``.

    Raises
    ------
    BuildError
        If what is kept is damaged.
    """
    found = []
    for kind in _KINDS:
        file = _file(directory, kind)
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            facts = None
        if not _sound(facts):
            raise BuildError(f"{file}: is damaged; verify the {kind} again (python -m gen verify "
                             f"--{kind}), or remove it")
        about = Path(directory) / facts["file"]
        if about.is_file() and _digest(about) == facts["sha256"]:
            found.append({"cells": None, **facts, "kind": kind})
    return found


def _sound(facts):
    return (isinstance(facts, dict) and isinstance(facts.get("sha256"), str)
            and isinstance(facts.get("file"), str) and Path(facts["file"]).name == facts["file"]
            and all(isinstance(facts.get(name), int) for name in _FIGURES)
            and isinstance(facts.get("cells"), int | None)
            and isinstance(facts.get("first_mismatch"), dict | None))
