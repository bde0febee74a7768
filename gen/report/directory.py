"""What a build has left in its directory, checked before anything is made of it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import boards
from hw.config import ArrayConfig

from .. import artifact
from ..errors import BuildError, FitError
from ..mapping import map_config, map_network
from ..network import Network
from ..proofs import kept
from ..resources import Prediction, predict

__all__ = ["Built", "read"]

_KINDS = ("luts", "ffs", "brams", "dsps")


@dataclass(frozen=True)
class Built:
    """A directory that ``build`` has filled.

    Parameters
    ----------
    directory : where it is
    network : that was built
    config : shape of the array
    mapping : the arguments of :func:`gen.mapping.map_network` that lead to it
    board, device : names
    clock_hz : of the fabric
    clock_source : in words
    link : to the host, in words
    digest : what the device is known by
    resources : ``luts``, ``ffs``, ``brams``, ``dsps`` by synthesis; ``None`` without one
    budget : the same, of the device
    needs : the same, predicted; ``None`` if nothing has been measured for this family of devices
    timing : what ``timing.json`` holds, or ``None``
    proofs : what :func:`gen.proofs.kept` returns
    files : name -> SHA-256 of each file of the build that the manifest lists
    """

    directory: Path
    network: Network
    config: ArrayConfig
    mapping: dict
    board: str
    device: str
    clock_hz: int
    clock_source: str
    link: str
    digest: str
    resources: dict | None
    budget: dict
    needs: Prediction | None
    timing: dict | None
    proofs: list[dict]
    files: dict[str, str]


def read(directory) -> Built:
    """Read a build directory.

    Raises
    ------
    BuildError
        If it is none, or a file in it is missing, corrupt, or of another network.
    ArtifactError
        If the network in it can't be read.
    """
    directory = Path(directory)
    manifest = _manifest(directory)
    network = artifact.load(directory / "network.npz")
    try:
        facts = _facts(manifest)
        board = _board(facts["board"])
        timing = _timing(directory / "timing.json")
        if network.digest != manifest["network_digest"]:
            raise _Malformed("is of another network than network.npz")
        mapping, config = _mapping(network, manifest)
    except _Malformed as error:
        raise BuildError(f"{directory / 'manifest.json'}: {error}; build the network again "
                         f"(python -m gen build)") from error
    return Built(directory=directory, network=network, config=config, mapping=mapping,
                 needs=_needs(network, mapping, board), timing=timing, proofs=kept(directory),
                 files=_digests(directory, manifest), **facts)


class _Malformed(Exception):
    """What is wrong with the manifest, without its name."""


def _manifest(directory):
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"{path}: can't be read: {error.strerror or error}; give a directory that "
                         f"'python -m gen build' has filled") from error
    except (ValueError, RecursionError) as error:
        raise BuildError(f"{path}: is no manifest: it is not JSON; build the network again "
                         f"(python -m gen build)") from error
    if not isinstance(manifest, dict):
        raise BuildError(f"{path}: is no manifest: it is not a JSON object; build the network "
                         f"again (python -m gen build)")
    return manifest


def _get(facts, name, kind, where=""):
    value = facts.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _Malformed(f"{where}{name} is missing or malformed: {str(value)[:40]!r}")
    return value


def _numbers(facts, where):
    """The figures of a device or a design; those that it does not have are 0."""
    numbers = {}
    for kind in _KINDS:
        numbers[kind] = _get({kind: 0} | facts, kind, int | float, where)
        if not 0 <= numbers[kind] < 1e12:
            raise _Malformed(f"{where}{kind} must be a number of parts, not {numbers[kind]!r}")
    return numbers


def _facts(manifest):
    clock_hz = _get(manifest, "clock_hz", int | float)
    if not 0 < clock_hz < 1e12:
        raise _Malformed(f"clock_hz must be a frequency, not {clock_hz!r}")
    resources = manifest.get("resources")
    link = _get(manifest, "link", dict)
    for name in ("lanes", "files"):
        _get(manifest, name, dict)
    for name in ("network_digest", "array_digest", "digest"):
        _get(manifest, name, str)
    return {
        "board": _get(manifest, "board", str), "device": _get(manifest, "device", str),
        "clock_hz": clock_hz, "clock_source": str(manifest.get("clock_source", "")),
        "link": ", ".join([str(link.get("kind")), f"{link.get('baud')} baud",
                           *([str(link["wiring"])] if "wiring" in link else [])]),
        "digest": manifest["digest"],
        "resources": None if resources is None else _numbers(
            _get(manifest, "resources", dict), "resources."),
        "budget": _numbers(_get(manifest, "budget", dict), "budget."),
    }


def _board(name):
    try:
        return boards.find(name)
    except boards.UnknownBoard as error:
        raise _Malformed(str(error)) from error


def _needs(network, mapping, board):
    config, image = map_network(network, **mapping)
    try:
        return predict(config, board.family.name, board.budget.brams, image)
    except FitError:
        return None


def _mapping(network, manifest):
    """The mapping whose array has the digest that the manifest says."""
    replicas = manifest.get("replicas", {})
    for code in ("phase", "rate"):
        mapping = {"lanes": manifest["lanes"], "replicas": replicas, "code": code}
        try:
            config = map_config(network, **mapping)
        except (FitError, TypeError, ValueError) as error:
            raise _Malformed(f"has lanes or replicas that the network can't be mapped with: "
                             f"{error}") from error
        if config.digest() == manifest["array_digest"]:
            return mapping, config
    raise _Malformed("was written by another version of Spikeloom, which maps the network to "
                     "another array")


def _timing(path):
    """``timing.json``, if there is one."""
    try:
        timing = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _Malformed(f"has a {path.name} beside it that can't be read") from error
    if not isinstance(timing, dict):
        raise _Malformed(f"has a {path.name} beside it that is no JSON object")
    return timing


def _digests(directory, manifest):
    digests = {}
    for name in [*manifest["files"].values(), manifest.get("bitstream")]:
        path = directory / str(name)
        if path.parent == directory and path.is_file():
            digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests
