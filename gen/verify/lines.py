"""``python -m gen.verify.lines DIRECTORY [BEATS]``: :mod:`gen.verify.spikes` in lines of JSON.

This is a child process of ``python -m host serve``, because `host` imports nothing of `gen`. It
ends with its standard input.

The first line of output describes the network of the build. Each line of input is an image and a
number of time-steps, and gets a line of output::

    {"image": [0, 255], "timesteps": 1}

Instead, a line may be ``{"error": "what is wrong"}``. If the first one is, it is the last.
"""

import json
import sys
from collections.abc import Iterable, Iterator

from gen.errors import EXPLAINED, explain

__all__ = ["main"]


def main(lines: Iterable[str], directory: str, beats: str | None = None) -> Iterator[dict]:
    """The lines of output for those of input.

    Parameters
    ----------
    directory : of a build
    beats : path of what the virtual board records; only one image is in it at a time
    """
    try:
        from gen.build.design import load  # a package may be missing

        from .spikes import answer, described
        design = load(directory)
    except EXPLAINED as error:
        yield {"error": explain(error)}
        return
    yield described(design.network)
    for line in lines:
        try:
            yield answer(design, **json.loads(line), beats=beats)
        except EXPLAINED as error:
            yield {"error": explain(error)}


if __name__ == "__main__":
    for said in main(sys.stdin, *sys.argv[1:]):
        print(json.dumps(said), flush=True)
