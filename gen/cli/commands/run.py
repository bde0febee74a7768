"""Run a network in integers, without any hardware."""

from .arguments import (
    COUNT,
    Commands,
    add_dataset,
    add_network,
    command,
    find_network,
    require_one_source,
)
from .tables import as_lines

__all__ = ["add"]


def _run(args):
    from gen.ir.run import run
    require_one_source(args, args.images)
    return run(find_network(args.network), images_file=args.images, dataset=args.dataset,
               data_dir=args.data, limit=args.limit)


def _lines(result):
    """Predictions are shown for images without labels only."""
    hidden = ["accuracy"] if result["accuracy"] is None else ["predictions"]
    hidden += ["images_exact"] if result["images_exact"] is None else []
    return as_lines({key: value for key, value in result.items() if key not in hidden})


def add(commands: Commands) -> None:
    """Add the command ``run`` to those of ``python -m gen``."""
    parser = command(commands, "run", _run, "run a network in integers, without any hardware",
                     "run mnist --dataset mnist --limit 1000", show=_lines)
    add_network(parser)
    parser.add_argument("images", metavar="IMAGES.npy", nargs="?",
                        help="raw images (N, C, H, W), (N, H, W) or (N, features), instead of a "
                             "data set")
    add_dataset(parser)
    parser.add_argument("--limit", type=COUNT, metavar="N", help="only the first N images")
