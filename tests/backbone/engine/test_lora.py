"""LoRA by peft, through diffusers' own `add_adapter`: loaded before a session, within one, and taken out again."""

import diffusers
import pytest
import torch
from torch import Tensor, nn

from suffuse.backbone import accelerate

peft = pytest.importorskip("peft", reason="peft is not installed")

STEPS = 10


def lora() -> object:
    return peft.LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False)


@pytest.fixture
def model() -> nn.Module:
    """An SD3 denoiser with random weights."""
    torch.manual_seed(0)
    made = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, out_channels=4, num_layers=4, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=8, caption_projection_dim=16, pooled_projection_dim=8,
        pos_embed_max_size=8,
    )  # fmt: skip
    nn.init.normal_(made.proj_out.weight, std=0.1)
    return made.eval().requires_grad_(False)


@torch.no_grad()
def sampled(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shapes = (2, 4, 8, 8), (2, 3, 8), (2, 8)
    x, caption, pooled = (torch.randn(shape, generator=generator) for shape in shapes)
    for step in range(STEPS):
        time = torch.full((2,), 1000 * (1 - step / STEPS))
        x = x - model(x, encoder_hidden_states=caption, pooled_projections=pooled, timestep=time).sample / STEPS
    return x


def test_with_an_adapter_there_before(model: nn.Module) -> None:
    plain = sampled(model)
    model.add_adapter(lora())
    adapted = sampled(model)
    assert not torch.allclose(adapted, plain)
    with accelerate(model, "delta-cache", budget=1.0, steps=STEPS):
        assert torch.equal(sampled(model), adapted)
    with accelerate(model, "delta-cache", budget=0.6, steps=STEPS) as session:
        cheap = sampled(model)
    assert session.report().fraction == pytest.approx(0.6, rel=0.05)
    assert 0 < float((cheap - adapted).norm() / adapted.norm()) < 0.5
    assert torch.equal(sampled(model), adapted)
    model.disable_adapters()
    assert torch.equal(sampled(model), plain)


def test_with_an_adapter_that_comes_and_goes_within(model: nn.Module) -> None:
    """The session stays in force, and acts on what the model is at the time."""
    plain = sampled(model)
    with accelerate(model, "delta-cache", budget=0.6, steps=STEPS) as session:
        before = sampled(model)
        model.add_adapter(lora())
        within = sampled(model)
        assert not torch.allclose(within, before)
        model.delete_adapters("default")
        assert torch.equal(sampled(model), before)
    assert session.report().fraction == pytest.approx(0.6, rel=0.05)
    assert torch.equal(sampled(model), plain)
