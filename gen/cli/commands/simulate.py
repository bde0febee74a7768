"""Run a data set through the emitted Verilog, compiled."""

from .arguments import (
    COUNT,
    JOBS,
    add_dataset,
    add_mapping,
    add_network,
    command,
    find_network,
    mapping_options,
)

__all__ = ["add"]


def _run(args):
    from ...verify.simulation import simulate
    return simulate(find_network(args.network), dataset=args.dataset, data_dir=args.data,
                    limit=args.limit, jobs=args.jobs, images_out=args.images_out,
                    **mapping_options(args))


def add(commands):
    parser = command(commands, "simulate", _run,
                     "run a data set through the emitted Verilog, compiled",
                     "simulate mnist --dataset mnist --limit 1000")
    add_network(parser)
    add_dataset(parser)
    parser.add_argument("--limit", type=COUNT, metavar="N", help="only the first N images")
    add_mapping(parser)
    parser.add_argument("--jobs", type=JOBS, metavar="N",
                        help="processes (default: all cores)")
    parser.add_argument("--images-out", metavar="FILE",
                        help="write clocks and spikes of each image to a CSV file")
