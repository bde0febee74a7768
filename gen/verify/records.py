"""What was proven past the Verilog, kept beside the build that it is about.

``gen.verify.gate_level`` leaves ``verified-netlist.json`` and ``verified-bitstream.json``,
``gen.report`` shows them. They are about one content of one file: what has been built anew since
has not been verified.
"""

import json
from pathlib import Path

from ..errors import BuildError
from ..system import files

__all__ = ["keep", "kept", "place"]

_KINDS = ("netlist", "bitstream")

_FIGURES = ("images", "spikes", "mismatches")


def place(directory: Path, kind: str) -> Path:
    """Where in a build directory it is told what was proven of the netlist or the bitstream."""
    return Path(directory) / f"verified-{kind}.json"


def keep(kind: str, path: Path, result: dict):
    """Leave what was found beside the file it was found of.

    Parameters
    ----------
    kind : ``"netlist"`` or ``"bitstream"``
    path : the file
    result : what :func:`gen.verify.gate_level.compare_netlist` and others return
    """
    path = Path(path)
    facts = {"file": path.name, "sha256": files.sha256(path), **result}
    files.write_text(place(path.parent, kind), json.dumps(facts, indent=1) + "\n")


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
        file = place(directory, kind)
        try:
            facts = json.loads(files.read_text(file))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            facts = None
        if not _sound(facts):
            raise BuildError(f"{file}: is damaged; verify the {kind} again (python -m gen verify "
                             f"--{kind}), or remove it")
        about = Path(directory) / facts["file"]
        if about.is_file() and files.sha256(about) == facts["sha256"]:
            found.append({"cells": None, **facts, "kind": kind})
    return found


def _sound(facts):
    return (isinstance(facts, dict) and isinstance(facts.get("sha256"), str)
            and isinstance(facts.get("file"), str) and Path(facts["file"]).name == facts["file"]
            and all(isinstance(facts.get(name), int) for name in _FIGURES)
            and isinstance(facts.get("cells"), int | None)
            and isinstance(facts.get("first_mismatch"), dict | None))
