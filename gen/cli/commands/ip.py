"""Write a network as an IP core."""

from .arguments import IMAGES, Commands, add_dataset, command, require_one_source
from .designs import add_design, find_design

__all__ = ["add"]

_IMAGES = 10


def _run(args):
    from pathlib import Path

    from gen.build.ip import write
    from gen.verify.rtl import choose_images
    require_one_source(args, args.images_file)
    network, design = find_design(args)
    images, source = choose_images(network, args.images, 0, args.dataset, args.data,
                                   args.images_file)
    out = args.output or Path("build") / f"ip-{network.name}"
    return write(design(), out, images) | {"source": source}


def add(commands: Commands) -> None:
    """Add the command ``ip`` to those of ``python -m gen``."""
    parser = command(commands, "ip", _run,
                     "write a network as an IP core with AXI4-Stream ports, for FuseSoC, LiteX or "
                     "a design of your own",
                     "ip digits -o build/ip")
    add_design(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="(default: build/ip-NET)")
    parser.add_argument("--images", type=IMAGES, metavar="N", default=_IMAGES,
                        help="how many images the testbench plays")
    add_dataset(parser)
    parser.add_argument("--images-file", metavar="X.npy", help="raw images instead of a data set")
