"""What the tests of the runner measure; in a module, because another process imports it."""

import os
from pathlib import Path

from gen.errors import BuildError, DataError


def doubled(case):
    return {"twice": 2 * case["number"], "nice": os.nice(0)}


def difficult(case):
    """Fails in the way that the case names."""
    match case["way"]:
        case "data":
            raise DataError("mnist is not here")
        case "package":
            raise ModuleNotFoundError("No module named 'spikerplus'", name="spikerplus")
        case "tool":
            raise BuildError("Yosys failed\nat length")
        case "bug":
            raise ZeroDivisionError("a bug")
    return {"way": case["way"]}


def edits(case):
    """Changes a source file, as somebody may do meanwhile."""
    Path(case["file"]).write_text("changed", encoding="utf-8")
    return {}
