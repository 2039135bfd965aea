"""The denoisers: constants computed once are exact, the causal mask holds, and the parts match their definitions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from suffuse.policy.model.denoiser import Denoiser, sinusoids
from suffuse.policy.model.resnet import ImageEncoder, ResNet18, spatial_softmax
from suffuse.policy.model.transformer import ActionTransformer, attend
from suffuse.policy.model.unet import ActionUNet

SIZES = {"action_size": 2, "horizon": 8, "observation_steps": 2, "observation_size": 5}


def transformer(**changes: object) -> ActionTransformer:
    torch.manual_seed(0)
    return ActionTransformer(**{**SIZES, "width": 32, "depth": 3, "heads": 2, **changes}).eval()  # type: ignore[arg-type]


def unet(**changes: object) -> ActionUNet:
    torch.manual_seed(0)
    return ActionUNet(**{**SIZES, "widths": (16, 32, 64), "time_size": 16, **changes}).eval()  # type: ignore[arg-type]


MADE: list[Callable[..., ActionTransformer | ActionUNet]] = [transformer, unet]


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = [torch.randn(shape, generator=generator) for shape in ((4, 8, 2), (4, 2, 5))]
    return draw[0], torch.tensor([0, 7, 50, 99]), draw[1]


@pytest.mark.parametrize("make", MADE)
@torch.no_grad()
def test_what_is_computed_once_a_chunk_is_what_is_computed_each_time(make: Callable, inputs: tuple) -> None:
    network = make()
    assert isinstance(network, Denoiser)
    actions, times, observation = inputs
    together = network(actions, times, observation)
    observed, embedded = network.observe(observation), network.embed_time(torch.arange(100))
    for row, time in enumerate(times.tolist()):
        alone = network.denoise(actions[row : row + 1], embedded[time : time + 1], observed[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-5, atol=1e-6)
    everywhere = network.denoise(actions, embedded[7:8], observed)  # one time for all rows
    torch.testing.assert_close(everywhere[1], together[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", MADE)
def test_everything_that_is_given_matters(make: Callable, inputs: tuple) -> None:
    network = make()
    if isinstance(network, ActionTransformer):  # fresh weights of 0.02 hide small effects
        torch.nn.init.normal_(network.action_out.weight)
        for parameter in network.parameters():
            parameter.data *= 3
    plain = network(*inputs)
    for number in range(3):
        changed = [value.clone() for value in inputs]
        changed[number] += 1
        assert (network(*changed) - plain).abs().max() > 1e-4
    network(*inputs).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_action_sees_earlier_ones_only(inputs: tuple) -> None:
    actions, times, observation = inputs
    for causal in (True, False):
        network = transformer(causal=causal)
        later = actions.clone()
        later[:, 5] += 10
        same = (network(later, times, observation) == network(actions, times, observation)).all(dim=-1)[0]
        assert same.tolist() == [causal] * 5 + [False] * 3


def test_attention_is_attention() -> None:
    q, k, v = torch.randn(3, 2, 4, 6, 8)
    mask = torch.full((6, 6), -torch.inf).triu(1)
    for bias, causal in ((None, False), (mask, True)):
        expected = scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)
        torch.testing.assert_close(attend(q, k, v, mask=bias), expected)
    torch.manual_seed(0)
    dropped = torch.stack([attend(q, k, v, drop=0.5) for _ in range(4000)]).mean(dim=0)
    torch.testing.assert_close(dropped, attend(q, k, v), atol=0.1, rtol=0)


def test_the_default_transformer_is_the_published_size() -> None:
    """8 layers of 256: attention 4, cross-attention 2 + 2 (in one map for all), feed-forward 8 times 256 squared."""
    network = ActionTransformer(action_size=2, horizon=16, observation_steps=2, observation_size=20)
    matrices = sum(p.numel() for n, p in network.named_parameters() if p.ndim == 2 and "layers" in n)
    assert matrices == 8 * 14 * 256**2
    assert network.memory.weight.numel() == 8 * 2 * 256**2
    assert 8e6 < sum(p.numel() for p in network.parameters()) < 9.5e6


def test_sinusoids_are_sines_and_cosines() -> None:
    found = sinusoids(torch.tensor([0, 3]), 8)
    frequency = 10_000.0 ** -(np.arange(4) / 3)
    np.testing.assert_allclose(found[0], [0] * 4 + [1] * 4)
    np.testing.assert_allclose(found[1], [*np.sin(3 * frequency), *np.cos(3 * frequency)], rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "changes", "said"),
    [
        (transformer, {"width": 30, "heads": 4}, "width is 30; it must be even and a multiple of heads"),
        (transformer, {"dropout": 1.0}, r"dropout is 1.0; it must be in \[0, 1\)"),
        (unet, {"horizon": 6}, "horizon is 6; it must be a multiple of 4"),
        (unet, {"kernel": 4}, "odd"),
        (unet, {"widths": (12, 24)}, "multiples of groups"),
    ],
)
def test_sizes_that_do_not_fit(make: Callable, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(**changes)


# --- images


def test_a_spatial_softmax_finds_a_bright_pixel() -> None:
    maps = torch.zeros(1, 2, 5, 9)
    maps[0, 0, 1, 6] = 50.0
    maps[0, 1, 4, 0] = 50.0
    expected = torch.tensor([[[0.5, -0.5], [-1.0, 1.0]]])
    torch.testing.assert_close(spatial_softmax(maps), expected)
    torch.testing.assert_close(spatial_softmax(torch.zeros(1, 1, 5, 9)), torch.zeros(1, 1, 2))
    torch.testing.assert_close(spatial_softmax(torch.randn(1, 1, 1, 1)), torch.zeros(1, 1, 2))


def test_a_spatial_softmax_moves_with_the_picture() -> None:
    maps = torch.full((1, 1, 16, 16), -9.0)
    maps[..., 3:6, 4:7] = torch.rand(3, 3)
    moved = maps.roll((5, 2), dims=(2, 3))
    step = 2 / 15
    torch.testing.assert_close(
        spatial_softmax(moved) - spatial_softmax(maps), torch.tensor([[[2 * step, 5 * step]]]), atol=2e-3, rtol=0
    )


def test_the_resnet_is_a_resnet_18() -> None:
    network = ResNet18().eval()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len([c for c in convolutions if c.kernel_size != (1, 1)]) == 17  # the 18th layer is the classifier
    assert len([c for c in convolutions if c.kernel_size == (1, 1)]) == 3
    assert sum(c.weight.numel() for c in convolutions) == 11_166_912  # torchvision's, without norms and classifier
    with torch.no_grad():
        assert network(torch.randn(2, 3, 84, 96)).shape == (2, 512, 3, 3)
        images = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(network(images)[:1], network(images[:1]), rtol=1e-4, atol=1e-4)  # no batch norm
    assert ImageEncoder(keypoints=5)(torch.randn(1, 3, 64, 64)).shape == (1, 10)


@pytest.mark.parametrize("make", MADE)
def test_places_keep_their_precision_in_mixed_precision(make: Callable, inputs: tuple) -> None:
    """A third of a pixel of 512 is lost in bfloat16 near the edge; under autocast the network still tells it."""
    network = make()
    place = torch.full((1, 2, 5), 0.8984375)
    moved = place + 0.3 / 256
    assert torch.equal(place.bfloat16(), moved.bfloat16())
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        plain, other = (network.observe(value).float() for value in (place, moved))
    assert not torch.equal(plain, other)
