"""The table of docs/own-network.md, of what has been measured."""

from . import tuned
from .markdown import table

__all__ = ["TABLES"]


def _spoken(options):
    """Options as the command line has them."""
    words = " ".join(f"--{name} {value}" for name, value in options.items())
    return f"`{words}`" if words else "the defaults"


def _table(measured):
    return table([
        ("options", lambda row: _spoken(tuned.OPTIONS[row["options"]])),
        ("module", lambda row: f"{row['float']:.2%}"),
        ("integers", lambda row: f"{row['integer']:.2%}"),
        ("tuned", lambda row: f"{row['tuned']:.2%}"),
    ], tuned.BENCHMARK.rows(measured))


TABLES = {"tuned": _table}
"""Name -> what makes the Markdown of :func:`bench.benchmark.load`."""
