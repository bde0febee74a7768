"""Conversion of NIR files."""

from pathlib import Path
from typing import Any

from gen.convert.widths import Bits
from gen.system import files

from .conversion import converted
from .data import read_data
from .nirfile import Reading, read_nir

__all__ = ["convert_nir"]


def convert_nir(target: str | Path, *, calibration: str | Path, out: str | Path,
                name: str | None = None, bits: Bits = 8, input_levels: int = 255,
                pixel_max: int = 255, timesteps: int | None = None, origin: str | None = None,
                reset: str | None = None, discretisation: str = "euler", dt: float | None = None,
                require_agreement: float | None = None) -> dict[str, Any]:
    """Convert a NIR file and save the network.

    Parameters
    ----------
    target : the file
    calibration, out, name, bits, input_levels, pixel_max, timesteps, require_agreement : see
        :func:`.conversion.convert_module`
    origin, reset, discretisation, dt : see :class:`.nirfile.Reading`

    Returns
    -------
    As :func:`.conversion.convert_module`.

    Raises
    ------
    ConversionError, DataError
        If the file can't be converted, the data do not suit it, or the integers agree too seldom.
    """
    files.require_output(out, inputs=(target, calibration))
    graph = read_nir(target, Reading(origin, reset, discretisation, dt))
    data = read_data(calibration, graph.shape, timesteps=timesteps, pixel_max=pixel_max)
    return converted(graph, data, out=out, name=name, bits=bits, input_levels=input_levels,
                     source=Path(target).name, require_agreement=require_agreement)
