"""Arguments that commands share, and the objects that they name.

Every number has a bound, so no number overflows or allocates without end later. The bounds here
only exclude nonsense; narrower bounds belong to the functions that know them.
"""

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from gen.errors import BuildError, DataError, unknown
from host.terminal import number

from .tables import as_lines

if TYPE_CHECKING:
    from gen.ir.network import Network

__all__ = [
    "BAUD",
    "CALIBRATION",
    "CLOCKS",
    "CODES",
    "COUNT",
    "FINITE",
    "IMAGES",
    "JOBS",
    "LEVELS",
    "PIXEL",
    "SEED",
    "Commands",
    "add_calibration",
    "add_data",
    "add_dataset",
    "add_mapping",
    "add_memories",
    "add_network",
    "add_timesteps",
    "bits",
    "board_name",
    "code",
    "command",
    "dataset_flags",
    "find_network",
    "integer",
    "listed",
    "mapping_flags",
    "mapping_options",
    "real",
    "require_calibration",
    "require_one_source",
    "wide_bits",
]


_Item = TypeVar("_Item")

Commands = argparse._SubParsersAction
"""What :meth:`argparse.ArgumentParser.add_subparsers` returns. It has no public name."""


def integer(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that is an integer within bounds."""
    return number(int, "an integer", least, most)


def real(least: float, most: float) -> Callable[[str], float]:
    """The type of an argument that is a number within finite bounds."""
    return number(float, "a number", least, most)


def listed(item: Callable[[str], _Item]) -> Callable[[str], list[_Item]]:
    """The type of an argument of several different values with commas between them."""
    def parse(text):
        values: list[_Item] = []
        for part in text.split(","):
            value = item(part)
            if value in values:
                raise argparse.ArgumentTypeError(f"{value} is given twice")
            values.append(value)
        return values
    return parse


FINITE = real(-1e9, 1e9)
"""A value of an input."""

COUNT = integer(1, 10**9)
"""A number of items to take from those that there are."""

IMAGES = integer(1, 100_000)
"""Images to simulate or to draw at random."""

CLOCKS = integer(1, 10**12)
"""Clocks an image."""

LEVELS = integer(1, 65_535)
"""The greatest spike count of neurons or pixels."""

PIXEL = integer(1, (1 << 32) - 1)
"""A raw pixel."""

SEED = integer(0, (1 << 32) - 1)

BAUD = integer(1, 100_000_000)

JOBS = integer(1, 1024)
"""Processes."""

CODES = ("phase", "rate")
"""The first by default."""

_BOARD = "arty-a7"

_MAPPING = ("board", "lanes", "interval", "objective", "code", "calibration", "stream",
            "interleaved", "differential", "reloadable", "selftest")


def code(text: str) -> str:
    """The type of an argument that is one of :data:`CODES`."""
    if text not in CODES:
        raise argparse.ArgumentTypeError(unknown("code", text, CODES))
    return text


def bits(text: str, most: int = 8) -> str:
    """The type of widths of weights, such as ``"4,readout=8"``: see
    :func:`gen.convert.widths.layer_bits`."""
    for item in text.split(","):
        name, given, width = item.rpartition("=")
        if given and not name.strip():
            raise argparse.ArgumentTypeError(f"must be B or LAYER=B, not {item!r}")
        integer(2, most)(width)
    return text


def wide_bits(text: str) -> str:
    """Like :func:`bits`, up to the 16 that networks may have which spike already."""
    return bits(text, 16)


CALIBRATION = 1000
"""Images that are enough to calibrate with."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows a default that is a value. A help text may explain any other default."""

    def _get_help_string(self, action):
        if "(default" in action.help or not isinstance(action.default, int | str) or (
                action.default is False or action.default is argparse.SUPPRESS):
            return action.help
        return f"{action.help} (default: %(default)s)"


def command(commands: Commands, name: str, run: Callable[[Namespace], dict], text: str,
            example: str, show: Callable[[dict], str] = as_lines) -> ArgumentParser:
    """Declare a command, and return its parser.

    Parameters
    ----------
    run : does the work, from arguments to a result that is a JSON object
    text : one line that says what the command does; it begins with a small letter
    example : arguments of ``python -m gen``, the command first
    show : writes the result for people
    """
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".",
        epilog=f"example:\n  %(prog)s{example.removeprefix(name)}",
        formatter_class=_Formatter)
    parser.set_defaults(command=run, show=show)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def add_network(parser: ArgumentParser, default: str | None = None) -> None:
    """Add the argument that names a network; see :func:`find_network`."""
    parser.add_argument("network", metavar="NET", nargs="?" if default else None, default=default,
                        help="name of a shipped network, or path of one")


def add_timesteps(parser: ArgumentParser) -> None:
    """Add the option for the time-steps of a run."""
    parser.add_argument("--timesteps", type=integer(1, 64), metavar="T",
                        help="end each image after T time-steps, of those that the network has")


def add_dataset(parser: ArgumentParser) -> None:
    """Add --dataset and --data."""
    parser.add_argument("--dataset", metavar="D", help="a data set, such as mnist or mnist-rows "
                        "(default: what the network was trained on)")
    add_data(parser)


def add_data(parser: ArgumentParser) -> None:
    """Add --data, for commands that have a --dataset of their own."""
    parser.add_argument("--data", metavar="DIR",
                        help="folder of the data set's IDX files (default: $SPIKELOOM_DATA, else "
                             "they are downloaded)")


def add_calibration(parser: ArgumentParser, default: int | None = None) -> None:
    """Add --calibration.

    Parameters
    ----------
    default : images; with ``None``, those that travel with the network
    """
    parser.add_argument("--calibration", metavar="N", type=COUNT, nargs="?", const=CALIBRATION,
                        default=default,
                        help="choose lanes and replicas by the spikes of the first N training "
                             f"images of the data set ({CALIBRATION:,} if no N is given)" + (
                             "" if default else
                             " (default: the images that travel with the network)"))


def add_mapping(parser: ArgumentParser) -> None:
    """Add the options that decide how a network is mapped to a board."""
    parser.add_argument("--board",
                        help=f"what to build for; `boards` lists them (default: {_BOARD})")
    parser.add_argument("--lanes", metavar="LAYER=N", type=_lanes, action=_Lanes,
                        help="lanes of a layer; may be repeated (default: chosen for the board)")
    parser.add_argument("--interval", metavar="CLOCKS", type=CLOCKS,
                        help="clocks an image to aim for, with lanes and replicas as far as the "
                             "board has room (default: those of the slowest layer with a lane a "
                             "channel)")
    parser.add_argument("--objective", choices=("throughput", "latency", "smallest"),
                        help="fill the board for the shortest interval or the least latency, or "
                             "take the fewest logic cells; latency and smallest keep --interval "
                             "(default: --interval at the least cost)")
    parser.add_argument("--code", choices=CODES, help="how layers replay each other's spike counts "
                        f"(default: {CODES[0]})")
    parser.add_argument("--differential", metavar="LAYER=SOURCE", type=_source, action=_Sources,
                        help="send a layer of a sequence what the spike counts of a source, such "
                             "as itself, change by from element to element; may be repeated "
                             "(default: send the counts)")
    add_calibration(parser)


def _elements(text):
    try:
        return COUNT(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; without a number it comes last") from error


def add_sequences(parser: ArgumentParser) -> None:
    """Add --stream and --interleaved."""
    parser.add_argument("--stream", metavar="ELEMENTS", type=_elements, nargs="?", const=0,
                        help="take sequences without an end, in blocks of so many elements (rows "
                             "of the input), with an answer after each (default: a sample is a "
                             "whole input; without a number: the shortest block that the network "
                             "takes)")
    parser.add_argument("--interleaved", metavar="N", type=COUNT,
                        help="take N independent sequences side by side in a sample: while one "
                             "waits for its own spikes, the lanes work on the others (default: 1)")


def add_memories(parser: ArgumentParser) -> None:
    """Add --reloadable and --selftest."""
    parser.add_argument("--selftest", metavar="N", type=COUNT, nargs="?", const=1,
                        help="let the device run N samples after a reset, and after each load, "
                             "compare its own logits, and show the result (without a number: 1)")
    parser.add_argument("--reloadable", action="store_true", default=None,
                        help="let a host load weights, initial potentials and thresholds of "
                             "another network of the same shape (python -m host load), and check "
                             "the memories while the device is idle")


def mapping_flags(args: Namespace) -> list[str]:
    """The options of :func:`add_mapping` that are given."""
    return [f"--{name}" for name in _MAPPING if getattr(args, name, None) is not None]


def dataset_flags(args: Namespace) -> list[str]:
    """The options of :func:`add_dataset` that are given."""
    return [f"--{name}" for name in ("dataset", "data") if getattr(args, name) is not None]


def mapping_options(args: Namespace) -> dict:
    """The arguments of :func:`add_mapping`, :func:`add_sequences`, :func:`add_memories` and
    :func:`add_dataset`, as keyword arguments of ``build`` and others."""
    sequences = {name: getattr(args, name, None)
                 for name in ("stream", "interleaved", "reloadable")}
    if getattr(args, "selftest", None) is not None:
        sequences["selftests"] = args.selftest
    return {**{name: value for name, value in sequences.items() if value is not None},
            "board": board_name(_BOARD if args.board is None else args.board), "lanes": args.lanes,
            "interval": args.interval, "objective": args.objective, "code": args.code or CODES[0],
            "differential": args.differential, "calibration": _calibration(args)}


def _calibration(args):
    if args.calibration is None:
        return None
    from gen.plan.workload import Calibration
    return Calibration(args.calibration, args.dataset, args.data)


def require_calibration(
        args: Namespace,
        otherwise: str = "--dataset and --data choose calibration images: add --calibration"
) -> None:
    """Refuse a data set without --calibration, where its images can only calibrate.

    Parameters
    ----------
    otherwise : the error

    Raises
    ------
    DataError
        If --dataset or --data is given alone.
    """
    if getattr(args, "calibration", None) is None and dataset_flags(args):
        raise DataError(otherwise)


def require_one_source(args: Namespace, images_file: str | None) -> None:
    """Refuse a data set beside a file of images, unless it calibrates.

    Raises
    ------
    DataError
        If a file is given, and --dataset or --data without --calibration.
    """
    if images_file is not None:
        require_calibration(
            args, f"{images_file} gives the images: leave --dataset and --data out")


def find_network(name: str) -> "Network":
    """The network with a name, or at a path; see :func:`gen.ir.shipped.find`."""
    from gen.ir.shipped import find
    return find(name)


def board_name(name: str) -> str:
    """The name of a board, as it is spelt in the list.

    Raises
    ------
    BuildError
        If there is no such board.
    """
    from boards import UnknownBoard, find
    try:
        return find(name).name
    except UnknownBoard as error:
        raise BuildError(str(error)) from error


def _lanes(text):
    """``"conv1=8"`` -> ``("conv1", 8)``."""
    name, _, count = text.rpartition("=")
    if not name.strip():
        raise argparse.ArgumentTypeError(f"must be LAYER=NUMBER, not {text!r}")
    return name.strip(), integer(1, 1 << 20)(count)


def _source(text):
    """``"rnn=input"`` -> ``("rnn", "input")``."""
    name, _, source = (part.strip() for part in text.partition("="))
    if not (name and source):
        raise argparse.ArgumentTypeError(f"must be LAYER=SOURCE, not {text!r}")
    return name, source


class _Sources(argparse.Action):
    """Collects what :func:`_source` gives in a dictionary of lists."""

    def __call__(self, parser, namespace, values, option_string=None):
        (name, source), given = values, getattr(namespace, self.dest) or {}
        if source in given.get(name, []):
            raise argparse.ArgumentError(self, f"{name}={source} is given twice")
        setattr(namespace, self.dest, {**given, name: [*given.get(name, []), source]})


class _Lanes(argparse.Action):
    """Collects what :func:`_lanes` gives in a dictionary."""

    def __call__(self, parser, namespace, values, option_string=None):
        (name, lanes), given = values, getattr(namespace, self.dest) or {}
        if name in given:
            raise argparse.ArgumentError(self, f"{name} is given twice")
        setattr(namespace, self.dest, {**given, name: lanes})
