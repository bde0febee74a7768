"""Sweep boards, intervals and networks, and show the Pareto front."""

from .arguments import (
    CALIBRATION,
    CLOCKS,
    COUNT,
    JOBS,
    Commands,
    add_calibration,
    add_dataset,
    board_name,
    code,
    command,
    find_network,
    integer,
    listed,
)
from .tables import as_columns

__all__ = ["add"]


def _run(args):
    from gen.explore.sweep import explore
    return explore(
        [find_network(name) for name in args.networks],
        boards=[board_name(name) for name in args.boards],
        intervals=args.intervals, points=args.points, codes=tuple(args.codes),
        out=args.output, dataset=args.dataset, data_dir=args.data, calibration=args.calibration,
        limit=args.limit, scheduler=args.scheduler, jobs=args.jobs, synthesise=args.synthesise)


def _table(result):
    rows = [("network", "board", "code", "clocks", "images a second", "LUTs", "block RAMs",
             "accuracy", "front")]
    for point in sorted(result["points"], key=lambda point: (
            point["network"], point["board"], -point["images_per_second"])):
        measured = point.get("synthesis")
        luts = f"{point['luts']:,}" + (f" (Yosys {measured['luts']:,})" if measured else "")
        brams = f"{point['brams']:g}" + (f" ({measured['brams']:g})" if measured else "")
        accuracy = point["accuracy"]
        rows.append((point["network"], point["board"], point["code"],
                     f"{point['interval_cycles']:,}", f"{point['images_per_second']:,.0f}", luts,
                     brams, "-" if accuracy is None else f"{accuracy:.2%}",
                     "*" if point["front"] else ""))
    facts = [("clocks from", "; ".join(sorted({
                 point["calibration"] for point in result["points"]})) or "nothing"),
             ("computed", f"{result['computed']} points, {result['kept']} were there"),
             ("refused", "; ".join(result["refused"]) or "none"),
             *((name, path) for name, path in result["files"].items())]
    return f"{as_columns(rows)}\n\n{as_columns(facts)}"


def add(commands: Commands) -> None:
    """Add the command ``explore`` to those of ``python -m gen``."""
    parser = command(
        commands, "explore", _run,
        "sweep boards, intervals and networks, and show the Pareto front",
        "explore mnist mnist-mlp --boards arty-a7,ulx3s-85f -o build/explore", show=_table)
    parser.add_argument("networks", metavar="NET", nargs="+",
                        help="names of shipped networks, or paths; weights of another width make "
                             "another network (train --bits)")
    parser.add_argument("--boards", type=listed(str), default="arty-a7", metavar="A,B",
                        help="boards to try")
    parser.add_argument("--intervals", type=listed(CLOCKS), metavar="N,N",
                        help="clocks an image to try (default: --points of them from the "
                             "fastest that fits to the slowest that saves LUTs)")
    parser.add_argument("--points", type=integer(2, 1000), default=6, metavar="N",
                        help="intervals for each network, board and code, 2 to 1000")
    parser.add_argument("--codes", type=listed(code), default="phase", metavar="C,C",
                        help="phase, rate or both")
    add_dataset(parser)
    add_calibration(parser, CALIBRATION)
    parser.add_argument("--limit", type=COUNT, metavar="N", default=1000,
                        help="number of test images that the accuracy is measured on")
    parser.add_argument("--scheduler", metavar="ADDRESS",
                        help="a Dask cluster to run on, such as tcp://host:8786 (default: "
                             "processes on this machine)")
    parser.add_argument("--jobs", type=JOBS, metavar="N",
                        help="processes on this machine (default: all cores)")
    parser.add_argument("--synthesise", action="store_true",
                        help="let Yosys check the points of the front")
    parser.add_argument("-o", "--output", metavar="DIR", default="build/explore",
                        help="directory of the finished points and the plots")
