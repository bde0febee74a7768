"""Build a network, start its virtual board and stream the test images through it."""

from .arguments import COUNT, Commands, board_name, command
from .tables import as_columns

__all__ = ["add"]


def _run(args):
    from gen.cli.demo import demo
    return demo(network=args.network, board=board_name(args.board), out=args.output,
                limit=args.limit)


def _table(result):
    from gen.cli.demo import table
    return as_columns(table(result))


def add(commands: Commands) -> None:
    """Add the command ``demo`` to those of ``python -m gen``."""
    parser = command(commands, "demo", _run,
                     "build a network, start its virtual board and stream the test images "
                     "through it", "demo", show=_table)
    parser.add_argument("--network", metavar="NET", default="digits", help="what to build")
    parser.add_argument("--board", default="arty-a7", help="what to build for")
    parser.add_argument("--limit", type=COUNT, metavar="N", help="only the first N images")
    parser.add_argument("-o", "--output", metavar="DIR", default="build/demo",
                        help="directory that everything is written to")
