"""Sorting and cutting hidden neurons, against sums written out by hand."""

import diffusers
import pytest
import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import elastic_parts, feed_forward_shape, masked_hidden, narrowed, sort_neurons
from suffuse.backbone.sites import Backbone

WIDTH, HIDDEN = 6, 12


class Relu(nn.Module):
    """Two layers and a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(x)))


def whole_numbers(module: nn.Module) -> nn.Module:
    """Weights whose sums are exact in floating point, in whatever order they are taken."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randint(-4, 5, parameter.shape, generator=generator))
    return module.requires_grad_(False)


def test_sorting_is_an_exact_permutation() -> None:
    module = whole_numbers(Relu())
    shape = feed_forward_shape(module)
    assert shape is not None
    assert (shape.inner, shape.outer, shape.hidden) == (("up",), "down", HIDDEN)
    order = torch.randperm(HIDDEN, generator=torch.Generator().manual_seed(1))
    x = torch.randint(-5, 6, (3, 4, WIDTH)).float()
    there = narrowed(module, shape, order)
    assert torch.equal(there(x), module(x))
    assert torch.equal(there.up.weight, module.up.weight[order])
    back = narrowed(there, shape, order.argsort())
    for (name, parameter), again in zip(module.named_parameters(), back.parameters(), strict=True):
        assert torch.equal(parameter, again), name
        assert parameter.data_ptr() != again.data_ptr()


@pytest.mark.parametrize("activation", ["gelu", "gelu-approximate", "geglu", "geglu-approximate", "swiglu"])
def test_the_neurons_left_out_are_held_at_their_means(activation: str) -> None:
    """Cut and mask are two ways to the same, for plain and for gated parts of diffusers."""
    torch.manual_seed(0)
    module = FeedForward(WIDTH, mult=2, activation_fn=activation).double().requires_grad_(False)
    shape = feed_forward_shape(module)
    assert shape is not None
    assert shape.hidden == HIDDEN
    x, mean = torch.randn(2, 5, WIDTH).double(), torch.randn(HIDDEN).double()
    kept = torch.tensor([7, 0, 3])
    mask = torch.zeros(2, HIDDEN).double().index_fill(1, kept, 1.0)
    small = narrowed(module, shape, kept, mean)
    assert sum(p.numel() for p in small.parameters()) < 0.4 * sum(p.numel() for p in module.parameters())
    before = module(x)
    with masked_hidden(shape.outer_of(module), mask, mean):
        masked = module(x)
    torch.testing.assert_close(small(x), masked)
    assert torch.equal(module(x), before)
    hidden = module.net[0](x)
    held = torch.where(mask[:, None].bool(), hidden, mean)
    torch.testing.assert_close(masked, held @ module.net[2].weight.T + module.net[2].bias)


def test_neurons_are_sorted_by_the_error_that_their_means_would_make() -> None:
    """Brute force: hold each neuron at its mean, one at a time, and measure the error."""
    torch.manual_seed(0)
    module = Relu().double().requires_grad_(False)
    shape = feed_forward_shape(module)
    assert shape is not None
    batches = [torch.randn(4, 9, WIDTH).double() for _ in range(3)]
    found = sort_neurons({"part": (module, shape)}, lambda: [module(x) for x in batches])["part"]
    x = torch.cat(batches)
    hidden = torch.relu(module.up(x)).flatten(0, 1)
    torch.testing.assert_close(found.mean.double(), hidden.mean(dim=0), rtol=1e-6, atol=1e-6)
    errors = []
    for neuron in range(HIDDEN):
        others = torch.tensor([one for one in range(HIDDEN) if one != neuron])
        errors.append(float((narrowed(module, shape, others, hidden.mean(dim=0))(x) - module(x)).square().sum()))
    assert found.order.tolist() == sorted(range(HIDDEN), key=lambda neuron: -errors[neuron])
    with pytest.raises(ShortcutError, match="nothing went through part"):
        sort_neurons({"part": (module, shape)}, lambda: None)


class Rotated(Relu):
    """Hidden neurons are mixed before the second layer: they cannot be taken out one by one."""

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(x)).cumsum(dim=-1))


class Scaled(Relu):
    """A parameter outside the linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(HIDDEN))


def test_parts_of_another_build_are_left_alone() -> None:
    torch.manual_seed(0)
    assert feed_forward_shape(Rotated()) is None
    assert feed_forward_shape(Scaled()) is None
    assert feed_forward_shape(nn.Linear(4, 4)) is None


def test_parts_are_found_in_diffusers_own_models(make_denoiser) -> None:
    """One for each block; in blocks with two, the image's."""
    for name in ("DiTTransformer2DModel", "PixArtTransformer2DModel", "SD3Transformer2DModel", "WanTransformer3DModel"):
        model = make_denoiser(name).model
        assert isinstance(model, getattr(diffusers, name))
        backbone = Backbone(model)
        assert len(elastic_parts(backbone)) == len(backbone.of_kind("block")), name
    assert "transformer_blocks.0.ff" in elastic_parts(Backbone(make_denoiser("SD3Transformer2DModel").model))
