"""Run images or sequences on a device, or show its status.

Packages that are heavy or may be missing are imported when a command needs them.
"""

import json
import sys
import time
from functools import partial

from .errors import HostError
from .terminal import Parser, fail, number, open_streams, put

__all__ = ["main"]

# Blocks of a sequence that are sent before the answer to the first one is waited for.
_UNDER_WAY = 3

# Seconds from one line of progress to the next if standard error is not a terminal.
_PAUSE = 30.0


def _device(args, manifest):
    """The device at the port, as a context."""
    from .ports import open_device
    return open_device(manifest, args.board, args.port, baud=args.baud, timeout=args.timeout)


def _progress(images, what="images"):
    """Iterate, and show the progress on standard error: on a terminal in place, a few times a
    second, elsewhere by a line now and then."""
    terminal = sys.stderr.isatty()
    shown, begun = 0.0 if terminal else time.monotonic(), False
    start, end = ("\r", "") if terminal else ("", "\n")
    try:
        for k, image in enumerate(images, 1):
            yield image
            last = terminal and k == len(images)
            if time.monotonic() - shown > (0.2 if terminal else _PAUSE) or last:
                shown, begun = time.monotonic(), terminal
                print(f"{start}{k} of {len(images)} {what}", end=end, file=sys.stderr, flush=True)
    finally:
        if begun:  # the next text, an error perhaps, begins on a new line
            print(file=sys.stderr, flush=True)


def _inputs(args, manifest):
    """Images, and the labels and logits to compare the answers with, or ``None``."""
    from .arrays import array_of, integers_of
    images = array_of(args.images, "images")
    if images.dtype.kind == "f":
        images = _meaning(manifest).pixels(images)
    if images.ndim:
        if not len(images):
            raise HostError(f"{args.images} has no images")
        images = images[:args.limit]
    counts = manifest.encode(images)
    labels = integers_of(args.labels, "labels", 1)[:args.limit] if args.labels else None
    answers = (len(images), *manifest.logit_shape(counts.shape[2] // manifest.shape[1]))
    logits = (integers_of(args.reference, "logits", len(answers))[:args.limit] if args.reference
              else None)
    for array, path, shape in ((labels, args.labels, (len(images),)),
                               (logits, args.reference, answers)):
        if array is not None and array.shape != shape:
            raise HostError(f"{path}: the shape must be {shape} to match the images, not "
                            f"{array.shape}")
    return images, labels, logits


def _meaning(manifest):
    from .meaning import Meaning
    return Meaning.of_device(manifest.meaning, manifest.path, manifest.logit_shape())


def _infer(args):
    import numpy as np

    from .manifest import load
    manifest = load(args.board)
    images, labels, logits = _inputs(args, manifest)
    meaning = _meaning(manifest) if args.scores else None
    steps = manifest.run_steps(args.timesteps, every=args.every_step)
    with _device(args, manifest) as device:
        start = time.monotonic()
        results = [device.infer(images, timesteps=number, progress=_progress) for number in steps]
        seconds = (time.monotonic() - start) / len(steps)
    result = results[-1]
    report = {
        "images": len(images),
        "timesteps": steps[-1],
        "predictions": result.predictions.tolist(),
        "logits": result.logits.tolist(),
        "cycles": result.cycles.tolist(),
        "cycles_mean": float(result.cycles.mean()),
        "retries": sum(each.retries for each in results),
        "images_per_second": len(images) / seconds,
    }
    if result.exact is not None:
        report["exact"] = result.exact.tolist()
        report["images_exact"] = int(result.exact.sum())
        report["not_quiet"] = {name: int(count) for name, count in zip(
            manifest.settling, (~result.quiet).sum(axis=0), strict=True) if count}
    if labels is not None:
        report["accuracy"] = float(np.mean(result.predictions == labels))
    if args.every_step:
        report["steps"] = [_step(number, each, labels)
                           for number, each in zip(steps, results, strict=True)]
    if logits is not None:
        report["mismatches"] = int(np.count_nonzero(result.logits != logits))
    if meaning is not None:
        scores = meaning.scores(result.logits)
        report["scores"] = {name or "result": values.tolist() for name, values in scores.items()}
    return report


def _stream(args):
    from .arrays import array_of
    from .manifest import load
    manifest = load(args.board)
    elements = array_of(args.elements, "elements")
    if not elements.ndim or not len(elements):
        raise HostError(f"{args.elements} has no elements")
    elements = elements[:args.limit]
    manifest.encode_elements(elements)
    wanted = _wanted(args, manifest, len(elements))
    with _device(args, manifest) as device:
        start = time.monotonic()
        answers = list(_answers(device, elements, None if args.json else put))
        seconds = time.monotonic() - start
    report = {
        "elements": len(elements),
        "answers": [{"elements": answer.elements, "logits": answer.logits.tolist(),
                     "cycles": answer.cycles} for answer in answers],
        "elements_left": len(elements) - sum(answer.elements for answer in answers[-1:]),
        "retries": device.retries,
        "elements_per_second": len(elements) / seconds,
    }
    if wanted is not None:
        report["mismatches"] = sum(int((answer.logits != logits).sum())
                                   for answer, logits in zip(answers, wanted, strict=True))
    return report


def _wanted(args, manifest, elements):
    """The logits of --reference after each block, or ``None``."""
    from .arrays import integers_of
    if args.reference is None:
        return None
    shape = elements // manifest.shape[1], *manifest.answer_shape
    logits = integers_of(args.reference, "logits", len(shape))
    if logits.shape != shape:
        raise HostError(f"{args.reference}: the shape must be {shape}, logits after each block of "
                        f"{manifest.shape[1]} elements, not {logits.shape}")
    return logits


def _answers(device, elements, show):
    """The answers to a sequence, as soon as they are there.

    Parameters
    ----------
    show : prints a line for each answer, or ``None``
    """
    with device.sequence() as sequence:
        for number, element in enumerate(elements, 1):
            sequence.send(element[None])
            while sequence.due > (_UNDER_WAY if number < len(elements) else 0):
                answer = sequence.read()
                if show:
                    show(f"{answer.elements:>8}  {' '.join(map(str, answer.logits.ravel()))}")
                yield answer


def _step(timesteps, result, labels):
    """What a device answers after a number of time-steps."""
    facts = {"timesteps": timesteps, "logits": result.logits.tolist()}
    if result.exact is not None:
        facts["exact"] = result.exact.tolist()
    if labels is not None:
        facts["accuracy"] = float((result.predictions == labels).mean())
    return facts


def _status(args):
    from .manifest import load
    manifest = load(args.board)
    with _device(args, manifest) as device:
        return {**device.status(), "network": manifest.network, "retries": device.retries}


def _load(args):
    from .load import image_words
    from .manifest import load
    manifest = load(args.board)
    image_words(args.image, manifest)
    with _device(args, manifest) as device:
        start = time.monotonic()
        health = device.load(args.image, progress=partial(_progress, what="blocks"))
        seconds = time.monotonic() - start
        return {"network": manifest.network, "memories": str(health), "retries": device.retries,
                "seconds": seconds}


def _devices(args):
    from .devices import devices
    return {"devices": devices(args.baud)}


def _serve(args):
    from .serve import serve
    return serve(args)


def _lines(report):
    """A report for a person: a line for each figure. Only ``--json`` shows long lists."""
    if "devices" in report:
        yield from (f"{device['port']:<20}{device['says']}" for device in report["devices"])
        if not report["devices"]:
            yield "there is no serial port, and no device on PCI Express"
    if "predictions" in report:
        yield " ".join(map(str, report["predictions"]))
    if "exact" in report:
        yield "exact " + " ".join("yes" if exact else "no" for exact in report["exact"])
    for step in report.get("steps", ()):
        shown = f"{step['accuracy']:.6g}" if "accuracy" in step else "-"
        exact = f"   exact {sum(step['exact'])}" if "exact" in step else ""
        yield f"time-step {step['timesteps']:>4}   accuracy {shown}{exact}"
    for name, values in report.get("scores", {}).items():
        yield from (f"{name} " + " ".join(f"{score:.6g}" for score in _flat(each))
                    for each in values)
    for name, value in report.items():
        if name == "scores":
            continue
        if isinstance(value, dict):
            value = ", ".join(f"layer {layer} in {count} {'image' if count == 1 else 'images'}"
                              for layer, count in value.items()) or "none"
        if not isinstance(value, list):
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            yield f"{name.replace('_', ' ') + ' ':<18}{text}"


def _flat(values):
    """The numbers in lists of lists."""
    return [number for value in values for number in _flat(value)] if isinstance(
        values, list) else [values]


def _add_infer(commands, common):
    infer = commands.add_parser("infer", parents=[common], help="send images, get logits")
    infer.add_argument("images", metavar="IMAGES.npy",
                       help="raw images, (N, C, H, W), (N, H, W) or (N, features): integers, or "
                            "real numbers in the range that the network was converted for")
    infer.add_argument("--scores", action="store_true",
                       help="also what the network's module gives: real numbers, after its last "
                            "function")
    infer.add_argument("--limit", type=number(int, "an integer", 1, 10**9), metavar="N",
                       help="only the first N images")
    infer.add_argument("--timesteps", type=number(int, "an integer", 1, 64), metavar="T",
                       help="end each image after T time-steps, of those that the device has")
    infer.add_argument("--every-step", action="store_true",
                       help="also the logits after each time-step before; each image is run as "
                            "often as there are time-steps, and the clocks are those of the "
                            "longest run")
    infer.add_argument("--labels", metavar="LABELS.npy", help="report the accuracy")
    infer.add_argument("--reference", metavar="LOGITS.npy",
                       help="report how many logits differ; the exit status is 1 if any do")
    infer.set_defaults(run=_infer)


def _add_stream(commands, common):
    stream = commands.add_parser("stream", parents=[common],
                                 help="send a sequence element by element, get an answer after "
                                      "each block")
    stream.add_argument("elements", metavar="ELEMENTS.npy",
                        help="raw elements, integers, (K, features) or (K, C, W); the build is one "
                             "with --stream")
    stream.add_argument("--limit", type=number(int, "an integer", 1, 10**9), metavar="N",
                        help="only the first N elements")
    stream.add_argument("--reference", metavar="LOGITS.npy",
                        help="report how many logits differ, of (blocks, classes); the exit status "
                             "is 1 if any do")
    stream.set_defaults(run=_stream)


def _parser():
    common = Parser(add_help=False)
    common.add_argument("--board", metavar="DIR", required=True,
                        help="directory that `python -m gen build` has filled")
    common.add_argument("--port", required=True,
                        help="serial port or pcie:ADDRESS, or 'virtual' or 'virtual-pcie' to "
                             "start the virtual board of DIR")
    common.add_argument("--baud", type=number(int, "an integer", 1, 100_000_000), metavar="N",
                        help="rate of the line, if it is not that of the build")
    common.add_argument("--timeout", type=number(float, "a number", 0.001, 86_400), metavar="S",
                        help="seconds to wait for an answer (0.5; 60 on a virtual board)")
    common.add_argument("--json", action="store_true", help="one JSON object on standard output")

    parser = Parser(prog="python -m host",
                     description="Run images or sequences on a device, or show its status.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_infer(commands, common)
    _add_stream(commands, common)
    load = commands.add_parser("load", parents=[common],
                               help="load weights and thresholds of a network into a device")
    load.add_argument("image", metavar="MEMORY.img",
                      help="memory.img of DIR, a build with --reloadable, or one with --image-only")
    load.set_defaults(run=_load)
    serve = commands.add_parser("serve", parents=[common],
                                help="serve a page on which images are drawn and seen to go "
                                     "through a device, until Ctrl-C; its address is printed")
    serve.add_argument("--listen", type=number(int, "an integer", 0, 65535), metavar="N",
                       default=8000,
                       help="port of 127.0.0.1 for the page (8000; 0 takes a free one)")
    serve.set_defaults(run=_serve)
    devices = commands.add_parser("devices", help="list the devices that are there, and what each "
                                                  "says of itself")
    devices.add_argument("--baud", type=number(int, "an integer", 1, 100_000_000), metavar="N",
                         default=1_000_000, help="rate at which serial ports are asked (1000000)")
    devices.add_argument("--json", action="store_true", help="one JSON object on standard output")
    devices.set_defaults(run=_devices)
    status = commands.add_parser("status", parents=[common],
                                 help="show the status of a device")
    status.set_defaults(run=_status)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        open_streams()
        if sys.stdout is None:
            return fail("standard output is closed; redirect it to a file or to /dev/null")
        args = _parser().parse_args(arguments)
        report = args.run(args)
        put(json.dumps(report) if args.json else "\n".join(_lines(report)))
    except HostError as error:
        return fail(error)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in ("numpy", "serial"):
            raise
        return fail(f"the Python package {package} is missing: pip install spikeloom[host]")
    except BrokenPipeError:
        return 1
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}" if error.filename else error)
    except MemoryError as error:
        return fail(f"there is not enough memory: {error}")
    except KeyboardInterrupt:
        return 130
    return 1 if report.get("mismatches") else 0
