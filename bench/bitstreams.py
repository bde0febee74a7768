"""The table of docs/boards.md: a network on every board whose tools come from PyPI.

    python bench/bitstreams.py [NETWORK]

Without a network it is the digits network, or its MLP where that is too large.

Places and routes seven times, which takes a quarter of an hour on an idle machine.
"""

import logging
import sys
import time

from boards import BOARDS
from gen.build.builder import build
from gen.build.toolchain import missing
from gen.ir import shipped

SMALLER = {"icebreaker": "digits-mlp"}
"""Boards that the digits network does not fit, and what does."""

HEAD = """\
| board | network | LUTs | cells | flip-flops | block RAMs | clock | fastest | clocks | seconds |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"""


def row(network, board):
    start = time.monotonic()
    result = build(network, board=board.name, out=f"build/{network.name}-{board.name}")
    shares = [f"{result[kind]:,} ({result[kind] / result['budget'][of]:.0%})"
              for kind, of in (("cells", "luts"), ("ffs", "ffs"), ("brams", "brams"))]
    clocks = [f"{result[kind] / 1e6:.4g} MHz" for kind in ("clock_hz", "fmax_hz")]
    return [f"`{board.name}`", f"`{network.name}`", f"{result['luts']:,}", *shares, *clocks,
            f"{result['interval_cycles']:,}", f"{time.monotonic() - start:.0f}"]


def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(HEAD)
    for board in BOARDS:
        if not any(missing(toolchain) for toolchain in board.toolchains):
            name = sys.argv[1] if len(sys.argv) > 1 else SMALLER.get(board.name, "digits")
            print("|", " | ".join(row(shipped.find(name), board)), "|", flush=True)


if __name__ == "__main__":
    main()
