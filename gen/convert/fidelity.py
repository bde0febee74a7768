"""Checks that a lowered network computes what the module computes.

Lowering reads a module's parameters and trusts its types. A hook, a weight that is computed for
each call, or an overridden forward can make the module compute something else. So before anything
is quantised, the lowered network runs in real numbers beside the module, layer by layer. Each layer
gets the module's own results as its input, so a difference is caused by this layer alone. A
difference is more than rounding if it exceeds a thousandth of the range of the channel. Random
images are compared as well as the user's, because black images would hide differences.
"""

import math
from collections.abc import Iterator, Sequence
from functools import singledispatchmethod
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional as F

from gen.errors import ConversionError
from gen.ir.layers import INPUT, Pool

from .differences import CANCELLED, RELATIVE, Ranges, differing, extent, on_grid, percent
from .final import named
from .images import Images
from .lowered import Fire, Lowered, Out, Relu
from .seen import seen
from .usercode import blamed
from .values import spread_over

__all__ = ["beside", "refresh_weights"]

_BATCH = 100

# Number of random images, and their seed.
_PROBES, _SEED = 16, 0

# Values of a batch that are kept, over all layers: 16 MB, and several times as much on the way.
_VALUES = 1 << 22

_CANT = "the module can't take the calibration images"


@torch.no_grad()
def refresh_weights(module: nn.Module, images: Images) -> None:
    """Let hooks compute their weights (pruning, weight norm, spectral norm), so that ``weight`` is
    what the module computes with.

    The module runs on the first of ``images``, ``(N, C, H, W)`` or ``(N, features)``. If it can't
    take the image, :func:`gen.convert.lower.lower` or :func:`beside` says why.
    """
    module.eval()
    try:
        module(_tensor(images[:1]))
    except (Exception, SystemExit):
        return


@torch.no_grad()
def beside(module: nn.Module, lowered: Lowered, images: Images
           ) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """Run ``module`` and ``lowered`` on ``images``, and compare them layer by layer.

    Parameters
    ----------
    module : what ``lowered`` was made of
    images : ``(N, C, H, W)`` or ``(N, features)`` real numbers

    Yields
    ------
    For each batch of ``n`` images: layer name -> the module's values, ``(n, C, H, W)``, and the
    scores of its results as the read-out has them, ``(n, C, H, W)``.

    Raises
    ------
    ConversionError
        The message names the first layer that differs by more than rounding, and what was seen
        there.
    """
    lowered = lowered.before or lowered
    size = sum(math.prod(place.shape) for place in lowered.places.values())
    batch = max(1, min(_BATCH, _VALUES // size))
    ranges = Ranges()
    random = lowered.real(_random(images.shape[1:], min(batch, _PROBES)))
    _compared(module, lowered, random, ranges, ramps=True)
    for start in range(0, len(images), batch):
        yield _compared(module, lowered, _tensor(images[start:start + batch]), ranges)


def _random(shape: tuple[int, ...], number: int) -> torch.Tensor:
    """Images of independent pixels. Later images are darker."""
    random = torch.Generator().manual_seed(_SEED)
    pixels = torch.rand(number, *shape, generator=random)
    return pixels / torch.arange(1, number + 1).reshape(-1, *[1] * len(shape))


def _compared(module: nn.Module, lowered: Lowered, x: torch.Tensor, ranges: Ranges,
              ramps: bool = False) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """One batch of :func:`beside`; with ``ramps`` also values over the range of activations."""
    comparison = _Comparison(lowered, x, ranges, ramps)
    comparison.run(x.clone())
    with blamed(_CANT):
        result = module(x.clone())
    scores = comparison.values[lowered.layers[-1].name]
    results = named(result)
    for output, part in lowered.parted(scores):
        made = output.of(part)
        where = f"{output.label} of the module itself" if output.name else "the module itself"
        own = output.form.as_map(_shaped(results.get(output.name, result), made.shape, where,
                                         module, {"": module}), output.shape)
        different = differing(own, made, RELATIVE * ranges.widened(f"/{output.name}", made)
                               + CANCELLED * made.abs().amax(dim=0))
        if different.any():
            raise ConversionError(f"{where} gives other scores than its layers one after the other"
                                  f": {extent(different, own, made)}; "
                                  f"{seen(module, {'': module})}")
        if not output.function and len(results) == 1:
            scores = spread_over(own, lowered.readout.phases)
    return comparison.values, scores


def _tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(images, dtype=np.float32, order="C"))


class _Comparison(fx.Interpreter):
    """Runs a traced module on a batch and compares each layer as soon as it is made.

    ``values`` are the module's results by layer, ``(N, C, H, W)``. They are copies, because modules
    compute in place.
    """

    def __init__(self, lowered: Lowered, x: torch.Tensor, ranges: Ranges, ramps: bool) -> None:
        super().__init__(lowered.module)
        self.extra_traceback = False
        self.values = {INPUT: lowered.counted(x)}
        self._ranges, self._ramps, self._lowered = ranges, ramps, lowered
        self._layers: dict[str, list[Fire | Relu | Pool | Out]] = {}
        self._ahead: dict[str, list[Fire | Relu | Pool | Out]] = {}
        self._places = lowered.places
        for layer in lowered.layers:
            place = lowered.places[layer.name]
            if not place.node:
                self.values[layer.name] = torch.ones(len(x), *place.shape)
            layers = self._ahead if place.ahead else self._layers
            layers.setdefault(place.node, []).append(layer)

    def run_node(self, n: fx.Node) -> object:
        for layer in self._ahead.get(n.name, ()):
            self._join(layer, n)
        layers = self._layers.get(n.name)
        if layers is None:
            return self._theirs(n)
        joint = self._places[layers[0].name].joint
        return self._run_joint(layers, n) if joint else self._run_layer(layers[0], n)

    @blamed(_CANT)
    def _theirs(self, n: fx.Node) -> Any:
        """What a node of the module gives."""
        return super().run_node(n)

    def _run_joint(self, layers: Sequence[Fire | Relu | Pool | Out], n: fx.Node) -> object:
        """Run a node that several layers make together, compare, and return its result."""
        place = self._places[layers[0].name]
        assert place.made is not None
        for layer in layers:
            self._join(layer, n)
        ours = place.made.assembled(self.values.__getitem__)
        given = self.env[n.all_input_nodes[0]]
        exact = None if place.exact is None else place.spread(place.exact(given))
        result = self._theirs(n)
        value = self._spread(result, layers[0], n).clone()
        if exact is not None:
            # The layers only come near: what they lack is given to one of them, so that the next
            # layer sees what the module's does.
            part = place.made.parts[0]
            power = torch.zeros(ours.shape[1]).index_add_(0, part.to, part.gain.square())
            share = part.gain / power[part.to]
            self.values[part.source] += (value - ours)[:, part.to] * share[:, None, None]
            ours = exact
        reach = place.made.reach(self.values.__getitem__)
        self._compare(n, layers[0], value, ours, reach, "values")
        return result

    @singledispatchmethod
    def _join(self, layer: object, n: fx.Node) -> None:
        """Note the values of one of the layers that make a result together."""

    @_join.register
    def _(self, layer: Pool, n: fx.Node) -> None:
        self.values[layer.name] = self._pooled(layer)

    @_join.register
    def _(self, layer: Relu, n: fx.Node) -> None:
        assert layer.curve is not None
        curve = layer.curve.over(self._places[layer.name].phases)
        sums = curve.sums(self._given(layer, n))
        self._compare(n, layer, sums, *self._charge(layer), "sums")
        self.values[layer.name] = sums.clamp(0, layer.cap)

    def _given(self, layer: Fire | Relu, n: fx.Node) -> torch.Tensor:
        """The sums that a node is given, spread."""
        before = n.all_input_nodes[0]
        return self._spread(self.env[before], layer, n).clone()

    @singledispatchmethod
    def _run_layer(self, layer: object, n: fx.Node) -> object:
        """Run the node that makes a layer, compare, and return the module's own result."""

    @_run_layer.register
    def _(self, layer: Out, n: fx.Node) -> object:
        result, samples = super().run_node(n), len(self.values[INPUT])
        outputs, maps = self._lowered.results, []
        for output, own in zip(outputs, result if len(outputs) > 1 else (result,), strict=True):
            own = _shaped(own, (samples, *output.shape), layer.name, self.module, self._modules(n))
            maps.append(output.form.as_map(own, output.shape))
        value = spread_over(torch.cat(maps, dim=1), self._places[layer.name].phases).clone()
        self.values[layer.name] = value
        self._compare(n, layer, value, *self._charge(layer), "sums")
        return result

    @_run_layer.register
    def _(self, layer: Relu, n: fx.Node) -> object:
        if self._places[layer.name].whole:
            return self._whole(layer, n)
        result, given, value = self._activated(layer, n)
        fed_back = self._fed_back(layer)
        ours = (given + fed_back).clamp(0, layer.cap)
        slack = CANCELLED * (given.abs().max() + fed_back.abs().max()) * fed_back.any()
        self._refuse_any(differing(value, ours, slack), n, layer, value, ours, "values")
        return result

    @_run_layer.register
    def _(self, layer: Fire, n: fx.Node) -> object:
        result, given, value = self._activated(layer, n)
        self._compare_grid(n, layer, given + self._fed_back(layer), value)
        return result

    def _whole(self, layer: Relu, n: fx.Node) -> object:
        """Run and compare a node that computes the sums of a recurrent layer, too."""
        result, value = self._made(layer, n)
        charge, reach = self._charge(layer)
        ours = (charge + self._fed_back(layer)).clamp(0, layer.cap)
        self._compare(n, layer, value, ours, reach, "values")
        return result

    def _fed_back(self, layer: Fire | Relu) -> torch.Tensor:
        """What the module's results of a recurrent layer add to its next sums; 0 of another."""
        own = [term.convolved(self.values[layer.name], term.weight) for term in layer.terms
               if term.source == layer.name]
        return sum(own, torch.zeros(1))

    def _activated(self, layer: Fire | Relu, n: fx.Node
                   ) -> tuple[object, torch.Tensor, torch.Tensor]:
        """Compare the sums before an activation, and return the module's result as it is, and both
        as ``(n, C, H, W)``."""
        given = self._given(layer, n)
        result, value = self._made(layer, n)
        self._compare(n, layer, given, *self._charge(layer), "sums")
        return result, given, value

    def _made(self, layer: Fire | Relu | Pool, n: fx.Node) -> tuple[Any, torch.Tensor]:
        """The module's result for a layer, as it is and as ``(n, C, H, W)``."""
        result = self._theirs(n)
        states = result[0] if self._places[layer.name].whole else result
        value = self._spread(states, layer, n).clone()
        self.values[layer.name] = value
        return result, value

    def _spread(self, result: object, layer: Fire | Relu | Pool | Out, n: fx.Node
                ) -> torch.Tensor:
        place = self._places[layer.name]
        shape = (len(self.values[INPUT]), *place.result)
        return place.spread(_shaped(result, shape, layer.name, self.module, self._modules(n)))

    def _charge(self, layer: Fire | Relu | Out) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums of the layer for the module's results before it, without those of a recurrent layer
        for its own, and their greatest possible magnitude, ``(C,)``."""
        charge, reach = layer.bias[:, None, None], layer.bias.abs()
        for term in layer.terms:
            if term.source == layer.name:
                continue
            source = self.values[term.source]
            charge = charge + term.convolved(source, term.weight)
            reach = reach + term.weight.abs().sum(dim=(1, 2, 3)) * source.abs().max()
        return charge, reach

    def _pooled(self, layer: Pool) -> torch.Tensor:
        """Values of the layer for the module's results before it."""
        source = self.values[layer.source]
        window = (layer.kernel, layer.stride, layer.padding)
        if layer.kind == "max":
            return F.max_pool2d(source, *window)
        gain = self._places[layer.name].factor
        return F.avg_pool2d(source, *window, divisor_override=1) * gain

    def _compare(self, n: fx.Node, layer: Fire | Relu | Pool | Out, own: torch.Tensor,
                 ours: torch.Tensor, reach: torch.Tensor, what: str) -> None:
        # By channel: neither a large channel nor a bias must hide a difference in a small channel.
        tolerance = (RELATIVE * self._ranges.widened(f"{what} of {layer.name}", ours)
                     + CANCELLED * (reach[:, None, None] + ours.abs().max()))
        self._refuse_any(differing(own, ours, tolerance), n, layer, own, ours, what)

    def _refuse_any(self, different: torch.Tensor, n: fx.Node, layer: Fire | Relu | Pool | Out,
                    own: torch.Tensor, ours: torch.Tensor, what: str) -> None:
        if different.any():
            raise ConversionError(
                f"{layer.name}: the module computes something else here than its parameters say: "
                f"{extent(different, own, ours, what)}; {self._seen(n)}")

    def _compare_grid(self, n: fx.Node, layer: Fire, given: torch.Tensor,
                      result: torch.Tensor) -> None:
        """Refuse an activation whose results are not on its grid."""
        pairs = [(given, result)]
        if self._ramps:
            high = (layer.levels + 1) * layer.step
            low = -high if layer.symmetric else -layer.step
            ramp = torch.linspace(low, high, given.numel(), dtype=given.dtype).reshape(given.shape)
            pairs.append((ramp, self.fetch_attr(str(layer.activation))(ramp.clone())))
        for z, a in pairs:
            different = ~on_grid(z, a, layer)
            if not different.any():
                continue
            own = a[a > 0]
            least = -layer.levels if layer.symmetric else 0
            values = f"the positive ones are {own.min():.4g} to {own.max():.4g}" if len(own) else \
                "none is positive"
            raise ConversionError(
                f"{layer.activation}: this activation is not step * clip(floor(z/step"
                f"{'' if layer.floor else ' + 1/2'}), {least}, {layer.levels}) with "
                f"step={layer.step:.4g}: {percent(different)} of its values differ ({values}); "
                f"check how the step and the levels are read; {self._seen(n)}")

    def _seen(self, n: fx.Node) -> str:
        return seen(self.module, self._modules(n))

    def _modules(self, n: fx.Node) -> dict[str, nn.Module]:
        """The modules between a node and the layers before it, by their paths."""
        places = {place.node for place in self._places.values()}
        found: dict[str, nn.Module] = {}
        ahead = [n]
        while ahead:
            node = ahead.pop()
            if node.op == "call_module":
                found[str(node.target)] = self.fetch_attr(str(node.target))
            ahead += [other for other in node.all_input_nodes if other.name not in places]
        return dict(reversed(found.items()))


def _shaped(own: object, shape: tuple[int, ...], where: str, root: nn.Module,
            modules: dict[str, nn.Module]) -> torch.Tensor:
    """A result of the module, which has as many values as a map of ``shape``."""
    if isinstance(own, torch.Tensor) and own.numel() == math.prod(shape):
        return own
    kind = f"the shape {tuple(own.shape)}" if isinstance(own, torch.Tensor) else type(own).__name__
    raise ConversionError(f"{where}: gives {kind}, where the parameters say {tuple(shape)}; "
                          f"{seen(root, modules)}")
