"""The options of commands that write a network: how it fires."""

from argparse import ArgumentParser, Namespace
from typing import Any

from .arguments import integer

__all__ = ["add_firing", "firing_options"]

_STEPS = 64

# What --until-quiet looks for, by the method.
_SOUGHT = {"casc": "steps of sleep", "st-bif": "time-steps"}


def add_firing(parser: ArgumentParser, methods: tuple[str, ...], text: str) -> None:
    """Add the options.

    Parameters
    ----------
    methods : that the command offers
    text : the help of --method
    """
    parser.add_argument("--method", metavar="M", choices=methods, help=text)
    parser.add_argument("--schedule", metavar="S", choices=("settle", "step"),
                        help="step: neurons fire in every time-step; settle: they fire after all "
                             "the charge of a sample, as the quantised network of the method "
                             "(default: step with --method, else settle)")
    parser.add_argument("--timesteps", type=integer(1, _STEPS), metavar="T",
                        help="time-steps of the method, of casc those of wake; with "
                             "threshold-balance and casc neurons get as many levels" + (
                            "; of one-spike the phases of its only time-step"
                            if "one-spike" in methods else ""))
    parser.add_argument("--sleep", type=integer(0, _STEPS), metavar="N",
                        help="further time-steps of each cycle of casc, in which spikes alone "
                             "charge (default: as many as are enough)")
    sought = " or ".join(f"{what} ({method})" for method, what in _SOUGHT.items()
                         if method in methods)
    parser.add_argument("--until-quiet", action="store_true",
                        help=f"take the fewest {sought} after which no calibration image leaves a "
                             "neuron that would spike")


def firing_options(args: Namespace) -> dict[str, Any]:
    """Those of :func:`add_firing`, as keyword arguments of ``convert`` and ``train``."""
    return {name: getattr(args, name)
            for name in ("method", "schedule", "timesteps", "sleep", "until_quiet")}
