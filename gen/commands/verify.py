"""Compare every spike of the emitted Verilog with the network in integers."""

from .arguments import (
    add_dataset,
    add_mapping,
    add_network,
    board_name,
    command,
    find_network,
    parse_lanes,
    positive,
)

__all__ = ["add"]


def _run(args):
    from ..verify import verify
    return verify(find_network(args.network), images=args.images, board=board_name(args.board),
                  lanes=parse_lanes(args.lanes), interval=args.interval, code=args.code,
                  seed=args.seed, dataset=args.dataset, data_dir=args.data,
                  images_file=args.images_file)


def add(commands):
    parser = command(commands, "verify", _run,
                     "compare every spike of the emitted Verilog with the network in integers",
                     "verify digits --images 20")
    add_network(parser)
    parser.add_argument("--images", type=positive, metavar="N", default=20, help="how many images")
    add_mapping(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the images and of the stalls")
    add_dataset(parser)
    parser.add_argument("--images-file", metavar="X.npy", help="raw images instead of a data set")
