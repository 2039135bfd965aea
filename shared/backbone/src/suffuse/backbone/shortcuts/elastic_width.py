"""Elastic width: the hidden neurons of a feed-forward part, sorted by importance, so that its prefixes are parts too.

A feed-forward part y = W2 f(W1 x) is a sum over hidden neurons, in whatever order: a permutation of them changes
nothing but the order of a sum. Sorted with the most important first, the first k make the narrower part that comes
nearest. How important a neuron is follows from a few generations: its output h_j varies by Var[h_j] and enters the
output through the column W2[:, j], so that holding it at its mean makes a mean squared error of Var[h_j] |W2[:, j]|^2.
Those left out are held at their means, which is a bias: sum_j E[h_j] W2[:, j].

E-DiT (arXiv 2602.13993) cuts prefixes of neurons in the order in which they happen to be, of a backbone that is trained
on; a frozen one has to be sorted first, and the means are ours too.

Dimensions: h hidden neurons, k of them kept.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from suffuse.backbone.engine.errors import ShortcutError

PROBED_TOKENS = 4

_known: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], "FeedForwardShape | None"]] = WeakKeyDictionary()
"""What was found of a module with these parameters."""


@dataclass(frozen=True, eq=False)
class FeedForwardShape:
    """How a feed-forward part is built.

    Attributes:
        inner: Names of its linear layers whose outputs are hidden neurons.
        outer: Name of the one that takes hidden neurons.
        hidden: Number of hidden neurons.
    """

    inner: tuple[str, ...]
    outer: str
    hidden: int

    def outer_of(self, module: nn.Module) -> nn.Linear:
        """The layer that takes hidden neurons."""
        layer = module.get_submodule(self.outer)
        assert isinstance(layer, nn.Linear)
        return layer

    def inner_of(self, module: nn.Module) -> list[nn.Linear]:
        """The layers that make them."""
        layers = [module.get_submodule(name) for name in self.inner]
        return [layer for layer in layers if isinstance(layer, nn.Linear)]


@dataclass(frozen=True, eq=False)
class Neurons:
    """What is known of the hidden neurons of a feed-forward part.

    Attributes:
        order: Their numbers, the most important first.
        mean: The mean output of each, in the order of the model.
    """

    order: Int64[Tensor, " h"]
    mean: Float[Tensor, " h"]


def feed_forward_shape(module: nn.Module) -> FeedForwardShape | None:
    """How a feed-forward part is built; None if neurons of it cannot be taken out one by one.

    They can if all parameters belong to linear layers: one that takes h neurons, others that make h (or, for gated
    ones, twice h) and if the part with its neurons in reverse gives the same, which is tried on random tokens, once.
    """
    parameters = tuple(id(parameter) for parameter in module.parameters())
    if module not in _known or _known[module][0] != parameters:
        _known[module] = (parameters, _find_shape(module))
    return _known[module][1]


def _find_shape(module: nn.Module) -> FeedForwardShape | None:
    linear = {name: part for name, part in module.named_modules() if type(part) is nn.Linear}
    owned = {id(parameter) for part in linear.values() for parameter in part.parameters()}
    if not linear or any(id(parameter) not in owned for parameter in module.parameters()):
        return None
    for outer, last in linear.items():
        hidden, others = last.in_features, {name: part for name, part in linear.items() if name != outer}
        if others and all(part.out_features in (hidden, 2 * hidden) for part in others.values()):
            shape = FeedForwardShape(tuple(others), outer, hidden)
            if _reversible(module, shape):
                return shape
    return None


def narrowed(
    module: nn.Module, shape: FeedForwardShape, kept: Int64[Tensor, " k"], mean: Float[Tensor, " h"] | None = None
) -> nn.Module:
    """A feed-forward part with these hidden neurons alone, in this order; the original is left as it was.

    The others are held at `mean`, if it is given and the outer layer has a bias, else at 0. Weights are copies.
    """
    replaced: dict[int, Any] = {}
    for layer in shape.inner_of(module):
        rows = kept if layer.out_features == shape.hidden else torch.cat([kept, kept + shape.hidden])
        replaced[id(layer.weight)] = _frozen(layer.weight[rows])
        if layer.bias is not None:
            replaced[id(layer.bias)] = _frozen(layer.bias[rows])
    outer = shape.outer_of(module)
    replaced[id(outer.weight)] = _frozen(outer.weight[:, kept])
    if mean is not None and outer.bias is not None:
        rest = mean.to(outer.weight).index_fill(0, kept, 0.0)
        replaced[id(outer.bias)] = _frozen(outer.bias + outer.weight @ rest)
    made = copy.deepcopy(module, replaced)
    made.__dict__.pop("forward", None)  # of a session that is under way
    for layer in shape.inner_of(made):
        layer.out_features = int(layer.weight.shape[0])
    shape.outer_of(made).in_features = len(kept)
    return made


def sort_neurons(
    parts: dict[str, tuple[nn.Module, FeedForwardShape]], generate: Callable[[], object]
) -> dict[str, Neurons]:
    """The order and means of the hidden neurons of some feed-forward parts, by their names.

    Args:
        parts: Modules of a denoiser, with their shapes.
        generate: Samples with the denoiser; what the neurons are in all its steps is what counts.

    Raises ShortcutError if a part was not used.
    """
    sums = {name: _Moments(shape.hidden) for name, (_, shape) in parts.items()}
    with ExitStack() as stack, torch.no_grad():
        for name, (module, shape) in parts.items():
            stack.enter_context(_seen_by(shape.outer_of(module), sums[name].add))
        generate()
    found = {}
    for name, (module, shape) in parts.items():
        if not sums[name].count:
            raise ShortcutError(f"nothing went through {name} while its neurons were watched")
        mean, variance = sums[name].result()
        weight = variance * shape.outer_of(module).weight.detach().double().cpu().square().sum(dim=0)
        found[name] = Neurons(weight.argsort(descending=True, stable=True), mean.float())
    return found


@contextmanager
def masked_hidden(layer: nn.Linear, mask: Float[Tensor, "b h"], mean: Float[Tensor, " h"] | None) -> Iterator[None]:
    """As long as it is open, the hidden neurons that go into `layer` are weighed by a mask for each sample.

    The rest of a neuron's weight goes to its mean. Gradients reach the mask; for training, in one thread.
    """

    def weigh(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0]
        weights = mask.to(hidden).view(len(mask), *[1] * (hidden.ndim - 2), -1)
        instead = 0.0 if mean is None or layer.bias is None else mean.to(hidden)
        return (hidden * weights + (1 - weights) * instead, *args[1:])

    handle = layer.register_forward_pre_hook(weigh)
    try:
        yield
    finally:
        handle.remove()


class _Moments:
    """Sums of hidden neurons and their squares."""

    def __init__(self, hidden: int) -> None:
        self.count = 0
        self._sum = torch.zeros(hidden, dtype=torch.float64)
        self._squares = torch.zeros(hidden, dtype=torch.float64)

    def add(self, hidden: Tensor) -> None:
        rows = hidden.detach().flatten(0, -2).double().cpu()
        self.count += len(rows)
        self._sum += rows.sum(dim=0)
        self._squares += rows.square().sum(dim=0)

    def result(self) -> tuple[Tensor, Tensor]:
        mean = self._sum / self.count
        return mean, (self._squares / self.count - mean.square()).clamp(min=0)


@contextmanager
def _seen_by(layer: nn.Linear, see: Callable[[Tensor], None]) -> Iterator[None]:
    handle = layer.register_forward_pre_hook(lambda _, args: see(args[0]))
    try:
        yield
    finally:
        handle.remove()


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)


@torch.no_grad()
def _reversible(module: nn.Module, shape: FeedForwardShape) -> bool:
    weight = shape.inner_of(module)[0].weight
    if weight.device.type == "meta":
        return False
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(1, PROBED_TOKENS, weight.shape[1], generator=generator).to(weight)
    backwards = narrowed(module, shape, torch.arange(shape.hidden, device=weight.device).flip(0))
    training = module.training
    try:
        there = type(module).forward(module.eval(), tokens)
        back = type(module).forward(backwards.eval(), tokens)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return False  # it takes more than tokens, or splits neurons in another way
    finally:
        module.train(training)
    if not isinstance(there, Tensor) or there.shape[:-1] != tokens.shape[:-1]:
        return False
    tolerance = torch.finfo(there.dtype).eps ** 0.5
    return bool((there - back).norm() <= tolerance * there.norm())
