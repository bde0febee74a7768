"""``manifest.json``: the description of a build, down to the digest of each of its files.

It is written last, so that a directory that has one is complete. Every command that uses a build
reads it here. Digests reveal files that were changed, lost, or are of another build. They are no
protection against malice: whoever can rewrite a file can rewrite the manifest, and a build is code.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import boards
from boards import Board
from gen.errors import BuildError
from gen.system import files

__all__ = [
    "AGAIN", "FORMAT", "KINDS", "NAME", "NETWORK", "VERILOG", "Manifest", "add", "discard", "read",
    "write",
]

FORMAT = 4
"""Version of the format, which :func:`read` requires."""

NAME = "manifest.json"
"""Name of the file."""

VERILOG, NETWORK = "top.v", "network.npz"
"""Files that every build has: the design, and its network."""

KINDS = ("luts", "ffs", "brams", "dsps")
"""Parts of a device that are counted."""

_MAX_BYTES = 16 << 20

AGAIN = "build the network again (python -m gen build)"
"""What the user can do about a build that is not whole."""


@dataclass(frozen=True)
class Manifest:
    """A build that is whole: each of its files is as it was built.

    Parameters
    ----------
    directory : where it is
    board : where it runs
    device : the board's, at the time of the build
    clock_hz : of the fabric
    clock_source : in words
    link : ``kind``, ``baud`` (``None`` on PCI Express) and ``wiring``
    network_digest, array_digest : of the network and of the array's shape
    digest : of the device's identity, see :class:`gen.build.design.Design`
    resources : :data:`KINDS` -> number, by synthesis; ``None`` without synthesis
    budget : the same, of the device
    bitstream : name of the file, or ``None``
    files : name -> SHA-256, 64 hexadecimal digits
    facts : all entries of the file, of which those above are checked
    """

    directory: Path
    board: Board
    device: str
    clock_hz: float
    clock_source: str
    link: dict
    network_digest: str
    array_digest: str
    digest: str
    resources: dict | None
    budget: dict
    bitstream: str | None
    files: dict[str, str]
    facts: dict

    def file(self, name: str) -> Path:
        """Path of a file of the build.

        Raises
        ------
        BuildError
            If the build has no file of that name.
        """
        if name not in self.files:
            raise BuildError(f"{self.directory / NAME}: lists no {name}: it is no part of this "
                             f"build; build the network again, with all steps (python -m gen "
                             f"build)")
        return self.directory / name


def write(directory: Path, facts: dict, names: Iterable[str]) -> Path:
    """Write the manifest of a complete build.

    Parameters
    ----------
    facts : a JSON object, without the files
    names : of the build's files

    Returns
    -------
    The manifest's path.
    """
    path = Path(directory) / NAME
    digests = {name: files.sha256(path.with_name(name)) for name in sorted(names)}
    files.write_text(path, json.dumps(facts | {"files": digests}, indent=1) + "\n")
    return path


def add(directory: Path, name: str) -> None:
    """List a file that was made from a complete build.

    Raises
    ------
    BuildError
        If the manifest can't be read.
    """
    facts = _load(Path(directory) / NAME)
    write(directory, facts, [*facts["files"], name])


def discard(directory: Path) -> None:
    """Remove a manifest, before the files in its list are made again."""
    (Path(directory) / NAME).unlink(missing_ok=True)


def read(directory: str | Path) -> Manifest:
    """Read a build's manifest, and make sure that each file in its list is as it was built.

    Raises
    ------
    BuildError
        If the directory is no build, the manifest is damaged, or a file is missing or changed; one
        line that names the file.
    """
    path = Path(directory) / NAME
    facts = _load(path)
    try:
        manifest = _parse(path.parent, facts)
    except _Malformed as error:
        raise BuildError(f"{path}: {error}; {AGAIN}") from error
    for name, digest in manifest.files.items():
        _require_unchanged(path.with_name(name), digest)
    return manifest


def _require_unchanged(path, digest):
    try:
        found = files.sha256(path)
    except OSError as error:
        raise BuildError(f"{path}: can't be read: {error.strerror}; it is part of the build: "
                         f"{AGAIN}") from error
    if found != digest:
        raise BuildError(f"{path}: is not as it was built: it was changed, or is of another "
                         f"build; {AGAIN}")


class _Malformed(Exception):
    """The problem of the manifest, without its name."""


def _load(path):
    try:
        with files.open_regular(path) as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise BuildError(f"{path}: can't be read: {error.strerror or error}; give a directory that "
                         f"'python -m gen build' has filled") from error
    if len(text) > _MAX_BYTES:
        raise BuildError(f"{path}: is no manifest: it is larger than {_MAX_BYTES >> 20} MiB; "
                         f"{AGAIN}")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BuildError(f"{path}: is no manifest: it is not JSON; {AGAIN}") from error
    if not isinstance(facts, dict):
        raise BuildError(f"{path}: is no manifest: it is not a JSON object; {AGAIN}")
    return facts


def _parse(directory, facts):
    if facts.get("format") != FORMAT:
        raise _Malformed(f"is of the format {_shown(facts.get('format'))}, but this version reads "
                         f"{FORMAT}")
    digests, bitstream = _digests(facts), facts.get("bitstream")
    if bitstream is not None and _get(facts, "bitstream", str) not in digests:
        raise _Malformed(f"bitstream is none of its files: {_shown(bitstream)}")
    resources = facts.get("resources")
    link = _link(_get(facts, "link", dict))
    return Manifest(
        directory=directory, board=_board(_get(facts, "board", str), link["kind"]),
        device=_get(facts, "device", str),
        clock_hz=_bounded(_get(facts, "clock_hz", int | float), "clock_hz", 1),
        clock_source=_get(facts, "clock_source", str), link=link,
        network_digest=_digest(facts, "network_digest"),
        array_digest=_digest(facts, "array_digest"), digest=_digest(facts, "digest"),
        resources=None if resources is None else _parts(facts, "resources"),
        budget=_parts(facts, "budget"), bitstream=bitstream, files=digests,
        facts=facts)


def _shown(value):
    """A value in a message; a nested value may be too deep to show."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return repr(str(value)[:40])


def _get(facts, name, kind, where=""):
    value = facts.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _Malformed(f"{where}{name} is missing or malformed: {_shown(value)}")
    if isinstance(value, str) and not value.isprintable():
        raise _Malformed(f"{where}{name} must be one line of text, not {_shown(value)}")
    return value


def _bounded(value, name, least):
    if not least <= value < 1e12:  # false for NaN, too
        raise _Malformed(f"{name} must be a number of at least {least}, not {_shown(value)}")
    return value


def _digest(facts, name, where=""):
    value = _get(facts, name, str, where)
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise _Malformed(f"{where}{name} must be 64 hexadecimal digits, not {_shown(value)}")
    return value


def _digests(facts):
    """Digests of the files. A name that leads out of the directory, such as an absolute path or
    ``..``, is refused."""
    listed = _get(facts, "files", dict)
    for name in listed:
        if (name in ("", ".", "..", NAME) or "/" in name or not name.isprintable()
                or len(name) > 255):
            raise _Malformed(f"files has {_shown(name)}, which is no name of a file in the "
                             f"directory")
        _digest(listed, name, "files.")
    return listed


def _parts(facts, name):
    """The figures of a device or a design; those that are missing are 0."""
    parts = dict.fromkeys(KINDS, 0) | _get(facts, name, dict)
    return {kind: _bounded(_get(parts, kind, int | float, f"{name}."), f"{name}.{kind}", 0)
            for kind in KINDS}


def _link(link):
    kind, baud = _get(link, "kind", str, "link."), link.get("baud")
    if kind != "pcie" or baud is not None:
        _bounded(_get(link, "baud", int, "link."), "link.baud", 1)
    return {"kind": kind, "baud": baud, "wiring": _get(link, "wiring", str, "link.")}


def _board(name, link):
    try:
        return boards.find(name, link)
    except (boards.UnknownBoard, boards.NoLink) as error:
        raise _Malformed(str(error)) from error
