"""What a build has left in its directory, checked before anything is made of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from gen.build import manifest
from gen.build.design import Design, load
from gen.build.manifest import Manifest
from gen.errors import BuildError, FitError
from gen.ir.network import Network
from gen.plan.resources import Prediction
from gen.system.files import read_text
from gen.verify.records import kept
from hw.config import ArrayConfig

__all__ = ["Built", "read"]


@dataclass(frozen=True)
class Built:
    """The directory of a build.

    Parameters
    ----------
    design : what was built
    manifest : what the build says about itself
    needs : what the design is predicted to take of the device; ``None`` if nothing has been
        measured for this family of devices
    timing : what ``timing.json`` holds, or ``None``
    gate_level : what :func:`gen.verify.records.kept` returns
    """

    design: Design
    manifest: Manifest
    needs: Prediction | None
    timing: dict | None
    gate_level: list[dict]

    @property
    def directory(self) -> Path:
        """Where the build is."""
        return self.manifest.directory

    @property
    def network(self) -> Network:
        """The network that was built."""
        return self.design.network

    @property
    def config(self) -> ArrayConfig:
        """The shape of the array."""
        return self.design.config

    @property
    def board(self) -> str:
        """Name of the board."""
        return self.design.board.name

    @property
    def clock_hz(self) -> int:
        """Frequency of the fabric's clock."""
        return self.design.clock.hz

    @property
    def link(self) -> str:
        """The link to the host, in words."""
        link = self.manifest.link
        baud = [f"{link['baud']} baud"] if link["baud"] else []
        return ", ".join([link["kind"], *baud, link["wiring"]])


def read(directory: str | Path) -> Built:
    """Read a build directory.

    Raises
    ------
    BuildError
        If it is no build, or a file in it is missing, changed, or of another build.
    ArtifactError
        If the network in it can't be read.
    """
    built, design = manifest.read(directory), load(directory)
    return Built(design=design, manifest=built, needs=_needs(design),
                 timing=_timing(built.directory / "timing.json"), gate_level=kept(built.directory))


def _needs(design):
    try:
        return design.needs
    except FitError:
        return None


def _timing(path):
    """``timing.json``, if there is one."""
    try:
        timing = json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise BuildError(f"{path}: can't be read as JSON; {manifest.AGAIN}") from error
    if not isinstance(timing, dict):
        raise BuildError(f"{path}: is no JSON object; {manifest.AGAIN}")
    return timing
