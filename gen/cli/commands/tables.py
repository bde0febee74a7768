"""Results for people: lines and tables."""

from collections.abc import Sequence

__all__ = ["as_columns", "as_lines", "as_share", "as_text"]


def as_lines(result: dict) -> str:
    """A result as aligned lines, one a key."""
    width = max(map(len, result), default=0)
    return "\n".join(f"{key.replace('_', ' '):{width}}  {as_text(value)}"
                     for key, value in result.items())


def as_text(value: object) -> str:
    """A value of a result, on one line; ``None`` is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {as_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " ".join(map(as_text, value))
    return str(value)


def as_share(number: float, total: float) -> str:
    """A number and its share of a total, such as ``"10 of 40 (25%)"``; of nothing there is none."""
    share = f" ({number / total:.0%})" if total else ""
    return f"{number:,} of {total:,}{share}"


def as_columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
                     .rstrip() for row in rows)
