"""Compare the emitted Verilog, or its netlist or bitstream, with the network in integers."""

from .arguments import (
    IMAGES,
    SEED,
    add_dataset,
    add_mapping,
    add_network,
    command,
    find_network,
    mapping_options,
)
from .tables import as_columns, as_lines

__all__ = ["add"]


def _run(args):
    options = {
        **mapping_options(args), "seed": args.seed, "dataset": args.dataset,
        "data_dir": args.data, "images_file": args.images_file,
    }
    if args.images is not None:
        options["images"] = args.images
    network = find_network(args.network)
    if args.netlist or args.bitstream:
        from ...verify.gate_level import verify_bitstream, verify_netlist
        verify = verify_netlist if args.netlist else verify_bitstream
        return verify(network, directory=args.build, **options)
    from ...verify.rtl import verify
    return verify(network, **options)


def _table(result):
    layers = result.get("layers", ())
    rows = [("", "compared", "differ")] if layers else []
    rows += [(layer["layer"], f"{layer['spikes']:,}", f"{layer['mismatches']:,}")
             for layer in layers]
    facts = as_lines({key: value for key, value in result.items() if key != "layers"})
    return f"{facts}\n\n{as_columns(rows)}" if rows else facts


def add(commands):
    parser = command(commands, "verify", _run,
                     "compare every spike with the network in integers: of the emitted Verilog, of "
                     "the synthesised netlist, or the logits of the bitstream",
                     "verify digits --images 20", show=_table)
    add_network(parser)
    past = parser.add_mutually_exclusive_group()
    past.add_argument("--netlist", action="store_true",
                      help="simulate the netlist that Yosys made for the board, from pin to pin")
    past.add_argument("--bitstream", action="store_true",
                      help="simulate the logic that the bitstream configures, from pin to pin "
                           "(iCE40; the Debian package fpga-icestorm is needed)")
    parser.add_argument("--images", type=IMAGES, metavar="N",
                        help="how many images (default: 20; 3 from pin to pin)")
    add_mapping(parser)
    parser.add_argument("--seed", type=SEED, default=0, help="seed of the images and of the stalls")
    add_dataset(parser)
    parser.add_argument("--images-file", metavar="X.npy", help="raw images instead of a data set")
    parser.add_argument("--build", metavar="DIR",
                        help="an existing build, whose netlist or bitstream is taken (default: one "
                             "is made)")
