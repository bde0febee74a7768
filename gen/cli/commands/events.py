"""Bin the recordings of event cameras into counts that a network takes."""

import argparse

from .arguments import Commands, command, integer

__all__ = ["add"]


def _run(args):
    from gen.data.events import write_counts
    width, height = args.sensor
    return write_counts(args.files, args.output, width=width, height=height, window=args.window,
                        levels=args.levels, elements=args.elements, start=args.start,
                        layout=args.layout)


def _sensor(text):
    """``"34x34"`` -> ``(34, 34)``."""
    width, given, height = text.partition("x")
    if not given:
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT, not {text!r}")
    pixels = integer(1, 1 << 16)
    return pixels(width), pixels(height)


def add(commands: Commands) -> None:
    """Add the command ``events`` to those of ``python -m gen``."""
    parser = command(commands, "events", _run,
                     "bin recordings of event cameras into counts that a network takes",
                     "events 00001.bin 00002.bin -o counts.npy --sensor 34x34 --window 10000")
    parser.add_argument("files", metavar="FILE", nargs="+",
                        help="recordings: .bin of N-MNIST or N-Caltech101, .bs2 of SLAYER, or .npy "
                             "of records with integers x, y, p (or polarity) and t")
    parser.add_argument("-o", "--output", metavar="SPIKES.npy", required=True,
                        help="file that the counts are written to, for run, verify, convert "
                             "--calibration and the host's infer")
    parser.add_argument("--sensor", metavar="WxH", type=_sensor, required=True,
                        help="columns and rows of the sensor, such as 34x34 for N-MNIST")
    parser.add_argument("--window", metavar="US", type=integer(1, 10**12), required=True,
                        help="length of an element, in microseconds")
    parser.add_argument("--start", metavar="US", type=integer(0, 1 << 62), default=0,
                        help="when the first element begins")
    parser.add_argument("--levels", metavar="N", type=integer(1, 255), default=255,
                        help="greatest count; greater ones become this. A network takes counts as "
                             "they are if it was converted with this --pixel-max and "
                             "--input-levels")
    parser.add_argument("--elements", metavar="N", type=integer(1, 1 << 28),
                        help="elements of each recording (default: up to its last event)")
    parser.add_argument("--layout", choices=("frames", "rows", "steps", "trains"), default="frames",
                        help="each element as a sample (N, 2, H, W), or each recording as a "
                             "sequence (1, 2 H W, N, 1); of networks that spike already, each "
                             "recording as time-steps (1, N, 2, H, W) to convert with, and as "
                             "trains of N bits (1, 2, H, W) to run on")
