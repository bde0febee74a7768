"""What the integers of a device stand for: real inputs, and the results of the module."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import HostError

__all__ = ["FUNCTIONS", "Meaning", "Result", "load"]


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _log_softmax(x: np.ndarray) -> np.ndarray:
    below = x - x.max(axis=1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=1, keepdims=True))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    # Of the two forms the one whose power does not overflow.
    power = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + power), power / (1 + power))


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda x: x, "softmax": _softmax, "log_softmax": _log_softmax,
    "sigmoid": _sigmoid, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}
"""Last functions of modules, of scores ``(N, classes, ...)``, by their names."""


@dataclass(frozen=True)
class Result:
    """One result of the module.

    Members
    -------
    name : its key or its place; empty if it is the only one
    classes : how many of the logits it takes
    function : what the module does with its scores last, one of :data:`FUNCTIONS`
    """

    name: str
    classes: int
    function: str


@dataclass(frozen=True)
class Meaning:
    """What integers stand for.

    Members
    -------
    step : value of a unit of a logit
    results : of the module
    phases : ``(y, x)`` positions that are spread over classes, channel ``(c * y + j) * x + k``
    between : values of the pixels 0 and ``pixel_max``
    pixel_max : greatest pixel
    """

    step: float
    results: tuple[Result, ...]
    phases: tuple[int, int]
    between: tuple[float, float]
    pixel_max: int

    @classmethod
    def parse(cls, facts: Any, where: str) -> "Meaning":
        """The meaning that a JSON object describes.

        Parameters
        ----------
        where : the file, for messages

        Raises
        ------
        HostError
            If it is damaged.
        """
        try:
            meaning = cls(float(facts["step"]), tuple(
                Result(str(result["name"]), int(result["classes"]), str(result["function"]))
                for result in facts["results"]), _pair(facts["phases"]), _pair(facts["between"]),
                int(facts["pixel_max"]))
            low, high = meaning.between
            sound = (math.isfinite(meaning.step) and meaning.step > 0 and math.isfinite(low)
                     and math.isfinite(high) and low < high and min(meaning.phases) >= 1
                     and meaning.pixel_max >= 1 and bool(meaning.results)
                     and all(result.classes >= 1 and result.function in FUNCTIONS
                             for result in meaning.results))
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise HostError(f"{where}: what its numbers mean is damaged "
                            f"({type(error).__name__}: {error}); build it again") from error
        if not sound:
            raise HostError(f"{where}: what its numbers mean is out of range; build it again")
        return meaning

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Raw pixels for real values, rounded to the nearest; integers are pixels already.

        Raises
        ------
        HostError
            If a value is out of range.
        """
        if values.dtype.kind != "f":
            return values
        low, high = self.between
        if values.size and not (values.min() >= low and values.max() <= high):
            raise HostError(f"real inputs must lie in {low:g}..{high:g}, not {values.min():g}.."
                            f"{values.max():g}")
        share = (values.astype(np.float64) - low) / (high - low)
        return np.floor(share * self.pixel_max + 0.5).astype(np.int64)

    def scores(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """The module's results, by their names, for logits ``(N, classes)`` or ``(N, classes, H,
        W)``: with ``value = logit * step``, and after its last function.

        Raises
        ------
        HostError
            If there are other logits.
        """
        rows, columns = self.phases
        values = logits.astype(np.float64) * self.step
        if values.ndim == 2 and self.phases != (1, 1):
            values = values[:, :, None, None]
        if values.ndim == 4 and self.phases != (1, 1):
            n, c, h, w = values.shape
            blocks = values.reshape(n, c // (rows * columns), rows, columns, h, w)
            values = blocks.transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, h * rows, w * columns)
        if values.shape[1] != sum(result.classes for result in self.results):
            raise HostError(f"there are {values.shape[1]} scores, but the results have "
                            f"{sum(result.classes for result in self.results)}")
        ends = np.cumsum([result.classes for result in self.results])
        parts = np.split(values, ends[:-1], axis=1)
        return {result.name: FUNCTIONS[result.function](part)
                for result, part in zip(self.results, parts, strict=True)}


def load(directory: str | Path) -> Meaning:
    """What the integers of a build's device stand for.

    Raises
    ------
    HostError
        If its network does not say so, because it was not converted from a module.
    """
    path = Path(directory) / "manifest.json"
    facts = json.loads(path.read_text(encoding="utf-8")).get("meaning")
    if facts is None:
        raise HostError(f"{path}: the network does not say what its numbers mean, as networks do "
                        f"that `python -m gen convert` has made: leave --scores out, and give "
                        f"integers")
    return Meaning.parse(facts, str(path))


def _pair(values: Any) -> tuple[Any, Any]:
    first, second = values
    return first, second
