"""Results of verification below the Verilog, kept beside the build.

``gen.verify.gate_level`` leaves ``verified-netlist.json`` and ``verified-bitstream.json``, and
``gen.report`` shows them. Each result belongs to one content of one file, so it does not apply to a
file that was built anew.
"""

import json
from pathlib import Path

from gen.errors import BuildError
from gen.system import files

__all__ = ["keep", "kept", "place"]

_KINDS = ("netlist", "bitstream")

_FIGURES = ("images", "spikes", "mismatches")


def place(directory: Path, kind: str) -> Path:
    """The file in a build directory with the results for the netlist or the bitstream."""
    return Path(directory) / f"verified-{kind}.json"


def keep(kind: str, path: Path, result: dict) -> None:
    """Write a result beside the file that it belongs to.

    Parameters
    ----------
    kind : ``"netlist"`` or ``"bitstream"``
    path : the file
    result : of :func:`gen.verify.gate_level.compare_netlist` and others
    """
    path = Path(path)
    facts = {"file": path.name, "sha256": files.sha256(path), **result}
    files.write_text(place(path.parent, kind), json.dumps(facts, indent=1) + "\n")


def kept(directory: Path) -> list[dict]:
    """Results that belong to the files that a build directory holds now.

    Returns
    -------
    For each: ``kind``, ``file``; ``images``, ``spikes`` (values compared), ``mismatches``,
    ``first_mismatch`` (``None``, or a dict), and ``cells`` of a netlist, else ``None``.

    Raises
    ------
    BuildError
        If a result file is damaged.
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
