"""Networks of torchvision by their names, with weights of the user's. Nothing is downloaded."""

from collections.abc import Mapping

import torch
from torch import nn

from gen.errors import ConversionError, unknown

from .usercode import first_line

__all__ = ["PREFIX", "from_torchvision"]

PREFIX = "torchvision:"
"""What a target of ``convert`` begins with, if the name of a network follows."""


def from_torchvision(target: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network ``torchvision:NAME``, with as many classes as a state has; without the weights.

    Parameters
    ----------
    state : tensors by their names, as :func:`.userfiles.read_state` reads them

    Raises
    ------
    ConversionError
        If there is no such network, or torchvision does not go with PyTorch.
    ImportError
        If torchvision is missing.
    """
    try:
        from torchvision import models
    except RuntimeError as error:  # an operator in C++ that it can't register
        raise ConversionError(f"torchvision can't be imported ({first_line(error)}); install the "
                              f"one that goes with PyTorch {torch.__version__}") from error
    name, known = target.removeprefix(PREFIX), models.list_models(module=models)
    if name not in known:
        raise ConversionError(unknown("network of torchvision", name, known))
    module = models.get_model(name, weights=None)
    *_, (last, scores) = module.state_dict().items()
    given = state.get(last, scores)
    if given.dim() == 1 and given.shape != scores.shape:
        module = models.get_model(name, weights=None, num_classes=len(given))
    return module
