"""Compare the emitted Verilog, the netlist or the bitstream with the network in integers."""

from .arguments import (
    IMAGES,
    SEED,
    Commands,
    add_dataset,
    add_timesteps,
    command,
    require_one_source,
)
from .designs import add_design, find_build, find_design
from .tables import as_columns, as_lines

__all__ = ["add"]

# Images by default, and from pin to pin, which takes longer.
_IMAGES, _FEW = 20, 3


def _run(args):
    from gen.errors import SimulationError
    from gen.verify.rtl import choose_images, verify
    require_one_source(args, args.images_file)
    network, design = find_design(args)
    gates = args.netlist or args.bitstream
    if gates and args.timesteps is not None:
        raise SimulationError("from pin to pin all time-steps are run: leave --timesteps out")
    network.checked(args.timesteps)
    images, source = choose_images(network, args.images or (_FEW if gates else _IMAGES), args.seed,
                                   args.dataset, args.data, args.images_file)
    result = _gates(args, images) if gates else verify(
        design(), images, seed=args.seed, timesteps=args.timesteps)
    return result | {"source": source}


def _gates(args, images):
    from gen.verify import gate_level
    if args.netlist:
        return gate_level.verify_netlist(find_build(args, gate_level.make_netlist), images)
    return gate_level.verify_bitstream(find_build(args, gate_level.make_bitstream), images)


def _table(result):
    layers = result.get("layers", ())
    rows = [("", "compared", "differ")] if layers else []
    rows += [(layer["layer"], f"{layer['spikes']:,}", f"{layer['mismatches']:,}")
             for layer in layers]
    facts = as_lines({key: value for key, value in result.items() if key != "layers"})
    return f"{facts}\n\n{as_columns(rows)}" if rows else facts


def add(commands: Commands) -> None:
    """Add the command ``verify`` to those of ``python -m gen``."""
    parser = command(commands, "verify", _run,
                     "compare the emitted Verilog, the netlist or the bitstream with the network "
                     "in integers",
                     "verify digits --images 20", show=_table)
    add_design(parser)
    past = parser.add_mutually_exclusive_group()
    past.add_argument("--netlist", action="store_true",
                      help="simulate the netlist that Yosys made for the board, from pin to pin")
    past.add_argument("--bitstream", action="store_true",
                      help="simulate the logic that the bitstream configures, from pin to pin "
                           "(iCE40; the Debian package fpga-icestorm is needed)")
    parser.add_argument("--images", type=IMAGES, metavar="N",
                        help=f"how many images (default: {_IMAGES}; {_FEW} from pin to pin)")
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the images and of the stalls")
    add_timesteps(parser)
    add_dataset(parser)
    parser.add_argument("--images-file", metavar="X.npy", help="raw images instead of a data set")
