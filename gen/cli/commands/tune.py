"""Convert a network, and win back what that costs with images of the user's."""

from .arguments import SEED, Commands, command, integer
from .convert import add_conversion, conversion_options, shown

__all__ = ["add"]


def _run(args):
    from gen.convert.apart import convert_apart
    return convert_apart(args.target, calibration=args.images, labels=args.labels,
                         tune={"epochs": args.epochs, "seed": args.seed},
                         **conversion_options(args))


def add(commands: Commands) -> None:
    """Add the command ``tune`` to those of ``python -m gen``."""
    parser = command(commands, "tune", _run,
                     "convert a network, and train it on through its rounding",
                     "tune model.py:build --weights model.safetensors --images data.npz -o "
                     "model.npz", show=shown)
    add_conversion(parser)
    parser.add_argument("--images", metavar="D.npz", required=True,
                        help="images, and labels if there are some, as arrays of these names; or a "
                             ".npy file of images")
    parser.add_argument("--labels", metavar="Y.npy", help="classes of the images of a .npy file")
    parser.add_argument("--epochs", type=integer(0, 10_000), metavar="N", default=3,
                        help="how often all images are seen after the layers were fitted one by "
                             "one")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the order of the images")
