"""The networks that come with Spikeloom, by name."""

from pathlib import Path

from gen.errors import ArtifactError, unknown

from .artifact import load
from .network import Network

__all__ = ["find", "names"]

_FOLDER = Path(__file__).parent / "networks"


def names() -> list[str]:
    """Names of the shipped networks."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def find(name_or_path: str | Path) -> Network:
    """Load a shipped network by its name, or any network by its path.

    Raises
    ------
    ArtifactError
        If there is neither, or the file can't be read.
    """
    if not str(name_or_path):
        raise ArtifactError("the name of a network is empty")
    shipped = _FOLDER / f"{name_or_path}.npz"
    if str(name_or_path) in names():
        return load(shipped)
    if not Path(name_or_path).exists():
        raise ArtifactError(unknown("file or shipped network", str(name_or_path), names()))
    return load(name_or_path)
