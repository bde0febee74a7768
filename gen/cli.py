"""The command line, ``python -m gen``: arguments in, one object or a few lines out.

Commands do nothing that the functions they call do not; what is heavy to import is imported inside
them. Results go to standard output, everything else to standard error.
"""

import argparse
import json
import logging
import os
import sys

from .errors import BuildError, DataError, SpikeloomError

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 1 if it failed or found a mismatch."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    try:
        result = args.command(args)
        print(json.dumps(result) if args.json else args.show(result), flush=True)
    except SpikeloomError as error:
        return _fail(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else error)
    except KeyboardInterrupt:
        return 130
    return 1 if result.get("mismatches") else 0


def _fail(error):
    print("error:", " ".join(str(error).split()), file=sys.stderr)
    return 1


# Commands: arguments to a result that json.dumps takes.

def _train(args):
    from .train import train
    return train(args.dataset, args.model, out=args.output, name=args.name, data_dir=args.data,
                 epochs=args.epochs, bits=args.bits, levels=args.levels,
                 input_levels=args.input_levels, seed=args.seed)


def _convert(args):
    from .convert import convert
    return convert(args.target, weights=args.weights, calibration=args.calibration,
                   out=args.output, name=args.name, bits=args.bits, levels=args.levels,
                   input_levels=args.input_levels, pixel_max=args.pixel_max,
                   activation=args.activation)


def _run(args):
    from .run import run
    return run(_network(args.network), images_file=args.images, dataset=args.dataset,
               data_dir=args.data, limit=args.limit)


def _build(args):
    from .build import build
    network = _network(args.network)
    return build(network, board=_board(args.board), lanes=_lanes(args.lanes),
                 interval=args.interval, code=args.code,
                 out=args.output or f"build/{network.name}-{args.board}", baud=args.baud,
                 synthesise=not args.no_synthesis)


def _verify(args):
    from .verify import verify
    return verify(_network(args.network), images=args.images, board=_board(args.board),
                  lanes=_lanes(args.lanes), interval=args.interval, code=args.code,
                  seed=args.seed, dataset=args.dataset, data_dir=args.data,
                  images_file=args.images_file)


def _simulate(args):
    from .simulate import simulate
    return simulate(_network(args.network), dataset=args.dataset, data_dir=args.data,
                    limit=args.limit, board=_board(args.board), lanes=_lanes(args.lanes),
                    interval=args.interval, code=args.code, jobs=args.jobs)


def _virtual(args):
    from .virtual import run
    return run(args.directory)


def _boards(args):
    from dataclasses import asdict

    from boards import BOARDS

    from .toolchain import missing
    return {"boards": [{
        "name": board.name, "device": board.device, "clock_hz": board.clock_hz,
        "clock_source": board.clock_source, "link": board.link, "budget": asdict(board.budget),
        "toolchains": {name: not missing(name) for name in board.toolchains},
    } for board in BOARDS]}


def _demo(args):
    from .demo import demo
    return demo(network=args.network, board=_board(args.board), out=args.output, limit=args.limit)


def _network(name):
    from .shipped import find
    return find(name)


def _board(name):
    from boards import UnknownBoard, find
    try:
        return find(name).name
    except UnknownBoard as error:
        raise BuildError(str(error)) from error


def _lanes(items):
    """``["conv1=8", ...]`` -> ``{"conv1": 8, ...}``, or None if there are none."""
    lanes = {}
    for item in items:
        name, _, number = item.rpartition("=")
        if not name or not number.isdecimal():
            raise DataError(f"--lanes must be LAYER=NUMBER, not {item!r}")
        lanes[name] = int(number)
    return lanes or None


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


# Results for people.

def _lines(result):
    """A result as aligned lines, one a key."""
    width = max(map(len, result), default=0)
    return "\n".join(f"{key.replace('_', ' '):{width}}  {_value(value)}"
                     for key, value in result.items())


def _run_lines(result):
    """Predictions are what is wanted of images without labels, and only then."""
    hidden = ["accuracy"] if result["accuracy"] is None else ["predictions"]
    return _lines({key: value for key, value in result.items() if key not in hidden})


def _build_table(result):
    rows = [("network", result["network"]),
            ("board", f"{result['board']} ({result['device']}, {result['clock_hz'] / 1e6:g} MHz)")]
    for kind, words in (("luts", "LUTs"), ("ffs", "flip-flops"), ("brams", "block RAMs"),
                        ("dsps", "DSPs")):
        if result[kind] is not None:
            rows.append((words, _share(result[kind], result["budget"][kind])))
    rows += [("latches", _value(result["latches"])),
             ("clocks an image", f"{result['interval_cycles']:,} (predicted)"),
             ("Verilog", result["verilog"]), ("manifest", result["manifest"]),
             ("bitstream", result["bitstream"] or "none: no tool for it was found")]
    return _columns(rows)


def _share(number, total):
    return f"{number:,} of {total:,} ({number / total:.0%})"


def _value(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " ".join(map(_value, value))
    return str(value)


def _board_table(result):
    rows = [("board", "device", "clock", "link", "LUTs", "block RAMs", "toolchains")]
    rows += [(board["name"], board["device"], f"{board['clock_hz'] / 1e6:g} MHz", board["link"],
              f"{board['budget']['luts']:,}", f"{board['budget']['brams']:g}",
              ", ".join(f"{name} ({'found' if found else 'not found'})"
                        for name, found in board["toolchains"].items()))
             for board in result["boards"]]
    return _columns(rows)


def _columns(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
                     .rstrip() for row in rows)


def _demo_table(result):
    from .demo import table
    return _columns(table(result))


# Arguments.

class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows a default that is a value; a help text may explain one that is not."""

    def _get_help_string(self, action):
        if "(default" in action.help or not isinstance(action.default, int | str) or (
                action.default is False or action.default is argparse.SUPPRESS):
            return action.help
        return f"{action.help} (default: %(default)s)"


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m gen", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Spiking networks from PyTorch to FPGA fabric, bit for bit.",
        epilog="python -m gen COMMAND --help explains a command. A network is named by its name\n"
               "(digits, mnist, ...) if it is a shipped one, or else by its path.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_train, _add_convert, _add_run, _add_build, _add_verify, _add_simulate,
                _add_virtual, _add_boards, _add_demo):
        add(commands)
    return parser


def _add(commands, name, command, text, example, show=_lines):
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".",
        epilog=f"example:\n  python -m gen {example}",
        formatter_class=_Formatter)
    parser.set_defaults(command=command, show=show)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_network(parser, default=None):
    parser.add_argument("network", metavar="NET", nargs="?" if default else None, default=default,
                        help="name of a shipped network, or path of one")


def _add_dataset(parser):
    parser.add_argument("--dataset", metavar="D", help="digits, mnist or fashion-mnist (default: "
                        "what the network was trained on)")
    _add_data(parser)


def _add_data(parser):
    parser.add_argument("--data", metavar="DIR",
                        help="folder of the data set's IDX files (default: $SPIKELOOM_DATA, else "
                             "they are downloaded)")


def _add_mapping(parser):
    parser.add_argument("--board", default="arty-a7", help="what to build for: see the boards")
    parser.add_argument("--lanes", metavar="LAYER=N", action="append", default=[],
                        help="lanes of a layer; may be repeated (default: chosen for the board)")
    parser.add_argument("--interval", metavar="CLOCKS", type=_positive,
                        help="clocks an image to aim for, with lanes and replicas as far as the "
                             "board has room (default: those of the slowest layer with a lane a "
                             "channel)")
    parser.add_argument("--code", choices=("phase", "rate"), default="phase",
                        help="how layers replay each other's spike counts")


def _add_train(commands):
    parser = _add(commands, "train", _train, "train a network from scratch",
                  "train --dataset mnist --model cnn -o mnist.npz")
    parser.add_argument("--dataset", required=True, help="digits, mnist or fashion-mnist")
    _add_data(parser)
    parser.add_argument("--model", required=True, help="cnn or mlp")
    parser.add_argument("-o", "--output", metavar="NET.npz", help="(default: NAME.npz)")
    parser.add_argument("--name", help="of the network (default: the data set and the model)")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="(default: the recipe's)")
    parser.add_argument("--bits", metavar="B", help="bits of the weights, 2 to 8: one width, or "
                        "widths by layer such as 4,readout=8 (default: the recipe's)")
    parser.add_argument("--levels", type=_positive, metavar="L",
                        help="greatest spike count of a neuron (default: the recipe's)")
    parser.add_argument("--input-levels", type=_positive, metavar="L",
                        help="greatest spike count of a pixel (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation")


def _add_convert(commands):
    parser = _add(commands, "convert", _convert, "convert a PyTorch module to integers",
                  "convert model.py:build --weights model.safetensors --calibration images.npy "
                  "-o model.npz")
    parser.add_argument("target", metavar="FILE.py:FUNCTION", help="what returns the module")
    parser.add_argument("--weights", metavar="W.safetensors", required=True,
                        help="its state dictionary")
    parser.add_argument("--calibration", metavar="X.npy", required=True,
                        help="raw images that the ranges of plain ReLUs are taken from")
    parser.add_argument("-o", "--output", metavar="NET.npz", required=True,
                        help="where the network goes")
    parser.add_argument("--name", help="of the network (default: the output's stem)")
    parser.add_argument("--bits", metavar="B", default="8",
                        help="bits of the weights, 2 to 8: one width, or widths by layer such as "
                             "8,fc1=4")
    parser.add_argument("--levels", type=_positive, metavar="L", default=15,
                        help="greatest spike count of the neurons of a plain ReLU")
    parser.add_argument("--input-levels", type=_positive, metavar="L", default=255,
                        help="greatest spike count of a pixel")
    parser.add_argument("--pixel-max", type=_positive, metavar="P", default=255,
                        help="greatest raw pixel that the network will be given")
    parser.add_argument("--activation", metavar="CLASS,STEP,LEVELS",
                        help="a QCFS-like activation of your own: its class, and the attributes "
                             "that hold its step and its levels, such as QCFS,thresh/L,L")


def _add_run(commands):
    parser = _add(commands, "run", _run, "run a network in integers, without any hardware",
                  "run mnist --dataset mnist --limit 1000", show=_run_lines)
    _add_network(parser)
    parser.add_argument("images", metavar="IMAGES.npy", nargs="?",
                        help="raw images (N, C, H, W) instead of a data set")
    _add_dataset(parser)
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N images")


def _add_build(commands):
    parser = _add(commands, "build", _build, "build a network for a board",
                  "build digits --board arty-a7 -o build/digits", show=_build_table)
    _add_network(parser, default="mnist")
    _add_mapping(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="(default: build/NET-BOARD)")
    parser.add_argument("--baud", type=_positive, metavar="N", default=1_000_000,
                        help="speed of the serial link")
    parser.add_argument("--no-synthesis", action="store_true",
                        help="skip Yosys and the bitstream; enough for the virtual board")


def _add_verify(commands):
    parser = _add(commands, "verify", _verify,
                  "compare every spike of the emitted Verilog with the network in integers",
                  "verify digits --images 20")
    _add_network(parser)
    parser.add_argument("--images", type=_positive, metavar="N", default=20, help="how many images")
    _add_mapping(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the images and of the stalls")
    _add_dataset(parser)
    parser.add_argument("--images-file", metavar="X.npy", help="raw images instead of a data set")


def _add_simulate(commands):
    parser = _add(commands, "simulate", _simulate,
                  "run a data set through the emitted Verilog, compiled",
                  "simulate mnist --dataset mnist --limit 1000")
    _add_network(parser)
    _add_dataset(parser)
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N images")
    _add_mapping(parser)
    parser.add_argument("--jobs", type=_positive, metavar="N",
                        help="processes (default: all cores)")


def _add_virtual(commands):
    parser = _add(commands, "virtual", _virtual,
                  "start the virtual board of a build; the first line names its serial port",
                  "virtual build/digits")
    parser.add_argument("directory", metavar="DIR", help="what build has made")


def _add_boards(commands):
    _add(commands, "boards", _boards, "list the boards", "boards", show=_board_table)


def _add_demo(commands):
    parser = _add(commands, "demo", _demo,
                  "build a network, start its virtual board and stream the test images through it",
                  "demo", show=_demo_table)
    parser.add_argument("--network", metavar="NET", default="digits", help="what to build")
    parser.add_argument("--board", default="arty-a7", help="what to build for")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N images")
    parser.add_argument("-o", "--output", metavar="DIR", default="build/demo",
                        help="where everything goes")
