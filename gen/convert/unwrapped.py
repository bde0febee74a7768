"""Modules without what others have put around or into them: wrappers, and observers of
quantisation-aware training."""

from typing import Any

from torch import fx, nn
from torch.ao.quantization import FakeQuantizeBase, ObserverBase

from gen.errors import ConversionError

__all__ = ["unobserved", "unwrapped"]

_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module",
             "DistributedDataParallel": "module"}
"""Classes that wrap a module, and the attributes that hold it."""

_OBSERVER = "activation_post_process"
"""The attribute that holds what observes a module's results, from a hook."""


def unwrapped(module: nn.Module) -> nn.Module:
    """The module in float32 and in evaluation mode, without what wraps it (``torch.compile``,
    ``DataParallel``).

    Raises
    ------
    ConversionError
        If it or a part of it was scripted, or has a name that torch.fx can't write.
    """
    kinds = [cls.__name__ for cls in type(module).__mro__]
    for path, part in module.named_modules():
        if any(cls.__name__ == "ScriptModule" for cls in type(part).__mro__):
            what = f"the submodule {path!r}" if path else "the module"
            raise ConversionError(f"{what} is a ScriptModule, whose code can't be traced; return "
                                  f"the Python module that it was made of")
    for wrapper in (name for name in kinds if name in _WRAPPERS):
        return unwrapped(getattr(module, _WRAPPERS[wrapper]))
    module.eval()
    module = module.float()
    for path, _ in module.named_modules():
        if not path.isprintable() or set(path) & set("\"'\\") or path in vars(fx.GraphModule):
            raise ConversionError(f"the submodule {path!r} has a name that torch.fx can't write "
                                  f"down, or uses itself; use letters, digits and underscores, "
                                  f"and no attribute of torch.fx.GraphModule")
    return module


def unobserved(module: nn.Module, path: str = "") -> nn.Module:
    """The module, which lies at ``path``, without observers of quantisation-aware training in it,
    and with plain layers in the place of those whose weights such a training would quantise.

    Raises
    ------
    ConversionError
        If its values are quantised now.
    """
    for name, child in list(module.named_children()):
        inner = f"{path}.{name}".lstrip(".")
        if name != _OBSERVER and isinstance(child, ObserverBase | FakeQuantizeBase):
            _require_idle(child, inner)
            if name != "weight_fake_quant":
                setattr(module, name, nn.Identity())
        else:
            setattr(module, name, unobserved(child, inner))
    observer = getattr(module, _OBSERVER, None)
    if isinstance(observer, ObserverBase | FakeQuantizeBase) and not isinstance(
            module, FakeQuantizeBase):
        _require_idle(observer, f"{path}.{_OBSERVER}")
        for key, hook in list(module._forward_hooks.items()):
            if "observer" in getattr(hook, "__name__", ""):
                del module._forward_hooks[key]
        delattr(module, _OBSERVER)
    if hasattr(module, "weight_fake_quant") and hasattr(module, "to_float"):
        to_float: Any = module.to_float
        return to_float().eval()
    return module


def _require_idle(observer: nn.Module, path: str) -> None:
    """Refuse what changes values."""
    if isinstance(observer, FakeQuantizeBase) and int(observer.fake_quant_enabled[0]):
        raise ConversionError(
            f"{path}: quantises values while it is trained, in another way than neurons do: switch "
            f"it off, module.apply(torch.ao.quantization.disable_fake_quant), or return the module "
            f"before it was prepared, which the same weights fit if nothing was fused")
