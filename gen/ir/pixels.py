"""Raw images for a network, of what a user has."""

import numpy as np

from gen.errors import DataError
from host.errors import HostError
from host.meaning import Meaning

from .network import Network

__all__ = ["pixels_of"]


def pixels_of(network: Network, images: np.ndarray) -> np.ndarray:
    """Raw images for real ones, if the network says what its pixels stand for; others are raw.

    Raises
    ------
    DataError
        If a value is out of the range that the network was converted for.
    """
    if images.dtype.kind != "f" or "meaning" not in network.metadata:
        return images
    try:
        return Meaning.parse(network.metadata["meaning"], network.name).pixels(images)
    except HostError as error:
        raise DataError(str(error)) from error
