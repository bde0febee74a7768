"""The table of docs/boards.md: a network on every board whose tools come from PyPI.

    python bench/bitstreams.py [NETWORK]

Places and routes seven times, which takes a quarter of an hour on an idle machine.
"""

import logging
import sys
import time

from boards import BOARDS
from gen import shipped
from gen.build import build
from gen.toolchain import missing

HEAD = """\
| board | LUTs | flip-flops | block RAMs | clock | fastest clock | clocks an image | seconds |
|---|--:|--:|--:|--:|--:|--:|--:|"""


def row(network, board):
    start = time.monotonic()
    result = build(network, board=board.name, out=f"build/{network.name}-{board.name}")
    shares = [f"{result[kind]:,} ({result[kind] / result['budget'][kind]:.0%})"
              for kind in ("luts", "ffs", "brams")]
    clocks = [f"{result[kind] / 1e6:.4g} MHz" for kind in ("clock_hz", "fmax_hz")]
    return [f"`{board.name}`", *shares, *clocks, f"{result['interval_cycles']:,}",
            f"{time.monotonic() - start:.0f}"]


def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    network = shipped.find(sys.argv[1] if len(sys.argv) > 1 else "digits")
    print(HEAD)
    for board in BOARDS:
        if not any(missing(toolchain) for toolchain in board.toolchains):
            print("|", " | ".join(row(network, board)), "|", flush=True)


if __name__ == "__main__":
    main()
