"""``python -m host``: run images on a device, or ask it how it is."""

import argparse
import json
import sys
import time

import numpy as np

from .device import Device
from .errors import HostError
from .manifest import load
from .transport import open_port

__all__ = ["main"]

# A simulated line is slower than a real one by what the simulation is slower than the clock; it
# can't lose anything, and if the process dies, that is noticed at once.
_PATIENCE = {"virtual": 60.0}
_SERIAL_PATIENCE = 0.5


def _array(path, what):
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, SyntaxError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise HostError(f"{path}: {what} must be a .npy file without pickled objects "
                        f"({reason})") from error


def _integers(path, what, ndim):
    """An array of integers with so many axes."""
    array = _array(path, what)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu" or array.ndim != ndim:
        raise HostError(f"{path}: {what} must be one array of integers with {ndim} "
                        f"{'axis' if ndim == 1 else 'axes'}")
    return array


def _device(args, manifest, transport):
    patience = args.timeout or _PATIENCE.get(args.port, _SERIAL_PATIENCE)
    return Device(transport, manifest, patience=patience)


def _progress(images):
    """Says on standard error how far it is, a few times a second."""
    shown = 0.0
    for k, image in enumerate(images, 1):
        yield image
        if time.monotonic() - shown > 0.2 or k == len(images):
            shown = time.monotonic()
            end = "\n" if k == len(images) else ""
            print(f"\r{k} of {len(images)} images", end=end, file=sys.stderr, flush=True)


def _inputs(args, manifest):
    """Images, and what to compare the answers with: labels and logits, or ``None``."""
    images = _array(args.images, "images")
    if not isinstance(images, np.ndarray):
        raise HostError(f"{args.images}: images must be one array, not an archive")
    if images.ndim:
        images = images[:args.limit]
    manifest.encode(images[:0] if images.ndim else images)
    labels = _integers(args.labels, "labels", 1)[:args.limit] if args.labels else None
    logits = _integers(args.reference, "logits", 2)[:args.limit] if args.reference else None
    classes = manifest.registers["classes"]
    for array, path, shape in ((labels, args.labels, (len(images),)),
                               (logits, args.reference, (len(images), classes))):
        if array is not None and array.shape != shape:
            raise HostError(f"{path}: the shape must be {shape}, as of the images, not "
                            f"{array.shape}")
    return images, labels, logits


def _infer(args):
    manifest = load(args.board)
    images, labels, logits = _inputs(args, manifest)
    with open_port(args.port, args.baud or manifest.baud, args.board) as transport:
        start = time.monotonic()
        result = _device(args, manifest, transport).infer(images, progress=_progress)
        seconds = time.monotonic() - start
    report = {
        "images": len(images),
        "predictions": result.predictions.tolist(),
        "logits": result.logits.tolist(),
        "cycles": result.cycles.tolist(),
        "cycles_mean": float(result.cycles.mean()) if len(images) else 0.0,
        "retries": result.retries,
        "images_per_second": len(images) / seconds,
    }
    if labels is not None and len(images):
        report["accuracy"] = float(np.mean(result.predictions == labels))
    if logits is not None:
        report["mismatches"] = int(np.count_nonzero(result.logits != logits))
    return report


def _status(args):
    manifest = load(args.board)
    with open_port(args.port, args.baud or manifest.baud, args.board) as transport:
        device = _device(args, manifest, transport)
        return {**device.status(), "network": manifest.network, "retries": device.retries}


def _say(report):
    """A report for a person: a line for each figure; long lists are for ``--json``."""
    if "predictions" in report:
        print(*report["predictions"])
    for name, value in report.items():
        if not isinstance(value, list):
            print(f"{name.replace('_', ' '):<18}{value:.6g}" if isinstance(value, float)
                  else f"{name.replace('_', ' '):<18}{value}")


def _positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _seconds(text):
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


_positive.__name__, _seconds.__name__ = "positive integer", "positive number"


def _parser():
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--board", metavar="DIR", required=True,
                        help="what `python -m gen build` has written for the device")
    common.add_argument("--port", required=True,
                        help="serial port, or 'virtual' to start the virtual board of DIR")
    common.add_argument("--baud", type=_positive, metavar="N",
                        help="rate of the line, if it isn't the one that DIR was built for")
    common.add_argument("--timeout", type=_seconds, metavar="S",
                        help="seconds to wait for an answer (0.5; 60 on a virtual board)")
    common.add_argument("--json", action="store_true", help="one JSON object on standard output")

    parser = argparse.ArgumentParser(prog="python -m host", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    infer = commands.add_parser("infer", parents=[common], help="send images, get logits")
    infer.add_argument("images", metavar="IMAGES.npy",
                       help="raw images, integers, (N, C, H, W) or (N, H, W)")
    infer.add_argument("--limit", type=_positive, metavar="N", help="only the first N images")
    infer.add_argument("--labels", metavar="LABELS.npy", help="report the accuracy")
    infer.add_argument("--reference", metavar="LOGITS.npy",
                       help="report how many logits differ; the exit status is 1 if any do")
    infer.set_defaults(run=_infer)
    status = commands.add_parser("status", parents=[common],
                                 help="show what a device says of itself")
    status.set_defaults(run=_status)
    return parser


def main(arguments=None) -> int:
    """Run the command line; gives the exit status."""
    args = _parser().parse_args(arguments)
    try:
        report = args.run(args)
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    if args.json:
        print(json.dumps(report))
    else:
        _say(report)
    return 1 if report.get("mismatches") else 0


if __name__ == "__main__":
    sys.exit(main())
