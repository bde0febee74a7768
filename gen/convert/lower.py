"""A PyTorch module as a list of layers: synapses, neurons, pools and a read-out.

``torch.fx`` traces the module. An interpreter then runs its graph on descriptions instead of
tensors. There are two kinds of descriptions:

* a :class:`Map` of spike counts, ``value = counts * step * factor`` (``factor`` is the division of
  the average poolings on the way, which the receiving weights absorb, docs/methods.md, 4);
* a :class:`Charge`, a sum of convolutions of maps and a bias: what membranes receive.

Convolutions turn a map into a charge, batch norm scales a charge, an addition concatenates charges
(a map that is added becomes the charge of a diagonal 1x1 convolution), and an activation turns a
charge into the map of a new layer.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import fx, nn
from torch.nn import functional as F

from ..errors import ConversionError
from ..ir.layers import INPUT, Pool
from .foreign import Activation, refuse_spiking
from .qcfs import Qcfs
from .usercode import first_line

__all__ = ["SUPPORTED", "Term", "Fire", "Out", "Place", "Lowered", "lower", "require_plain"]

SUPPORTED = ("supported are Conv2d (zero padding, dilation 1), Linear, BatchNorm1d/2d, AvgPool2d, "
             "MaxPool2d, AdaptiveAvgPool2d(1), Flatten, Dropout, Identity, residual additions, "
             "Qcfs and ReLU")


@dataclass(frozen=True)
class Term:
    """One convolution of one map. ``weight`` is ``(O, I / groups, KY, KX)`` and real.

    ``source`` is the layer that sends the counts, ``step`` the layer whose step they have. An
    ``identity`` is the diagonal of a residual connection. It is not trained, and has as many bits
    as it needs.
    """

    path: str
    source: str
    step: str
    factor: float
    weight: torch.Tensor
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    identity: bool = False


@dataclass(frozen=True)
class Fire:
    """Neurons: ``n = clip(floor(charge / step + 1/2), 0, levels)``.

    ``step`` and ``levels`` are None for a ReLU until its range is calibrated. ``activation`` is the
    path of the module that has them. Layers that share the module share its step.
    """

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor
    activation: str | None
    step: float | None
    levels: int | None

    @property
    def key(self) -> tuple[str | None, str | None]:
        """A key that is equal for layers that share a step."""
        return (self.activation, None) if self.activation is not None else (None, self.name)


@dataclass(frozen=True)
class Out:
    """The read-out: the charge of the last layer, which never fires."""

    name: str
    terms: tuple[Term, ...]
    bias: torch.Tensor


@dataclass(frozen=True)
class Place:
    """Where the traced module computes a layer's result: the name of a node of its graph, the shape
    ``(C, H, W)`` of the result, and the ``factor`` of a :class:`Map`."""

    node: str
    shape: tuple[int, int, int]
    factor: float = 1.0


@dataclass(frozen=True)
class Lowered:
    """Result of :func:`lower`: the layers in order, the traced module, and the place of each layer
    in it, by the layer's name."""

    layers: tuple[Fire | Pool | Out, ...]
    input_shape: tuple[int, int, int]
    module: fx.GraphModule
    places: Mapping[str, Place]

    def replace(self, layers: Iterable) -> "Lowered":
        return replace(self, layers=tuple(layers))


@dataclass(frozen=True)
class Map:
    source: str
    step: str
    factor: float
    shape: tuple[int, int, int]
    flat: bool


@dataclass(frozen=True)
class Charge:
    terms: tuple[Term, ...]
    bias: torch.Tensor
    shape: tuple[int, int, int]
    flat: bool

    def scaled(self, gain: torch.Tensor, shift: torch.Tensor) -> "Charge":
        terms = tuple(replace(t, weight=t.weight * gain[:, None, None, None]) for t in self.terms)
        return replace(self, terms=terms, bias=self.bias * gain + shift)


_SIZES, _BATCH = object(), object()
"""The value of ``x.shape`` and ``x.shape[0]`` inside the interpreter."""


def lower(module: nn.Module, input_shape: tuple[int, ...],
          activation: Activation | None = None) -> Lowered:
    """Trace ``module`` and lower it to layers.

    Parameters
    ----------
    module : is put into evaluation mode; dropouts vanish, batch norms are folded
    input_shape : of one sample: ``(C, H, W)``, or ``(features,)`` for a module that takes vectors
    activation : QCFS-like class of another library, treated as a :class:`~gen.convert.qcfs.Qcfs`

    Raises
    ------
    ConversionError
        With the path and type of the module (or the function) that has no counterpart, and why.
    """
    module.eval()
    refuse_spiking(module, activation)
    if activation is not None:
        activation.require(module)
    try:
        graph = _Tracer(activation).trace(module)
    except (Exception, SystemExit) as error:
        raise ConversionError(f"torch.fx can't trace {type(module).__name__} "
                              f"({type(error).__name__}: {first_line(error)}); forward must be "
                              f"free of data-dependent control flow") from error
    traced = fx.GraphModule(module, graph)
    traced.graph.eliminate_dead_code()
    lowering = _Lowering(traced, activation)
    flat = len(input_shape) == 1
    shape = (*input_shape, 1, 1) if flat else tuple(input_shape)
    with torch.no_grad():
        out = lowering.run(Map(INPUT, INPUT, 1.0, shape, flat))
    lowering.finish(out)
    return Lowered(tuple(lowering.layers), shape, traced, lowering.places)


def require_plain(module: nn.Module) -> None:
    """Refuse modules that can't be traced: wrappers, numbers that are not float32, names that are
    not Python identifiers.

    Raises
    ------
    ConversionError
        With what to return instead.
    """
    wrapper = next((cls.__name__ for cls in type(module).__mro__ if cls.__name__ in _WRAPPERS),
                   None)
    if wrapper:
        raise ConversionError(f"the module is a {wrapper}; {_WRAPPERS[wrapper]}")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype is not torch.float32:
            raise ConversionError(f"{name}: is {str(tensor.dtype).removeprefix('torch.')}; modules "
                                  f"are converted in float32: return module.float()")
    for path, _ in module.named_modules():
        if not path.isprintable() or set(path) & set("\"'\\"):
            raise ConversionError(f"the submodule {path!r} has a name that torch.fx can't write "
                                  f"down; use letters, digits and underscores")


class _Tracer(fx.Tracer):
    def __init__(self, activation: Activation | None):
        super().__init__()
        self._activation = activation

    def is_leaf_module(self, m: nn.Module, path: str) -> bool:
        foreign = self._activation is not None and self._activation.matches(m)
        return foreign or isinstance(m, Qcfs) or super().is_leaf_module(m, path)


class _Lowering(fx.Interpreter):
    """Runs a graph on :class:`Map` and :class:`Charge`; collects the layers."""

    def __init__(self, module: fx.GraphModule, activation: Activation | None):
        super().__init__(module)
        self.extra_traceback = False
        self.layers, self.places = [], {}
        self._activation = activation
        self._names = {INPUT}
        self._inputs = 0
        self._node, self._where = None, ""

    # Methods that the interpreter calls, one for each kind of node.

    def run_node(self, n: fx.Node):
        self._node = n
        return super().run_node(n)

    def placeholder(self, target, args, kwargs):
        self._inputs += 1
        if self._inputs > 1:
            raise ConversionError(f"input {target!r}: a network has one input")
        return super().placeholder(target, args, kwargs)

    def get_attr(self, target, args, kwargs):
        path, _, name = str(target).rpartition(".")
        raise ConversionError(f"{path or 'the top module'}: uses its parameter {name!r} directly; "
                              f"{SUPPORTED}; a class like Qcfs can be named as the activation")

    def call_module(self, target, args, kwargs):
        module = self.fetch_attr(target)
        self._where = f"{target} ({type(module).__name__})"
        if len(args) != 1 or kwargs:
            self._refuse("a module takes one tensor")
        return self._module(module, target, args[0])

    def call_function(self, target, args, kwargs):
        name = getattr(target, "__name__", str(target))
        return self._call(_FUNCTIONS.get(target), name, args, kwargs)

    def call_method(self, target, args, kwargs):
        return self._call(_METHODS.get(target), target, args, kwargs)

    def output(self, target, args, kwargs):
        return args[0]

    def _call(self, method: str | None, name: str, args, kwargs):
        self._where = f"function {name!r} (in {_scope(self._node)})"
        if method is None:
            self._refuse(_HINTS.get(name, SUPPORTED))
        try:
            return getattr(self, method)(*args, **kwargs)
        except TypeError:
            self._refuse(f"these arguments are not supported; {SUPPORTED}")

    def _refuse(self, why: str):
        raise ConversionError(f"{self._where}: {why}")

    # Modules.

    def _module(self, module: nn.Module, path: str, x):
        if self._activation is not None and self._activation.matches(module):
            return self._fire(x, path, *self._activation.read(module, path))
        match module:
            case Qcfs():
                step = float(module.step.detach())
                if not 0 < step < float("inf"):
                    self._refuse(f"the step must be positive, not {step!r}")
                return self._fire(x, path, step, module.levels)
            case nn.ReLU():
                return self._relu(x)
            case nn.Conv2d():
                return self._conv(module, path, x)
            case nn.Linear():
                return self._linear(module, path, x)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return self._batch_norm(module, x)
            case nn.AvgPool2d():
                return self._avg_pool(module, path, x)
            case nn.MaxPool2d():
                return self._max_pool(module, path, x)
            case nn.AdaptiveAvgPool2d():
                return self._global_pool(module, path, x)
            case nn.Flatten():
                return self._flatten(x, module.start_dim, module.end_dim)
            case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d():
                return x
        self._refuse(f"this type of module is not supported; "
                     f"{_HINTS.get(type(module).__name__, SUPPORTED)}")

    def _conv(self, module: nn.Conv2d, path: str, x) -> Charge:
        x = self._counts(x, flat=False)
        if module.padding_mode != "zeros":
            self._refuse(f"padding_mode must be 'zeros', not {module.padding_mode!r}")
        if tuple(module.dilation) != (1, 1):
            self._refuse(f"dilation must be 1, not {module.dilation!r}")
        if module.in_channels != x.shape[0]:
            self._refuse(f"expects {module.in_channels} channels, but its input has {x.shape[0]}")
        padding = self._padding(module)
        shape = (module.out_channels, *self._size(x, module.kernel_size, module.stride, padding))
        if any(p >= k for p, k in zip(padding, module.kernel_size, strict=True)):
            self._refuse(f"padding {padding} must be smaller than the kernel {module.kernel_size}")
        term = Term(path, x.source, x.step, x.factor, module.weight.detach().clone(),
                    tuple(module.stride), padding, module.groups)
        return Charge((term,), _bias(module), shape, False)

    def _padding(self, module: nn.Conv2d) -> tuple[int, int]:
        if module.padding == "valid":
            return (0, 0)
        if module.padding == "same":
            if any(k % 2 == 0 for k in module.kernel_size):
                self._refuse("padding='same' needs an odd kernel, or the map is padded unevenly")
            return tuple(k // 2 for k in module.kernel_size)
        return tuple(module.padding)

    def _size(self, x: Map, kernel, stride, padding) -> tuple[int, int]:
        if not len(kernel) == len(stride) == len(padding) == 2 or min(*kernel, *stride) < 1:
            self._refuse(f"kernel {kernel} and stride {stride} must be two positive numbers each")
        size = tuple((n + 2 * p - k) // s + 1
                     for n, k, s, p in zip(x.shape[1:], kernel, stride, padding, strict=True))
        if min(size) < 1:
            self._refuse(f"a kernel of {kernel} does not fit a map of {x.shape[1:]}")
        return size

    def _linear(self, module: nn.Linear, path: str, x) -> Charge:
        x = self._counts(x, flat=True)
        features = x.shape[0] * x.shape[1] * x.shape[2]
        if module.in_features != features:
            self._refuse(f"expects {module.in_features} features, but its input has {features}")
        weight = module.weight.detach().clone().reshape(module.out_features, *x.shape)
        term = Term(path, x.source, x.step, x.factor, weight)
        return Charge((term,), _bias(module), (module.out_features, 1, 1), True)

    def _batch_norm(self, module: nn.BatchNorm2d, x) -> Charge:
        if not isinstance(x, Charge):
            self._refuse("must follow a Conv2d, a Linear or a residual addition, to be folded into "
                         "it")
        if module.running_mean is None:
            self._refuse("needs running statistics: build it with track_running_stats=True")
        if module.num_features != x.shape[0] or (x.flat and x.shape[1:] != (1, 1)):
            self._refuse(f"expects {module.num_features} channels, but its input has {x.shape[0]}")
        if not (module.running_var + module.eps > 0).all():
            self._refuse("must have a positive running_var")
        gain = (module.running_var + module.eps).rsqrt()
        gain = gain if module.weight is None else gain * module.weight
        shift = -module.running_mean * gain
        return x.scaled(gain, shift if module.bias is None else shift + module.bias)

    def _avg_pool(self, module: nn.AvgPool2d, path: str, x) -> Map:
        kernel, stride, padding = self._window(module)
        if padding != (0, 0) and not module.count_include_pad:
            self._refuse("count_include_pad must be True when there is padding: the divisor would "
                         "differ between positions")
        divisor = module.divisor_override or max(1, kernel[0] * kernel[1])
        if divisor < 1:
            self._refuse(f"divisor_override must be at least 1, not {divisor}")
        return self._pool("sum", path, x, kernel, stride, padding, 1 / divisor)

    def _max_pool(self, module: nn.MaxPool2d, path: str, x) -> Map:
        kernel, stride, padding = self._window(module)
        if _pair(module.dilation) != (1, 1):
            self._refuse(f"dilation must be 1, not {module.dilation!r}")
        if module.return_indices:
            self._refuse("return_indices must be False")
        return self._pool("max", path, x, kernel, stride, padding, 1.0)

    def _window(self, module):
        kernel = _pair(module.kernel_size)
        stride, padding = _pair(module.stride or kernel), _pair(module.padding)
        if module.ceil_mode:
            self._refuse("ceil_mode must be False: pad the map instead")
        if any(2 * p > k for p, k in zip(padding, kernel, strict=False)):
            self._refuse(f"padding {padding} must be at most half the kernel {kernel}")
        return kernel, stride, padding

    def _global_pool(self, module: nn.AdaptiveAvgPool2d, path: str, x) -> Map:
        if _pair(module.output_size) != (1, 1):
            self._refuse(f"output_size must be 1, not {module.output_size!r}; use AvgPool2d")
        x = self._counts(x, flat=False)
        kernel = x.shape[1:]
        return self._pool("sum", path, x, kernel, kernel, (0, 0), 1 / (kernel[0] * kernel[1]))

    def _pool(self, kind: str, path: str, x, kernel, stride, padding, factor: float) -> Map:
        x = self._counts(x, flat=False)
        size = self._size(x, kernel, stride, padding)
        pool = Pool(self._unique(path), x.source, kind, kernel, stride, padding)
        x = replace(x, source=pool.name, factor=x.factor * factor, shape=(x.shape[0], *size))
        self._append(pool, x.shape, x.factor)
        return x

    def _counts(self, x, flat: bool) -> Map:
        """``x``, which must be spikes, of vectors or of maps."""
        if isinstance(x, Charge):
            self._refuse("an activation (Qcfs or ReLU) must come between the layer before and this "
                         "one: neurons send spikes, not sums")
        if not isinstance(x, Map):
            self._refuse(f"must be given a tensor, not {x!r}")
        if x.flat is not flat:
            self._refuse("needs a Flatten before it" if flat else
                         "needs a map of (C, H, W), but its input is flattened")
        return x

    # Activations.

    def _relu(self, x, inplace: bool = False):
        return self._fire(x, None, None, None)

    def _fire(self, x, path: str | None, step: float | None, levels: int | None) -> Map:
        if not isinstance(x, Charge):
            self._refuse("an activation must follow a Conv2d, a Linear or a residual addition "
                         "(pool and flatten after it)")
        weights = [term.path for term in x.terms if not term.identity]
        name = self._unique(weights[0] if weights else path or self._node.name)
        self._append(Fire(name, x.terms, x.bias, path, step, levels), x.shape)
        return Map(name, name, 1.0, x.shape, x.flat)

    # Functions and methods, with torch's own parameters.

    def _size_of(self, x, dim: int | None = None):
        return _SIZES if dim is None else self._getitem(_SIZES, dim)

    def _getattr(self, x, name: str):
        if name != "shape":
            self._refuse(f"attribute {name!r} is not supported; {SUPPORTED}")
        return _SIZES

    def _getitem(self, x, index):
        if x is not _SIZES or index != 0:
            self._refuse("slicing is not supported; only x.shape[0], for a view or a reshape")
        return _BATCH

    def _flatten(self, x, start_dim: int = 0, end_dim: int = -1):
        if not isinstance(x, Map | Charge):
            self._refuse(f"must be given a tensor, not {x!r}")
        axes = 2 if x.flat else 4
        if (start_dim, end_dim) not in {(1, -1), (1, axes - 1)}:
            self._refuse(f"must keep the batch and flatten the rest (start_dim=1), not "
                         f"start_dim={start_dim}, end_dim={end_dim}")
        return replace(x, flat=True)

    def _view(self, x, *sizes):
        sizes = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
        features = x.shape[0] * x.shape[1] * x.shape[2]
        if len(sizes) != 2 or sizes not in {(_BATCH, -1), (_BATCH, features), (-1, features)}:
            self._refuse("must keep the batch and flatten the rest: x.flatten(1)")
        return replace(x, flat=True)

    def _mean(self, x, dim, keepdim: bool = False):
        x = self._counts(x, flat=False)
        if sorted(d % 4 for d in _pair(dim)) != [2, 3]:
            self._refuse(f"must be over the map's two axes (2, 3), not {dim!r}")
        x = self._global_pool(nn.AdaptiveAvgPool2d(1), self._node.name, x)
        return x if keepdim else replace(x, flat=True)

    def _add(self, x, other, *, alpha=1) -> Charge:
        if alpha != 1 or not all(isinstance(v, Map | Charge) for v in (x, other)):
            self._refuse("only two layers' results can be added (a residual connection); put "
                         "constants into a bias")
        a, b = self._charged(x), self._charged(other)
        if (a.shape, a.flat) != (b.shape, b.flat):
            self._refuse(f"both sides must have one shape, not {a.shape} and {b.shape}")
        return replace(a, terms=a.terms + b.terms, bias=a.bias + b.bias)

    def _charged(self, x) -> Charge:
        if isinstance(x, Charge):
            return x
        channels = x.shape[0]
        term = Term(self._node.name, x.source, x.step, x.factor, torch.ones(channels, 1, 1, 1),
                    groups=channels, identity=True)
        return Charge((term,), torch.zeros(channels), x.shape, x.flat)

    def _same(self, x, *args, **kwargs):
        return x

    def _dropout(self, x, p: float = 0.5, training: bool = True, inplace: bool = False):
        if training:
            self._refuse("drops values in inference, too; give it training=self.training, or leave "
                         "it out")
        return x

    def _f_max_pool(self, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
                    return_indices=False):
        module = nn.MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        return self._max_pool(module, self._node.name, x)

    def _f_avg_pool(self, x, *args, **kwargs):
        return self._avg_pool(nn.AvgPool2d(*args, **kwargs), self._node.name, x)

    def _f_global_pool(self, x, output_size):
        return self._global_pool(nn.AdaptiveAvgPool2d(output_size), self._node.name, x)

    # The end.

    def finish(self, out):
        """Make the read-out of the module's result."""
        self._where = "the module's result"
        if isinstance(out, Map):
            self._refuse("must be the sums of a last Linear or 1x1 Conv2d (the class scores), not "
                         "an activation or a pool")
        if not isinstance(out, Charge):
            self._refuse("must be one tensor")
        if out.shape[1:] != (1, 1):
            self._refuse(f"must be one score a class, not a map of {out.shape[1:]}")
        paths = [term.path for term in out.terms if not term.identity]
        self._append(Out(self._unique(paths[0] if paths else "readout"), out.terms, out.bias),
                     out.shape)

    def _append(self, layer: Fire | Pool | Out, shape, factor: float = 1.0):
        self.layers.append(layer)
        self.places[layer.name] = Place(self._node.name, shape, factor)

    def _unique(self, path: str) -> str:
        name, n = path, 1
        while name in self._names:
            n += 1
            name = f"{path}_{n}"
        self._names.add(name)
        return name


def _bias(module: nn.Conv2d | nn.Linear) -> torch.Tensor:
    if module.bias is None:
        return torch.zeros(len(module.weight))
    return module.bias.detach().clone()


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) or value is None else tuple(value)


def _scope(node: fx.Node) -> str:
    """Path of the module whose forward created ``node``."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    return path or "the top module"


_FUNCTIONS: dict[Callable, str] = {
    F.relu: "_relu", torch.relu: "_relu", torch.relu_: "_relu", F.relu_: "_relu",
    torch.flatten: "_flatten", torch.reshape: "_view", torch.mean: "_mean",
    operator.add: "_add", operator.iadd: "_add", torch.add: "_add",
    getattr: "_getattr", operator.getitem: "_getitem",
    F.dropout: "_dropout", F.dropout1d: "_dropout", F.dropout2d: "_dropout",
    F.max_pool2d: "_f_max_pool", torch.max_pool2d: "_f_max_pool",
    F.avg_pool2d: "_f_avg_pool", F.adaptive_avg_pool2d: "_f_global_pool",
}

_METHODS = {
    "relu": "_relu", "relu_": "_relu", "flatten": "_flatten", "view": "_view", "reshape": "_view",
    "mean": "_mean", "add": "_add", "add_": "_add", "size": "_size_of", "contiguous": "_same",
}

_WRAPPERS = {
    "OptimizedModule": "return the module before torch.compile",
    "DataParallel": "return the module inside it (.module)",
    "DistributedDataParallel": "return the module inside it (.module)",
    "ScriptModule": "return the Python module that it was made of",
}
"""Classes around a module, and what to do."""

_SCORES = "leave it out: the largest score is the same without it"
_NORMALISE = ("a network takes pixels/pixel_max in 0..1; put the scaling into the first layer's "
              "weights")
_HINTS = {"Softmax": _SCORES, "LogSoftmax": _SCORES, "softmax": _SCORES, "log_softmax": _SCORES,
          "Sigmoid": _SCORES + " (as the last layer), else use Qcfs", "sub": _NORMALISE,
          "truediv": _NORMALISE, "mul": _NORMALISE}
