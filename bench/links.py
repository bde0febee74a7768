"""The tables of docs/pcie.md, of what has been measured."""

from . import endpoint, pcie
from .markdown import number, table

__all__ = ["TABLES"]


def speed(measured):
    """What goes through the endpoint."""
    return table([
        ("network", lambda row: f"`{row['network']}`"),
        ("words of an image", lambda row: number(row["words"])),
        ("of its result", lambda row: number(row["result"])),
        ("clocks from image to image", lambda row: f"{row['clocks']:,.1f}"),
        ("of the array alone", lambda row: f"{row['own']:,.1f}"),
        ("images a second", lambda row: number(round(row["reached"]))),
        ("of the array's own", lambda row: f"{row['share']:.1%}"),
    ], pcie.BENCHMARK.rows(measured))


def size(measured):
    """What the endpoint takes."""
    return table([
        ("device", lambda row: row["family"] + (
            f", grade {row['grade']}" if "grade" in row else "")),
        ("LUTs", lambda row: number(row["luts"])),
        ("flip-flops", lambda row: number(row["ffs"])),
        ("block RAMs", lambda row: f"{row['brams']:g}"),
        ("latches", lambda row: number(row["latches"])),
        ("fastest clock", lambda row: f"{row['fmax_hz'] / 1e6:.1f} MHz" if row["fmax_hz"] else "-"),
    ], endpoint.BENCHMARK.rows(measured))


TABLES = {"pcie": speed, "endpoint": size}
"""Name -> what makes the Markdown of :func:`bench.benchmark.load`."""
