"""Cells and lines of tables in Markdown."""

__all__ = ["asked", "line", "named", "number", "table"]


def number(value, digits=0) -> str:
    """A number with commas; a string stands for itself, None for what is not known."""
    return value or "" if value is None or isinstance(value, str) else f"{value:,.{digits}f}"


def asked(row) -> str:
    """What the mapping of a case was asked for, as the command line has it, or nothing."""
    return f"`--interval {row['interval']}`" if "interval" in row else ""


def named(row) -> str:
    """The network of a case, and what was asked for."""
    return ", ".join(filter(None, [f"`{row['network']}`", asked(row)]))


def line(cells) -> str:
    return f"| {' | '.join(cells)} |"


def table(columns, rows, *, left: int = 1) -> str:
    """A table.

    Parameters
    ----------
    columns : pairs of a heading and what makes a cell of a row
    left : how many of the first columns are text
    """
    rule = ["---"] * left + ["--:"] * (len(columns) - left)
    return "\n".join([line(heading for heading, _ in columns), line(rule),
                      *(line(cell(row) for _, cell in columns) for row in rows)])
