"""Build a network for a board."""

from .arguments import (
    BAUD,
    Commands,
    add_dataset,
    add_mapping,
    add_memories,
    add_network,
    add_sequences,
    command,
    find_network,
    mapping_flags,
    mapping_options,
    real,
    require_calibration,
)
from .tables import as_columns, as_share, as_text

__all__ = ["add"]

_BAUD = 1_000_000


def _run(args):
    from boards import NoLink
    from gen.build.builder import build, default_directory
    from gen.errors import BuildError
    if args.image_only is not None:
        return _image_only(args)
    require_calibration(args)
    network, options = find_network(args.network), mapping_options(args)
    try:
        return build(network, **options,
                     out=args.output or default_directory(network, options["board"], args.link),
                     baud=args.baud or _BAUD, clock_hz=args.clock and args.clock * 1e6,
                     synthesise=not args.no_synthesis, link=args.link)
    except NoLink as error:
        raise BuildError(str(error)) from error


def _image_only(args):
    from gen.build.builder import build_in_place, default_directory
    from gen.errors import BuildError
    flags = [*mapping_flags(args), *(f"--{name}" for name in ("baud", "clock", "link")
                                     if getattr(args, name) is not None)]
    for flag in flags:
        raise BuildError(f"{flag} is fixed by the build in {args.image_only}; leave it out")
    network = find_network(args.network)
    return build_in_place(network, args.image_only,
                          out=args.output or default_directory(network, "image"))


def _table(result):
    rows = [("network", result["network"]),
            ("board", f"{result['board']} ({result['device']}, {result['clock_hz'] / 1e6:g} MHz)")]
    if result["luts"] is not None:
        rows.append(("LUTs", f"{result['luts']:,}"))
        rows += [(words, as_share(result[kind], result["budget"][of])) for kind, words, of in (
            ("cells", "logic cells", "luts"), ("ffs", "flip-flops", "ffs"),
            ("brams", "block RAMs", "brams"), ("dsps", "DSPs", "dsps"))]
    rows += [("latches", as_text(result["latches"])),
             ("clocks an image", f"{result['interval_cycles']:,} (predicted)"),
             ("predicted from", result["calibration"]),
             ("Verilog", result["verilog"]), ("manifest", result["manifest"]),
             ("fastest clock", f"{result['fmax_hz'] / 1e6:.4g} MHz" if result["fmax_hz"] else "-"),
             ("bitstream", result["bitstream"] or (
                 "none: not asked for" if result["luts"] is None
                 else "none: no tool for it was found"))]
    return as_columns(rows)


def add(commands: Commands) -> None:
    """Add the command ``build`` to those of ``python -m gen``."""
    parser = command(commands, "build", _run, "build a network for a board",
                     "build digits --board arty-a7 -o build/digits", show=_table)
    add_network(parser, default="mnist")
    add_mapping(parser)
    add_sequences(parser)
    add_memories(parser)
    parser.add_argument("--image-only", metavar="DIR",
                        help="make the image of a network that takes the place of the one in DIR, "
                             "a build with --reloadable, without place and route; `python -m host "
                             "load` loads it")
    add_dataset(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="(default: build/NET-BOARD)")
    parser.add_argument("--link", choices=("uart", "pcie"),
                        help="how a host reaches the board (default: its serial port)")
    parser.add_argument("--baud", type=BAUD, metavar="N",
                        help=f"speed of the serial link (default: {_BAUD:,})")
    parser.add_argument("--clock", type=real(0.001, 10_000), metavar="MHZ",
                        help="the fabric's clock, if the design meets it, else the fastest that it "
                             "meets (default: the board's)")
    parser.add_argument("--no-synthesis", action="store_true",
                        help="skip Yosys and the bitstream; enough for the virtual board")
