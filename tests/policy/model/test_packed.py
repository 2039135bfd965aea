"""The packed transformer is the transformer, and with a shortcut what the shared engine makes of it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator

from suffuse.backbone.shortcuts import BlockAdaptiveCache
from suffuse.policy import DiffusionPolicy
from suffuse.policy.model import packed as packing
from suffuse.policy.model.packed import PackedLinear, fits, packed
from suffuse.policy.model.stepping import part_names
from suffuse.policy.model.transformer import ActionTransformer

Make = Callable[..., DiffusionPolicy]


def transformer(**changes: object) -> ActionTransformer:
    """Weights large enough that every part counts."""
    torch.manual_seed(0)
    sizes = {"action_size": 2, "horizon": 8, "observation_steps": 2, "observation_size": 5, "width": 32, "depth": 3}
    network = ActionTransformer(**{**sizes, "heads": 2, **changes}).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim == 2 else 0.3))
    return network


@pytest.fixture(params=[True, False], ids=["oneDNN", "plain"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With oneDNN's products and without."""
    if request.param and not packing.ONEDNN:
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(packing, "ONEDNN", request.param)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_it_is_the_same_function(causal: bool, batch: int) -> None:
    network = transformer(causal=causal)
    x, observation = torch.randn(batch, 8, 2), torch.randn(batch, 2, 5)
    times = torch.tensor([90, 50, 7])
    chunk = packed(network).begin(network, observation, times)
    observed, embedded = network.observe(observation), network.embed_time(times)
    for number in (0, 1, 2, 0):
        expected = network.denoise(x, embedded[number : number + 1], observed)
        torch.testing.assert_close(chunk.denoise(x, number), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(chunk.denoise(x, number, [True] * 9), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("products")
def test_a_map_is_a_map() -> None:
    weight, bias, x = torch.randn(7, 5), torch.randn(7), torch.randn(4, 5)
    torch.testing.assert_close(PackedLinear(weight, bias)(x), x @ weight.t() + bias)
    bent = torch.nn.functional.gelu(x @ weight.t() + bias)
    torch.testing.assert_close(PackedLinear(weight, bias, bend=True)(x), bent)


def test_weights_that_change_are_packed_anew() -> None:
    network = transformer()
    first = packed(network)
    assert packed(network) is first
    with torch.no_grad():
        network.layers[1].mlp.up.weight.mul_(2)
    assert packed(network) is not first


def test_what_is_not_packed() -> None:
    assert fits(transformer())
    assert not fits(transformer().train())
    assert not fits(transformer().to(torch.float64))
    with torch.autocast("cpu"):
        assert not fits(transformer())


def seen() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    return {"state": torch.from_numpy(rng.normal(size=(3, 2, 3))).float(), "keypoint": torch.randn(3, 2, 4, 2)}


def generators() -> list[Generator]:
    return [Generator().manual_seed(row) for row in range(3)]


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 20), ("ddim", 8), ("dpm", 8)])
def test_a_shortcut_is_what_the_engine_makes_of_it(make_policy: Make, sampler: str, steps: int) -> None:
    """Parts that run at different steps, one in all, and steps at which none runs; and something is left out."""
    policy, observation = make_policy(), seen()
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    policy.use_sampler(sampler, steps)
    plain = policy.sample(observation, generators())
    torch.testing.assert_close(plain, policy.sample(observation, generators(), pack=False), rtol=1e-4, atol=1e-4)
    names = part_names(2)
    every = {name: tuple(range(0, steps, 2 + place)) for place, name in enumerate(names)}
    few = dict.fromkeys(names, (0, steps - 1))
    del every[names[3]]
    for updates in (every, few):
        policy.use_shortcut(BlockAdaptiveCache(steps=steps, updates=updates))
        found = policy.sample(observation, generators())
        assert (found - plain).abs().max() > 1e-4
        torch.testing.assert_close(found, policy.sample(observation, generators(), pack=False), rtol=1e-4, atol=1e-4)
    policy.use_shortcut(None)
    assert torch.equal(policy.sample(observation, generators()), plain)


def test_shortcuts_that_do_not_fit(make_policy: Make) -> None:
    policy = make_policy()
    policy.use_sampler("ddim", 4)
    with pytest.raises(ValueError, match="the shortcut is for 5 steps; a chunk has 4"):
        policy.use_shortcut(BlockAdaptiveCache(steps=5, updates={"network.layers.0.mlp": (0,)}))
    with pytest.raises(ValueError, match=r"no attention or feed-forward part 'layers\.9'"):
        policy.use_shortcut(BlockAdaptiveCache(steps=4, updates={"layers.9": (0,)}))
    convolving = make_policy(denoiser={"type": "unet", "widths": [16, 32], "groups": 4, "time_size": 8})
    convolving.use_sampler("ddim", 4)
    with pytest.raises(ValueError, match="use a transformer"):
        convolving.use_shortcut(BlockAdaptiveCache(steps=4))
