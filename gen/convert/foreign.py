"""Classes of other libraries: activations that are read like Qcfs, and layers that simulate
time."""

import operator
from dataclasses import dataclass

import torch
from torch import nn

from gen.errors import ConversionError

__all__ = ["Activation", "refuse_spiking"]

_SPIKING = {"spikingjelly": "SpikingJelly", "snntorch": "snnTorch", "norse": "Norse",
            "sinabs": "Sinabs"}
"""Packages whose layers simulate neurons step by step, and their names."""


@dataclass(frozen=True)
class Activation:
    """A QCFS-like activation class of another library, and how its step and levels are read.

    Parameters
    ----------
    name : the class, ``"QCFS"``, also with its module's name or the end of it, ``"mypkg.act.QCFS"``
    step : attribute that holds the step, or a quotient of two: ``"step"``, ``"thresh/L"``
    levels : attribute that holds the greatest count, or an integer: ``"L"``, ``"7"``
    floor : whether values are rounded down to whole steps, and not to the nearest
    """

    name: str
    step: str = "step"
    levels: str = "levels"
    floor: bool = False

    @classmethod
    def parse(cls, text: str) -> "Activation":
        """The activation that the text ``CLASS``, ``CLASS,STEP``, ``CLASS,STEP,LEVELS`` or
        ``CLASS,STEP,LEVELS,floor`` names.

        Raises
        ------
        ConversionError
            If the text has another form.
        """
        parts = [part.strip() for part in text.split(",")]
        floor = len(parts) == 4 and parts.pop() == "floor"
        if len(parts) > 3 or not all(parts):
            raise ConversionError(f"activation must be CLASS,STEP,LEVELS such as QCFS,thresh/L,L, "
                                  f"with ,floor at the end if it rounds down, not {text!r}")
        names = dict(zip(("name", "step", "levels"), parts, strict=False))
        return cls(**names, floor=floor)

    def matches(self, module: nn.Module) -> bool:
        """Whether ``module`` is of this very class."""
        full = f"{type(module).__module__}.{type(module).__qualname__}"
        return full == self.name or full.endswith("." + self.name)

    def require(self, module: nn.Module) -> None:
        """Refuse a module that has no such activation anywhere in it.

        Raises
        ------
        ConversionError
            The message lists the classes that the module has.
        """
        inside = list(module.modules())
        if not any(map(self.matches, inside)):
            kinds = sorted({type(m).__qualname__ for m in inside if not list(m.children())})
            raise ConversionError(f"activation {self.name!r}: no layer of the module is of this "
                                  f"class; its layers are {', '.join(kinds[:20])}")

    def read(self, module: nn.Module, path: str) -> tuple[torch.Tensor, int]:
        """Steps and levels of ``module``, which lies at ``path``: one step, or one for each
        channel, ``(C,)`` in float64.

        Raises
        ------
        ConversionError
            If an attribute holds no numbers, a step is not positive and finite, or the levels are
            no integer in 1..65535.
        """
        numerator, _, denominator = self.step.partition("/")
        step = _attribute(module, numerator, path)
        if denominator:
            step = step / _attribute(module, denominator, path)
            step[step.isinf()] = float("nan")  # of a divisor that is 0
        wrong = step[~((step > 0) & (step < float("inf")))].tolist()
        if wrong:
            raise ConversionError(f"{path}: the step {self.step!r} must be positive, not "
                                  f"{wrong[0]!r}")
        first, *others = _attribute(module, self.levels, path).tolist()
        if any(other != first for other in others):
            raise ConversionError(f"{path}: the levels {self.levels!r} must be one number for all "
                                  f"channels")
        levels = float(first)
        if not 1 <= levels <= 65535 or levels != int(levels):
            raise ConversionError(f"{path}: the levels {self.levels!r} must be an integer in "
                                  f"1..65535, not {levels!r}")
        return step, int(levels)


def _attribute(module: nn.Module, name: str, path: str) -> torch.Tensor:
    """A number, or a dotted attribute of ``module`` that holds one, or one for each channel; as
    ``(1,)`` or ``(C,)``."""
    name = name.strip()
    try:
        return torch.tensor([float(name)], dtype=torch.float64)
    except ValueError:
        pass
    try:
        value = torch.as_tensor(operator.attrgetter(name)(module)).detach().double()
        if value.numel() != max((1, *value.shape)):
            raise ValueError(f"{tuple(value.shape)} has several axes")
    except (AttributeError, TypeError, ValueError, RuntimeError):
        raise ConversionError(f"{path} ({type(module).__name__}): attribute {name!r} must be one "
                              f"number, or one for each channel; say how the step and the levels "
                              f"are read") from None
    return value.flatten()


def refuse_spiking(module: nn.Module, activation: Activation | None = None) -> None:
    """Refuse a module with layers that simulate neurons over time.

    Layers of a package are recognised by its name, the ``IF`` of QCFS by its attributes.

    Raises
    ------
    ConversionError
        The message names the layer's path and kind, and says what to convert instead.
    """
    for path, child in module.named_modules():
        where = f"{path or 'the top module'} ({type(child).__name__})"
        for package in (cls.__module__.partition(".")[0] for cls in type(child).__mro__):
            if package in _SPIKING:
                raise ConversionError(
                    f"{where}: is a layer of {_SPIKING[package]}, which simulates neurons step by "
                    f"step; such networks can't be converted: give a network with Qcfs or ReLU as "
                    f"its activations, whose integers will spike")
        steps = getattr(child, "T", None)
        quantised = hasattr(child, "thresh") and hasattr(child, "L")
        if type(steps) is int and steps > 0 and (
                quantised or (activation is not None and activation.matches(child))):
            raise ConversionError(
                f"{where}: is built with T={steps} and simulates {steps} time-steps; build it with "
                f"T=0, as it was trained, which the integers compute exactly")
