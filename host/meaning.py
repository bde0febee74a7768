"""What the integers of a device stand for: real inputs, and the results of the module."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import HostError

__all__ = ["FUNCTIONS", "Meaning", "Result"]


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

_AXES = "NCHW"

_WHOLE = 1 << 53
"""Greatest magnitude of an integer that a float has."""


@dataclass(frozen=True)
class Result:
    """One result of the module.

    Members
    -------
    name : its key or its place; empty if it is the only one
    classes : how many of the logits it takes
    axes : what each of its axes is: samples, ``N``, or classes, rows and columns, letters of
        ``CHW``, several of them if one is in the other; those that are missing have the size 1
    function : what the module does with its scores last, one of :data:`FUNCTIONS`

    Raises
    ------
    ValueError
        If one of them is none such.
    """

    name: str
    classes: int
    axes: tuple[str, ...]
    function: str

    def __post_init__(self) -> None:
        _require(isinstance(self.name, str) and self.name.isprintable(), "a name is no text")
        _require(_natural(self.classes), "classes is not a positive integer")
        letters = "".join(self.axes)
        _require("N" in self.axes and all(self.axes) and set(letters) <= set(_AXES)
                 and len(set(letters)) == len(letters), "axes are none of a result")
        _require("C" in letters or self.classes == 1, "axes lack the classes")
        _require(self.function in FUNCTIONS, "there is no such function")

    def arranged(self, values: np.ndarray) -> np.ndarray:
        """Values ``(N, C, H, W)`` with the axes of the module's own result.

        Raises
        ------
        HostError
            If an axis that it has not is not of size 1.
        """
        sizes = dict(zip(_AXES, values.shape, strict=True))
        order = list(dict.fromkeys("".join(self.axes) + _AXES))
        for axis in order[len("".join(self.axes)):]:
            if sizes[axis] != 1:
                raise HostError(f"there are scores of {values.shape[1:]}, but the result "
                                f"{self.name!r} has the axes {', '.join(self.axes)} alone")
        moved = values.transpose([_AXES.index(axis) for axis in order])
        return moved.reshape([math.prod(sizes[letter] for letter in axis) for axis in self.axes])


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

    Raises
    ------
    ValueError
        If one of them is none such.
    """

    step: float
    results: tuple[Result, ...]
    phases: tuple[int, int]
    between: tuple[float, float]
    pixel_max: int

    def __post_init__(self) -> None:
        _require(_finite(self.step) and self.step > 0 and _finite(float(self.step) * _WHOLE),
                 "step is not a positive number")
        _require(bool(self.results), "there are no results")
        names = [result.name for result in self.results]
        _require(len(set(names)) == len(names), "two results have one name")
        _require(all(map(_natural, self.phases)), "phases are not positive integers")
        low, high = self.between
        _require(_finite(low) and _finite(high) and low < high and _finite(float(high) - low),
                 "between are not two numbers in their order")
        _require(_natural(self.pixel_max) and self.pixel_max < _WHOLE,
                 "pixel_max is not a positive integer")

    @property
    def channels(self) -> int:
        """Logits of each position of the read-out."""
        return sum(result.classes for result in self.results) * math.prod(self.phases)

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
            results = tuple(Result(one["name"], one["classes"], _listed(one["axes"]),
                                   one["function"]) for one in _listed(facts["results"]))
            return cls(facts["step"], results, _pair(facts["phases"]), _pair(facts["between"]),
                       facts["pixel_max"])
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            said = error if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise HostError(f"{where}: what its numbers mean is damaged ({said}); build it "
                            f"again") from error

    @classmethod
    def of_device(cls, facts: Any, where: str, shape: tuple[int, ...]) -> "Meaning":
        """The meaning that a device's manifest states.

        Parameters
        ----------
        facts, where : see :meth:`parse`; there may be none
        shape : of an image's logits

        Raises
        ------
        HostError
            If its network does not say so, because it was not converted from a module; or if what
            it says is damaged.
        """
        if facts is None:
            raise HostError(f"{where}: the network does not say what its numbers mean, as networks "
                            f"do that `python -m gen convert` has made: leave --scores out, and "
                            f"give integers")
        meaning = cls.parse(facts, where)
        try:
            meaning.scores(np.zeros((1, *shape), dtype=np.int64))
        except HostError as error:
            raise HostError(f"{where}: what its numbers mean is damaged ({error}); build it "
                            f"again") from error
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
        low, high = map(float, self.between)
        if values.size and not (values.min() >= low and values.max() <= high):
            raise HostError(f"real inputs must lie in {low:g}..{high:g}, not {values.min():g}.."
                            f"{values.max():g}")
        share = (values.astype(np.float64) - low) / (high - low)
        return np.floor(share * self.pixel_max + 0.5).astype(np.int64)

    def scores(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """The module's results, by their names, with its own axes, for logits ``(N, channels)`` or
        ``(N, channels, H, W)``: with ``value = logit * step``, and after its last function.

        Raises
        ------
        HostError
            If there are other logits.
        """
        n, c, h, w = (*logits.shape, 1, 1)[:4]
        if c != self.channels:
            raise HostError(f"there are {c} scores, but the results have {self.channels}")
        rows, columns = self.phases
        values = logits.astype(np.float64) * float(self.step)
        blocks = values.reshape(n, c // (rows * columns), rows, columns, h, w)
        values = blocks.transpose(0, 1, 4, 2, 5, 3).reshape(
            n, c // (rows * columns), h * rows, w * columns)
        ends = np.cumsum([result.classes for result in self.results])
        parts = np.split(values, ends[:-1], axis=1)
        return {result.name: result.arranged(FUNCTIONS[result.function](part))
                for result, part in zip(self.results, parts, strict=True)}


def _require(sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(what)


def _natural(value: object) -> bool:
    return type(value) is int and value >= 1


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _listed(values: Any) -> tuple[Any, ...]:
    _require(isinstance(values, list), "there is no list where one must be")
    return tuple(values)


def _pair(values: Any) -> tuple[Any, Any]:
    first, second = _listed(values)
    return first, second
