"""Convert a PyTorch module, an ONNX or a NIR file to integers."""

from argparse import ArgumentParser, Namespace
from typing import Any

from .arguments import FINITE, LEVELS, PIXEL, Commands, command, integer, real, wide_bits
from .firing import add_firing, firing_options
from .nir import add_reading, is_nir, refuse_reading, run_nir
from .tables import as_columns, as_lines, as_text

__all__ = ["add", "add_conversion", "conversion_options", "shown"]


def _run(args):
    if is_nir(args.target):
        return run_nir(args)
    refuse_reading(args)
    from gen.convert.apart import convert_apart
    return convert_apart(args.target, calibration=args.calibration, labels=args.labels,
                         burst=args.burst, probe=args.probe, **conversion_options(args),
                         **firing_options(args))


def conversion_options(args: Namespace) -> dict[str, Any]:
    """The arguments of :func:`gen.convert.conversion.convert` from those of
    :func:`add_conversion`."""
    return {"weights": args.weights, "out": args.output, "name": args.name, "bits": args.bits,
            "levels": args.levels, "input_levels": args.input_levels, "pixel_max": args.pixel_max,
            "activation": args.activation, "require_agreement": args.require_agreement,
            "between": args.range, "mean": args.mean, "std": args.std}


def shown(result: dict) -> str:
    """The lines of a conversion; each of several results of the module has one."""
    lines = as_lines({name: value for name, value in result.items() if name != "results"})
    if "results" not in result:
        return lines
    rows = [(f"result {name}", as_text(facts)) for name, facts in result["results"].items()]
    return f"{lines}\n{as_columns(rows)}"


def add(commands: Commands) -> None:
    """Add the command ``convert`` to those of ``python -m gen``."""
    parser = command(commands, "convert", _run,
                     "convert a PyTorch module, an ONNX or a NIR file to integers",
                     "convert model.py:build --weights model.safetensors --calibration images.npy "
                     "-o model.npz", show=shown)
    add_conversion(parser)
    parser.add_argument("--calibration", metavar="X.npy", required=True,
                        help="raw images that the ranges of plain ReLUs are taken from; of a "
                             "network that spikes already also events, (N, T, ...); or a .npz file "
                             "with images and labels")
    parser.add_argument("--labels", metavar="Y.npy",
                        help="their classes, or those of the positions of the map that the module "
                             "gives, with which the accuracy is told, too")
    add_firing(parser, ("qcfs", "srp", "threshold-balance", "group", "burst", "one-spike", "casc",
                        "st-bif"),
               "fire in every time-step, as qcfs, srp, threshold-balance, group, burst, casc or "
               "st-bif do, or with one spike, as one-spike does (default: once, after all the "
               "charge)")
    parser.add_argument("--burst", type=integer(1, 64), metavar="M",
                        help="the most spikes of a neuron in a time-step of group or burst "
                             "(default: the levels, or 5)")
    parser.add_argument("--probe", type=integer(0, 64), metavar="N",
                        help="time-steps of srp before those that count, which tell what neurons "
                             "to silence (default: 4)")
    add_reading(parser)


def add_conversion(parser: ArgumentParser) -> None:
    """Add the options of a conversion that do not say how neurons fire."""
    parser.add_argument("target", metavar="FILE",
                        help="FILE.py:FUNCTION, which returns the module, torchvision:NAME, or a "
                             ".onnx or .nir file")
    parser.add_argument("--weights", metavar="W.safetensors",
                        help="the module's state dictionary (.safetensors, .pth or .pt); the other "
                             "files have their own")
    parser.add_argument("-o", "--output", metavar="NET.npz", required=True,
                        help="file that the network is written to")
    parser.add_argument("--name", help="name of the network (default: the output's stem)")
    parser.add_argument("--bits", type=wide_bits, metavar="B", default="8",
                        help="bits of the weights, 2 to 8, or to 16 if the network spikes already: "
                             "one width, or widths by layer such as 8,fc1=4")
    parser.add_argument("--levels", type=LEVELS, metavar="L",
                        help="greatest spike count of the neurons of a plain ReLU (default: 15, or "
                             "--timesteps of threshold-balance and casc)")
    parser.add_argument("--input-levels", type=LEVELS, metavar="L", default=255,
                        help="greatest spike count of a pixel")
    parser.add_argument("--pixel-max", type=PIXEL, metavar="P", default=255,
                        help="greatest raw pixel value that the network will receive")
    parser.add_argument("--range", type=FINITE, nargs=2, metavar=("LOW", "HIGH"),
                        help="least and greatest value of real inputs, which are those of pixels "
                             "of 0 and --pixel-max (default: 0 1)")
    parser.add_argument("--mean", type=FINITE, nargs="+", metavar="M",
                        help="what is subtracted from inputs before the module sees them, for each "
                             "channel or for all")
    parser.add_argument("--std", type=FINITE, nargs="+", metavar="S",
                        help="what they are divided by after that")
    parser.add_argument("--activation", metavar="CLASS,STEP,LEVELS",
                        help="a QCFS-like activation of your own: its class, and the attributes "
                             "that hold its step and its levels, such as QCFS,thresh/L,L; with "
                             ",floor at the end if it rounds down")
    parser.add_argument("--require-agreement", type=real(0, 1), metavar="SHARE",
                        help="fail if integers and module agree on less than this share, 0 to 1, "
                             "of the calibration images (default: only warn, below 0.97)")
