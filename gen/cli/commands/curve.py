"""Accuracy of a network against its time-steps."""

from gen.errors import DataError

from .arguments import COUNT, IMAGES, JOBS, Commands, add_dataset, command, mapping_flags
from .designs import add_design, find_design
from .tables import as_columns

__all__ = ["add"]


def _run(args):
    from gen.report.curve import curve, draw, require_plot
    from gen.verify.simulation import test_set
    _require_rtl(args)
    path = None if args.output is None else require_plot(args.output)
    network, design = find_design(args)
    images, labels = test_set(network, dataset=args.dataset, data_dir=args.data, limit=args.limit)
    result = curve(network, images, labels, dataset=args.dataset, design=design,
                   rtl=args.rtl or 0, jobs=args.jobs)
    if path is not None:
        draw(result, path)
    return result | {"plot": None if path is None else str(path)}


def _require_rtl(args):
    """Refuse options of the Verilog where none is simulated."""
    flags = [*mapping_flags(args), *([] if args.jobs is None else ["--jobs"])]
    if flags and args.rtl is None:
        raise DataError(f"{flags[0]} has no effect without --rtl: leave it out")


def _table(result):
    rtl, images = result["rtl_accuracy"], result["images"]
    rows = [("time-steps", "input", "accuracy", *([] if rtl is None else ["Verilog"])), *(
        (str(step), "charges" if awake else "-", f"{accuracy:.2%}",
         *([] if rtl is None else [_share(rtl[step - 1])]))
        for step, (awake, accuracy) in enumerate(
            zip(result["awake"], result["accuracy"], strict=True), start=1))]
    quantised, float_ = result["accuracy_quantised"], result["accuracy_float"]
    facts = [
        ("network", " ".join(filter(None, (result["network"], result["method"])))),
        ("images", f"{images:,}"),
        *([] if result["images_exact"] is None else
          [("exact", f"{result['images_exact']:,} images: all neurons are quiet in the end")]),
        ("quantised network", "does not follow from this one" if quantised is None
         else f"{quantised:.2%}"),
        ("real numbers", "the network's file does not say" if float_ is None
         else f"{float_:.2%} of all test images"),
        ("Verilog", "not simulated (--rtl)" if rtl is None else
         f"{result['rtl_images']:,} images, {result['mismatches']:,} mismatches"),
        *([("plot", result["plot"])] if result["plot"] else [])]
    return f"{as_columns(rows)}\n\n{as_columns(facts)}"


def _share(accuracy):
    return "-" if accuracy is None else f"{accuracy:.2%}"


def add(commands: Commands) -> None:
    """Add the command ``curve`` to those of ``python -m gen``."""
    parser = command(commands, "curve", _run,
                     "show the accuracy of a network against its time-steps",
                     "curve net.npz --dataset mnist --rtl 100 -o curve.svg", show=_table)
    add_design(parser)
    add_dataset(parser)
    parser.add_argument("--limit", type=COUNT, metavar="N", help="only the first N images")
    parser.add_argument("--rtl", type=IMAGES, metavar="N",
                        help="simulate the Verilog with the first N images, too, for each number "
                             "of time-steps")
    parser.add_argument("--jobs", type=JOBS, metavar="N",
                        help="processes of the simulation (default: all cores)")
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="write a plot, .svg, .png or .pdf")
