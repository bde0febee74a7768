"""Write a page about a build."""

from .arguments import COUNT, JOBS, add_data, command

__all__ = ["add"]


def _run(args):
    from ...report import report
    return report(args.directory, out=args.output, dataset=args.dataset, data_dir=args.data,
                  limit=args.limit, jobs=args.jobs)


def add(commands):
    parser = command(commands, "report", _run, "write a page about a build: simulated, drawn, "
                     "explained", "report build/digits -o digits.html")
    parser.add_argument("directory", metavar="DIR", help="output of `build`")
    parser.add_argument("-o", "--output", metavar="FILE", help="(default: DIR/report.html)")
    parser.add_argument("--dataset", metavar="D", help="run the test images of this data set "
                        "(default: the images that travel with the network)")
    add_data(parser)
    parser.add_argument("--limit", type=COUNT, metavar="N", help="only the first N images")
    parser.add_argument("--jobs", type=JOBS, metavar="N",
                        help="processes (default: all cores)")
