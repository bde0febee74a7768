"""The options of a conversion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen.errors import ConversionError
from gen.ir.exact import check_pixels

from .firing import Firing
from .foreign import Activation
from .scale import InputScale
from .widths import Bits

__all__ = ["Options", "check_counts"]


@dataclass(frozen=True)
class Options:
    """What :func:`gen.convert.conversion.convert` may be told.

    Members
    -------
    bits : weight widths (:func:`.widths.layer_bits`)
    levels : greatest spike count of the neurons of a plain ReLU, see :meth:`.firing.Firing.levels`
    input_levels, pixel_max : greatest count of a pixel, and its greatest raw value
    activation : ``CLASS,STEP,LEVELS`` of another library's :class:`~.foreign.Activation`
    require_agreement : least ``agreement``; by default a warning comes below
        :data:`.accuracy.AGREEMENT`
    between, mean, std : see :meth:`.scale.InputScale.given`
    tune : options of :class:`.tuning.Tuning`, if the network is to be tuned
    method, schedule, timesteps, sleep, until_quiet, burst, probe : see :class:`.firing.Firing`; a
        network that spikes already has ``timesteps`` alone

    Raises
    ------
    ConversionError
        If they contradict each other.
    NetworkError
        If counts or pixels are out of range.
    """

    bits: Bits = 8
    levels: int | None = None
    input_levels: int = 255
    pixel_max: int = 255
    activation: str | None = None
    require_agreement: float | None = None
    between: Sequence[float] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    tune: Mapping[str, Any] | None = None
    method: str | None = None
    schedule: str | None = None
    timesteps: int | None = None
    sleep: int | None = None
    until_quiet: bool = False
    burst: int | None = None
    probe: int | None = None

    def __post_init__(self) -> None:
        check_counts(self.levels, self.input_levels)
        check_pixels(self.input_levels, self.pixel_max)
        # What is wrong is said before the work.
        _ = self._fires(None if self.method is None else self.timesteps), self.scale, self.foreign

    def _fires(self, timesteps: int | None) -> Firing:
        return Firing(self.method, self.schedule, timesteps, self.sleep, self.until_quiet,
                      self.burst, self.probe)

    @property
    def firing(self) -> Firing:
        """How neurons fire. Time-steps need a method."""
        return self._fires(self.timesteps)

    @property
    def foreign(self) -> Activation | None:
        """The activation of another library."""
        return Activation.parse(self.activation) if self.activation else None

    @property
    def scale(self) -> InputScale:
        """What the module is given for the least and for the greatest count."""
        return InputScale.given(self.between, self.mean, self.std)

    def require_none_of_neurons(self, labels: str | Path | None) -> None:
        """Refuse what says how neurons are made, for a module that has them, and labels, because
        its spikes are compared.

        Raises
        ------
        ConversionError
            If there is one of these options.
        """
        made = {"--method": self.method, "--schedule": self.schedule, "--levels": self.levels,
                "--activation": self.activation, "--sleep": self.sleep, "--burst": self.burst,
                "--probe": self.probe, "--until-quiet": self.until_quiet or None,
                "--range": self.between, "--mean": self.mean, "--std": self.std,
                "tuning": self.tune, "--labels": labels}
        for option, value in made.items():
            if value is not None:
                raise ConversionError(f"the module has neurons that spike already, so {option} "
                                      f"means nothing; leave it out")


def check_counts(levels: int | None, input_levels: int) -> None:
    """Refuse levels that are no integers in 1..65535.

    Raises
    ------
    ConversionError
        The message names which.
    """
    for value, what in ((levels, "levels"), (input_levels, "input_levels")):
        if value is not None and (type(value) is not int or not 1 <= value <= 65535):
            raise ConversionError(f"{what} must be an integer in 1..65535, not {value!r}")
