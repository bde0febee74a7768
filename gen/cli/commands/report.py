"""Write a page about a build."""

from functools import partial

from .arguments import COUNT, JOBS, Commands, add_data, command, require_calibration
from .designs import add_design, find_build

__all__ = ["add"]


def _run(args):
    from gen.build.builder import build_for
    from gen.report import report
    from gen.system.files import require_output
    if args.output is not None:
        require_output(args.output)
    if args.dataset is None:
        require_calibration(args, "--data is the folder of a data set: say which (--dataset)")
    directory = find_build(args, partial(build_for, "report"))
    return report(directory, out=args.output, dataset=args.dataset, data_dir=args.data,
                  limit=args.limit, jobs=args.jobs)


def add(commands: Commands) -> None:
    """Add the command ``report`` to those of ``python -m gen``."""
    parser = command(commands, "report", _run, "write a page about a build: simulated, drawn, "
                     "explained", "report build/digits -o digits.html")
    add_design(parser)
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="(default: report.html in the build's directory)")
    parser.add_argument("--dataset", metavar="D", help="run the test images of this data set "
                        "(default: the images that travel with the network)")
    add_data(parser)
    parser.add_argument("--limit", type=COUNT, metavar="N", help="only the first N images")
    parser.add_argument("--jobs", type=JOBS, metavar="N",
                        help="processes (default: all cores)")
