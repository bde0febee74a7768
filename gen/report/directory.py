"""What a build has left in its directory, checked before anything is made of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from hw.config import ArrayConfig

from ..build import manifest
from ..errors import BuildError, FitError
from ..ir import artifact
from ..ir.network import Network
from ..plan.mapping import map_config, map_network
from ..plan.resources import Prediction, predict
from ..system.files import read_text
from ..verify.records import kept

__all__ = ["Built", "read"]

@dataclass(frozen=True)
class Built:
    """A directory that ``build`` has filled.

    Parameters
    ----------
    directory : where it is
    network : that was built
    config : shape of the array
    mapping : the arguments of :func:`gen.plan.mapping.map_network` that lead to it
    board, device : names
    clock_hz : of the fabric
    clock_source : in words
    link : to the host, in words
    digest : what the device is known by
    resources : ``luts``, ``ffs``, ``brams``, ``dsps`` by synthesis; ``None`` without one
    budget : the same, of the device
    needs : the same, predicted; ``None`` if nothing has been measured for this family of devices
    timing : what ``timing.json`` holds, or ``None``
    proofs : what :func:`gen.verify.records.kept` returns
    files : name -> SHA-256 of each file of the build
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
        If it is none, or a file in it is missing, changed, or of another network.
    ArtifactError
        If the network in it can't be read.
    """
    built = manifest.read(directory)
    network = artifact.load(built.file(manifest.NETWORK))
    try:
        if network.digest != built.network_digest:
            raise _Malformed(f"is of another network than {manifest.NETWORK}")
        mapping, config = _mapping(network, built)
        timing = _timing(built.directory / "timing.json")
    except _Malformed as error:
        raise BuildError(f"{built.directory / manifest.NAME}: {error}; build the network again "
                         f"(python -m gen build)") from error
    link = built.link
    return Built(
        directory=built.directory, network=network, config=config, mapping=mapping,
        board=built.board.name, device=built.device, clock_hz=built.clock_hz,
        clock_source=built.clock_source,
        link=f"{link['kind']}, {link['baud']} baud, {link['wiring']}", digest=built.digest,
        resources=built.resources, budget=built.budget,
        needs=_needs(network, mapping, built.board), timing=timing, proofs=kept(built.directory),
        files=built.files)


class _Malformed(Exception):
    """What is wrong with the manifest, without its name."""


def _needs(network, mapping, board):
    config, image = map_network(network, **mapping)
    try:
        return predict(config, board.family.name, board.budget.brams, image)
    except FitError:
        return None


def _mapping(network, built):
    """The mapping that leads to the array that was built."""
    for code in ("phase", "rate"):
        mapping = {"lanes": built.lanes, "replicas": built.replicas, "code": code}
        try:
            config = map_config(network, **mapping)
        except (FitError, TypeError, ValueError) as error:
            raise _Malformed(f"has lanes or replicas that the network can't be mapped with: "
                             f"{error}") from error
        if config.digest() == built.array_digest:
            return mapping, config
    raise _Malformed("was written by another version of Spikeloom, which maps the network to "
                     "another array")


def _timing(path):
    """``timing.json``, if there is one."""
    try:
        timing = json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _Malformed(f"has a {path.name} beside it that can't be read") from error
    if not isinstance(timing, dict):
        raise _Malformed(f"has a {path.name} beside it that is no JSON object")
    return timing
