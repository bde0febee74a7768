"""Train a network from scratch."""

from .arguments import LEVELS, SEED, Commands, add_data, bits, command, integer
from .firing import add_firing, firing_options

__all__ = ["add"]


def _run(args):
    from gen.train.training import train
    return train(args.dataset, args.model, out=args.output, name=args.name, data_dir=args.data,
                 epochs=args.epochs, bits=args.bits, levels=args.levels,
                 input_levels=args.input_levels, seed=args.seed, **firing_options(args))


def add(commands: Commands) -> None:
    """Add the command ``train`` to those of ``python -m gen``."""
    parser = command(commands, "train", _run, "train a network from scratch",
                     "train --dataset mnist --model cnn -o mnist.npz")
    parser.add_argument("--dataset", required=True, help="digits, mnist, fashion-mnist or cifar-10")
    add_data(parser)
    parser.add_argument("--model", required=True, help="cnn, cnn-8, mlp, mlp-128 or resnet")
    parser.add_argument("-o", "--output", metavar="NET.npz", help="(default: NAME.npz)")
    parser.add_argument("--name", help="name of the network (default: the data set, the model "
                        "unless it is cnn, and the method if neurons fire in every time-step)")
    parser.add_argument("--epochs", type=integer(1, 10_000), metavar="N",
                        help="(default: the recipe's)")
    parser.add_argument("--bits", type=bits, metavar="B",
                        help="bits of the weights, 2 to 8: one width, or widths by layer such as "
                             "4,readout=8 (default: the recipe's)")
    parser.add_argument("--levels", type=LEVELS, metavar="L",
                        help="greatest spike count of a neuron (default: the method's, or the "
                             "recipe's without a method)")
    parser.add_argument("--input-levels", type=LEVELS, metavar="L",
                        help="greatest spike count of a pixel (default: the recipe's)")
    parser.add_argument("--seed", type=SEED, default=0,
                        help="seed of weights, order and augmentation")
    add_firing(parser, ("qcfs", "threshold-balance", "casc"),
               "train as the authors of this method do, and fire by it: qcfs, threshold-balance or "
               "casc (default: the recipe of this project, which fires once)")
