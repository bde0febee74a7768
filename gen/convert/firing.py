"""How a converted network fires: once, or in every time-step (docs/methods.md, 8)."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gen.errors import ConversionError, unknown
from gen.ir.network import Network
from gen.system.progress import working
from hw.dynamics import MOST_STEPS

from .methods import METHODS, OPTIONS, depth_of, enough_steps, levels_of, quiet_steps, stepped

__all__ = ["CALIBRATED", "RELU_LEVELS", "SCHEDULES", "Firing"]

log = logging.getLogger(__name__)

SCHEDULES = ("settle", "step")
"""Neurons fire after all the charge of a sample, or in every time-step."""

RELU_LEVELS = 15
"""Levels of a plain ReLU: four phase planes."""

CALIBRATED = 1000
"""Images that are enough to tell how quiet a network becomes."""

# Methods that take a share of a sample's charge in each of as many time-steps as there are levels.
_LEVELLED = ("threshold-balance", "casc")

_NEED_QUIET = ("casc", "st-bif")

# What `stepped` says in the metadata.
_TOLD = ("method", "schedule", "timesteps", "phases")

# What is asked of a method, and the methods that it can be asked of, if not all.
_ASKED = {"timesteps": (), "sleep": ("casc",), "until_quiet": _NEED_QUIET, **OPTIONS}


@dataclass(frozen=True)
class Firing:
    """A method and its schedule.

    Parameters
    ----------
    method : one of :data:`gen.convert.methods.METHODS`, or ``None``
    schedule : one of :data:`SCHEDULES`; by default ``step`` with a method, and ``settle`` without
    timesteps, sleep : see :func:`gen.convert.methods.stepped`
    until_quiet : whether ``casc`` sleeps, and ``st-bif`` takes time-steps, just until all
        calibration images leave all neurons quiet (:meth:`gen.ir.network.Network.quiet`)
    burst, probe : see :func:`gen.convert.methods.stepped`

    Raises
    ------
    ConversionError
        If they contradict each other.
    """

    method: str | None = None
    schedule: str | None = None
    timesteps: int | None = None
    sleep: int | None = None
    until_quiet: bool = False
    burst: int | None = None
    probe: int | None = None

    def __post_init__(self) -> None:
        if self.schedule not in (None, *SCHEDULES):
            raise ConversionError(unknown("schedule", str(self.schedule), SCHEDULES))
        if self.method is None:
            self._check_no_method()
            return
        if self.method not in METHODS:
            raise ConversionError(unknown("method", self.method, METHODS))
        if self.timesteps is not None and self.timesteps < 1:
            raise ConversionError(f"there must be at least 1 time-step, not {self.timesteps}")
        if self.sleep is not None and self.method != "casc":
            raise ConversionError(f"{self.method} has no steps of sleep; casc has")
        if self.steps:
            self._check_until_quiet()
        else:
            self._check_settle()

    def _check_no_method(self):
        if self.schedule == "step":
            raise ConversionError("the schedule 'step' needs a method (--method)")
        if self.schedule == "settle":
            self._check_settle()
        for name in self._asked:
            suited = " or ".join(_ASKED[name])
            needed = f"--method {suited}" if suited else "a method (--method)"
            raise ConversionError(f"{_flag(name)} needs {needed}")

    def _check_settle(self):
        """The levels of ``threshold-balance`` are its time-steps, in either schedule."""
        step = ("a method and the schedule 'step' (--method, --schedule)" if self.method is None
                else "the schedule 'step' (--schedule)")
        for name in self._asked:
            if (name, self.method) != ("timesteps", "threshold-balance"):
                raise ConversionError(f"in the schedule 'settle' neurons fire once, so "
                                      f"{_flag(name)} means nothing; leave it out, or take {step}")

    def _check_until_quiet(self):
        if not self.until_quiet:
            return
        if self.method not in _NEED_QUIET:
            raise ConversionError(f"{self.method} does not wait until neurons are quiet; "
                                  f"{' and '.join(_NEED_QUIET)} do")
        sought, steps = (("sleep", "sleep steps") if self.method == "casc" else
                         ("timesteps", "time-steps"))
        if sought in self._asked:
            raise ConversionError(f"{_flag(sought)} fixes the number of {steps}, --until-quiet "
                                  f"looks for it; give one of them")

    @property
    def _asked(self):
        """Those of :data:`_ASKED` that are given."""
        return [name for name in _ASKED if getattr(self, name) != getattr(Firing, name)]

    @property
    def steps(self) -> bool:
        """Whether neurons fire in every time-step."""
        return self.method is not None and self.schedule != "settle"

    @property
    def floor(self) -> bool:
        """Whether the neurons of a plain ReLU round down, as the quantiser of ``casc`` does."""
        return self.method == "casc"

    @property
    def balanced(self) -> bool:
        """Whether the greatest activation is the range of a plain ReLU."""
        return self.method == "threshold-balance"

    def levels(self, given: int | None, otherwise: int = RELU_LEVELS) -> int:
        """Levels of plain ReLUs.

        Parameters
        ----------
        given : those that are asked for
        otherwise : those if none are asked for, and the method's time-steps don't say

        Raises
        ------
        ConversionError
            If the method has another number of time-steps.
        """
        if self.method not in _LEVELLED or self.timesteps is None:
            return given or otherwise
        if self.balanced and given not in (None, self.timesteps):
            raise ConversionError(f"threshold-balance has as many levels as time-steps, not "
                                  f"{given} and {self.timesteps}; give one of them")
        return given or self.timesteps

    def applied(self, network: Network, pixels: np.ndarray, floor: frozenset[str] = frozenset()
                ) -> tuple[Network, dict[str, Any]]:
        """The network with its method and schedule in its metadata, and how quiet it becomes.

        Parameters
        ----------
        network : the quantised one
        pixels : raw calibration images
        floor : names of the layers whose neurons round down

        Returns
        -------
        The network, and with a method ``method`` and ``schedule``. If it steps, also ``timesteps``
        (all of them), and with ``one-spike`` ``phases``, those of the only one. With ``casc`` and
        ``st-bif`` also ``quiet_steps``, the last step in which a neuron spikes; ``quiet_bound``,
        the steps of one cycle after which none does, whatever the image; and ``quiet``, the share
        of the images for which all neurons are quiet in the end. There is a warning if it is
        less than 1.

        Raises
        ------
        ConversionError
            As :func:`gen.convert.methods.stepped`; if ``until_quiet`` finds no number of steps.
        """
        if self.method is None:
            return network, {}
        if not self.steps:
            facts = {"method": self.method, "schedule": "settle"}
            return replace(network, metadata={**network.metadata, **facts}), facts
        made = (self._quiet(network, pixels, floor) if self.until_quiet else
                self._stepped(network, floor))
        facts = {name: made.metadata[name] for name in _TOLD if name in made.metadata}
        return made, {**facts, **self._told_quiet(made, pixels)}

    def check(self, network: Network) -> None:
        """Refuse a network that can't fire so, before there is anything to calibrate it with.

        Raises
        ------
        ConversionError
            As :func:`gen.convert.methods.stepped`.
        """
        if self.until_quiet:
            self._wake_steps(network)
        elif self.steps:
            self._stepped(network)

    def _stepped(self, network: Network, floor: frozenset[str] = frozenset()) -> Network:
        return stepped(network, str(self.method), timesteps=self.timesteps, sleep=self.sleep,
                       burst=self.burst, probe=self.probe, floor=floor)

    def _wake_steps(self, network: Network) -> int:
        """The wake steps of a network that is to sleep until all is quiet.

        Raises
        ------
        ConversionError
            If there can't be so many.
        """
        levels = levels_of(network, str(self.method))
        if self.method != "casc":
            return 1
        if self.timesteps not in (None, levels):
            raise ConversionError(f"casc is awake for as many time-steps as the neurons have "
                                  f"levels, {levels}, if it sleeps until all is quiet, "
                                  f"not {self.timesteps}")
        if levels > MOST_STEPS:
            raise ConversionError(f"casc is awake for as many time-steps as the neurons have "
                                  f"levels, {levels}; {MOST_STEPS} are the most: take fewer levels")
        return levels

    def _told_quiet(self, network: Network, pixels: np.ndarray) -> dict[str, Any]:
        """How quiet the network with time-steps becomes; nothing if the method does not wait."""
        if self.method not in _NEED_QUIET:
            return {}
        with working(f"{network.name}: the images in time-steps"):
            last, quiet = quiet_steps(network, pixels if self.until_quiet else pixels[:CALIBRATED])
        if quiet < 1:
            log.warning("warning: after the last time-step neurons still spike in %.2f %% of the "
                        "calibration images, so their counts are not exact; give more %s",
                        100 * (1 - quiet), "sleep" if self.method == "casc" else "time-steps")
        return {"quiet": quiet, "quiet_steps": last, "quiet_bound": _bound(network, self.method)}

    def _quiet(self, network: Network, pixels: np.ndarray, floor: frozenset[str]) -> Network:
        """With the fewest steps after which all images leave all neurons quiet.

        Without charge of the input the steps do not depend on how many there are, so one run with
        as many as there can be tells which is the last with a spike. One without a spike follows.
        """
        method, wake = str(self.method), self._wake_steps(network)
        bound = min(_bound(network, method) + 1, MOST_STEPS)

        def made(steps: int) -> Network:
            if method == "casc":
                return stepped(network, method, sleep=steps - wake, floor=floor)
            return stepped(network, method, timesteps=steps, floor=floor)

        with working(f"{network.name}: the images until all is quiet"):
            last, quiet = quiet_steps(made(bound), pixels)
        if quiet < 1:
            raise ConversionError(f"after {bound} time-steps, the most that there can be, neurons "
                                  f"still spike in {100 * (1 - quiet):.2f} % of the calibration "
                                  f"images; take fewer levels")
        return made(max(last + 1, wake))


def _flag(name):
    return "--" + name.replace("_", "-")


def _bound(network, method):
    return enough_steps(levels_of(network, method), depth_of(network))
