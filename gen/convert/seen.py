"""Facts about modules that explain why they compute something else than their parameters say."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn
from torch.nn.parameter import is_lazy

__all__ = ["seen"]


def seen(root: nn.Module, modules: dict[str, nn.Module]) -> str:
    """Facts about modules that explain why they compute something else."""
    facts = [f"{path or 'it'} ({type(module).__name__}) {fact}"
             for path, module in modules.items() for fact in _facts(root, path, module)]
    facts += [f"all modules have the {fact}" for fact in _hooks(
        torch.nn.modules.module._global_forward_pre_hooks,
        torch.nn.modules.module._global_forward_hooks)]
    return "; ".join(facts[:3]) or ("no hook was seen: forward must depend on its input and "
                                "parameters alone, and change nothing in place that it uses again")


def _hooks(before: Mapping[int, Callable], after: Mapping[int, Callable]) -> Iterator[str]:
    for kind, hooks in ("forward pre-hook", before), ("forward hook", after):
        for hook in hooks.values():
            yield f"{kind} {getattr(hook, '__qualname__', type(hook).__qualname__)}"


def _facts(root: nn.Module, path: str, module: nn.Module) -> Iterator[str]:
    for hook in _hooks(module._forward_pre_hooks, module._forward_hooks):
        yield f"has the {hook}"
    if "forward" in vars(module):
        yield "has had its forward replaced"
    if module.training:
        yield "stays in training mode"
    own = {tensor.data_ptr(): name for name, tensor in (*module.named_parameters(recurse=False),
                                                        *module.named_buffers(recurse=False))
           if not is_lazy(tensor)}
    for other, others in root.named_modules():
        for name, tensor in (*others.named_parameters(recurse=False),
                             *others.named_buffers(recurse=False)):
            if others is module or is_lazy(tensor) or not tensor.numel():
                continue
            if tensor.data_ptr() in own:
                yield f"shares its {own[tensor.data_ptr()]} with {other}.{name}"
