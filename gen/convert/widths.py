"""The widths of a network's weights, layer by layer."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from gen.errors import ConversionError, unknown

__all__ = ["BITS", "WIDE", "WIDE_BITS", "Bits", "layer_bits"]

Bits: TypeAlias = int | str | Mapping[str, int] | Iterable[str]
"""Weight widths, see :func:`layer_bits`."""

BITS = range(2, 9)
"""Widths that a weight may have, if it is trained."""

WIDE_BITS = 16
"""Width that the others have at most: those of residual connections and of constants."""

WIDE = range(2, 17)
"""Those of a network that spikes already, which has not been trained for few bits."""


def layer_bits(bits: Bits, names: Iterable[str], known: range = BITS) -> dict[str, int]:
    """Weight width of each layer.

    Parameters
    ----------
    bits : one width for all, or widths by layer: ``{"": 8, "fc1": 4}``, ``"8,fc1=4"``,
        ``["fc1=4"]``; a layer that is not named has 8 bits
    names : of the layers
    known : widths that there are

    Raises
    ------
    ConversionError
        If a width is not one of those, a layer does not exist, or a layer has two widths.
    """
    widths = _widths(bits)
    names = list(names)
    for name, width in widths.items():
        if name and name not in names:
            raise ConversionError(f"bits: {unknown('layer', name, names)}")
        if type(width) is not int or width not in known:
            raise ConversionError(f"bits{f' of {name}' if name else ''} must be {known.start} to "
                                  f"{known.stop - 1}, not {width!r}")
    return {name: widths.get(name, widths.get("", 8)) for name in names}


def _widths(bits: Bits) -> dict[str, int]:
    """The widths that are given, by layer; that of all other layers has the empty name."""
    if isinstance(bits, Mapping):
        return dict(bits)
    if isinstance(bits, int):
        return {"": bits}
    items = bits.split(",") if isinstance(bits, str) else bits
    widths: dict[str, int] = {}
    for item in items:
        name, given, width = str(item).rpartition("=")
        if not width.strip().isdecimal() or (given and not name.strip()):
            raise ConversionError(f"bits must be a width or name=width, not {item!r}")
        if name.strip() in widths:
            raise ConversionError(f"bits: two widths for {name.strip() or 'all layers'}; give one")
        widths[name.strip()] = int(width)
    return widths
