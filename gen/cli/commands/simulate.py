"""Run a data set through the compiled Verilog."""

from .arguments import COUNT, JOBS, Commands, add_dataset, add_timesteps, command
from .designs import add_design, find_design

__all__ = ["add"]


def _run(args):
    from gen.errors import SimulationError
    from gen.system.files import require_output
    from gen.verify.simulation import simulate, test_set
    if args.images_out is not None:
        require_output(args.images_out)
    network, design = find_design(args)
    network.checked(args.timesteps)
    images, labels = test_set(network, dataset=args.dataset, data_dir=args.data, limit=args.limit)
    planned = design()
    if args.images_out is not None and planned.config.interleaved > 1:
        raise SimulationError("--images-out has a line for each image, and a sample of this design "
                              "holds several; leave it out")
    return simulate(planned, images, labels, jobs=args.jobs, timesteps=args.timesteps,
                    images_out=args.images_out)


def add(commands: Commands) -> None:
    """Add the command ``simulate`` to those of ``python -m gen``."""
    parser = command(commands, "simulate", _run,
                     "run a data set through the compiled Verilog",
                     "simulate mnist --dataset mnist --limit 1000")
    add_design(parser)
    add_dataset(parser)
    add_timesteps(parser)
    parser.add_argument("--limit", type=COUNT, metavar="N", help="only the first N images")
    parser.add_argument("--jobs", type=JOBS, metavar="N",
                        help="processes (default: all cores)")
    parser.add_argument("--images-out", metavar="FILE",
                        help="write clocks and spikes of each image to a CSV file")
