"""NIR files: the options of ``convert`` for them, and the command ``export-nir``."""

from argparse import ArgumentParser, Namespace
from typing import Any

from gen.errors import ConversionError

from .arguments import Commands, add_network, command, find_network, real

__all__ = ["add", "add_reading", "is_nir", "refuse_reading", "run_nir"]

_READING = ("origin", "reset", "discretisation", "dt")

# Options of convert that mean nothing for a network that spikes already.
_OTHERS = ("weights", "levels", "activation", "method", "schedule", "sleep", "burst", "probe",
           "until_quiet", "labels")


def is_nir(target: str) -> bool:
    """Whether a target of ``convert`` is a NIR file, by its suffix."""
    return target.lower().endswith(".nir")


def add_reading(parser: ArgumentParser) -> None:
    """Add the options for what NIR leaves open."""
    parser.add_argument("--origin", metavar="O", choices=("nir", "snntorch", "spikingjelly",
                                                          "sinabs"),
                        help="of a .nir file: whose neurons it means. nir: reset to v_reset, spike "
                             "above the threshold; snntorch: the threshold is subtracted a "
                             "time-step later; spikingjelly: reset to v_reset, spike at the "
                             "threshold; sinabs: subtracts, several spikes (default: nir)")
    parser.add_argument("--reset", metavar="R", choices=("zero", "subtract", "delayed"),
                        help="of a .nir file: another reset (default: that of --origin)")
    parser.add_argument("--discretisation", metavar="D", choices=("euler", "exponential"),
                        help="of a .nir file: how a time-step follows from the time constants "
                             "(default: euler)")
    parser.add_argument("--dt", metavar="S", type=real(1e-9, 1e3),
                        help="of a .nir file: seconds of a time-step (default: 0.0001, or 1 if all "
                             "IF have r 1 and no time constant is below 1)")


def run_nir(args: Namespace) -> dict[str, Any]:
    """What ``convert`` does with a NIR file."""
    from gen.convert.spiking.from_nir import convert_nir
    for name in _OTHERS:
        if getattr(args, name):
            raise ConversionError(f"{args.target}: spikes already, so --{name.replace('_', '-')} "
                                  f"means nothing; leave it out")
    reading = {name: getattr(args, name) for name in _READING if getattr(args, name) is not None}
    return convert_nir(args.target, calibration=args.calibration, out=args.output, name=args.name,
                       bits=args.bits, input_levels=args.input_levels, pixel_max=args.pixel_max,
                       timesteps=args.timesteps, require_agreement=args.require_agreement,
                       **reading)


def refuse_reading(args: Namespace) -> None:
    """Refuse the options of :func:`add_reading` for what is no NIR file.

    Raises
    ------
    ConversionError
        If one is given.
    """
    for name in _READING:
        if getattr(args, name) is not None:
            raise ConversionError(f"--{name} is for .nir files; leave it out")


def _export(args):
    from gen.convert.spiking.export import export_nir
    return export_nir(find_network(args.network), args.output)


def add(commands: Commands) -> None:
    """Add the command ``export-nir`` to those of ``python -m gen``."""
    parser = command(commands, "export-nir", _export, "write a network as NIR",
                     "export-nir net.npz -o net.nir")
    add_network(parser)
    parser.add_argument("-o", "--output", metavar="NET.nir", required=True,
                        help="file that the graph is written to")
