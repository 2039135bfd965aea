"""Delta-Cache against the same arithmetic done by hand, block by block, without any of the machinery."""

import pytest
import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor

from suffuse.backbone import accelerate
from suffuse.backbone.shortcuts import BlockAdaptiveCache, DeltaCache, FeatureInheritance, plan_deltas, spans_between
from suffuse.backbone.sites import Backbone, probe

STEPS = 12


def blocks_of(denoiser):
    profile = probe(Backbone(denoiser.model), **denoiser.inputs)
    return profile.of_kind("block"), profile.flops


def test_rear_blocks_rest_early_and_front_blocks_late(make_denoiser) -> None:
    blocks, full = blocks_of(make_denoiser("PixArtTransformer2DModel"))
    plan = plan_deltas(blocks, full, 20, 0.75, turn=0.5)
    rest = {step: spans for step, spans in enumerate(plan.skipped) if spans}
    assert plan.spread.interval == 2
    for step, spans in rest.items():
        (span,) = spans
        assert (span[0] == 0) if step >= 10 else (span[1] == len(blocks))
        # What is left out was kept by the last step that ran in full.
        last = max(before for before in range(step) if not plan.skipped[before])
        assert span in plan.kept[last]
    assert not any(plan.kept[step] for step in rest)


def test_it_adds_what_the_span_added(make_denoiser) -> None:
    """One stream: the output is that of a loop over the model's own blocks which adds kept differences by hand."""
    denoiser = make_denoiser("PixArtTransformer2DModel")
    model = denoiser.model
    blocks, full_work = blocks_of(denoiser)
    plan = plan_deltas(blocks, full_work, STEPS, 0.6, turn=0.6)
    kept: dict[tuple[int, int], Tensor] = {}
    step_of = {"now": -1}
    originals = [block.forward for block in model.transformer_blocks]
    entered: dict[int, Tensor] = {}

    def by_hand(index: int):
        def forward(hidden_states: Tensor, **kwargs):
            step = step_of["now"]
            entered[index] = hidden_states
            for low, high in plan.skipped[step]:
                if low <= index < high:
                    return hidden_states + kept[low, high] if index == low else hidden_states
            out = originals[index](hidden_states, **kwargs)
            for low, high in plan.kept[step]:
                if index == high - 1:
                    kept[low, high] = out - entered[low]
            return out

        return forward

    with accelerate(model, DeltaCache(budget=0.6), steps=STEPS):
        ours = denoiser.generate(STEPS)
    for index, block in enumerate(model.transformer_blocks):
        block.forward = by_hand(index)
    model.register_forward_pre_hook(lambda *_: step_of.update(now=step_of["now"] + 1))
    assert torch.equal(denoiser.generate(STEPS), ours)


def test_both_streams_of_a_joint_transformer(make_denoiser) -> None:
    """Image and text: where all blocks rest, only what is outside them still depends on the input."""
    denoiser = make_denoiser("SD3Transformer2DModel")
    blocks, _ = blocks_of(denoiser)
    assert [tuple((s.argument, s.position) for s in block.streams.streams) for block in blocks] == [
        (("encoder_hidden_states", 0), ("hidden_states", 1)),
        (("encoder_hidden_states", 0), ("hidden_states", 1)),
        (("hidden_states", 1),),
    ]
    assert blocks[2].streams.ended == (0,)
    assert spans_between(blocks, 0, 3) == [(0, 3)]
    # The same input in each step: what is reused is exact, for two streams, so the output must be the full one.
    full = denoiser.model(**denoiser.inputs, return_dict=False)[0]
    with accelerate(denoiser.model, DeltaCache(budget=0.5), steps=STEPS) as session, torch.no_grad():
        for _ in range(STEPS):
            torch.testing.assert_close(denoiser.model(**denoiser.inputs, return_dict=False)[0], full)
    assert session.report().fraction == pytest.approx(0.5, rel=0.05)


def test_control_residuals_between_blocks_are_not_added_twice() -> None:
    """Something is added between blocks: spans end there, and the residuals of the present step count, once."""
    torch.manual_seed(0)
    model = SD3Transformer2DModel(
        sample_size=8, in_channels=4, num_layers=4, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=16,
        caption_projection_dim=16, pooled_projection_dim=16, out_channels=4, pos_embed_max_size=8,
    ).eval().requires_grad_(False)  # fmt: skip
    inputs = {
        "hidden_states": torch.randn(2, 4, 8, 8),
        "encoder_hidden_states": torch.randn(2, 5, 16),
        "pooled_projections": torch.randn(2, 16),
        "timestep": torch.tensor([1, 1]),
        "block_controlnet_hidden_states": [3 * torch.randn(2, 16, 16) for _ in range(4)],
        "return_dict": False,
    }
    full = model(**inputs)[0]
    with accelerate(model, DeltaCache(budget=0.5), steps=STEPS) as session:
        for _ in range(STEPS):
            torch.testing.assert_close(model(**inputs)[0], full)
    assert session.report().fraction == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    ("name", "shortcut"),
    [
        ("FluxTransformer2DModel", DeltaCache(budget=0.5)),
        ("UNet2DConditionModel", FeatureInheritance(budget=0.7)),
        (
            "FluxTransformer2DModel",
            BlockAdaptiveCache(
                steps=STEPS, updates={"transformer_blocks.0.attn": [0, 5], "transformer_blocks.1.ff": [0, 3, 8]}
            ),
        ),
        ("UNet2DModel", FeatureInheritance(budget=0.7, level="layer")),
    ],
)
def test_batch_mates_have_no_say(make_denoiser, name: str, shortcut) -> None:
    """The first sample of a batch becomes the same beside any second one, and alone."""
    denoiser = make_denoiser(name)
    inputs = {key: value for key, value in denoiser.inputs.items() if isinstance(value, Tensor)}

    def first(rows: list[int], noise: float = 0.0) -> Tensor:
        outputs = []
        torch.manual_seed(3)
        with accelerate(denoiser.model, shortcut, steps=STEPS), torch.no_grad():
            for step in range(STEPS):
                batch = {k: v[rows] if v.shape[0] == 2 else v for k, v in inputs.items()}
                batch[denoiser.sample] = batch[denoiser.sample] * (1 - step / 20)
                batch[denoiser.sample][1:] += noise
                outputs.append(denoiser.model(**batch, return_dict=False)[0][0])
        return torch.stack(outputs)

    together = first([0, 1])
    assert torch.equal(first([0, 1], noise=5.0), together)
    torch.testing.assert_close(first([0]), together, rtol=1e-4, atol=1e-5)


def test_settings_outside_their_ranges() -> None:
    for bad, message in (
        ({"budget": 0.0}, r"budget must be in \(0, 1\], got 0"),
        ({"turn": 1.5}, r"turn must be in \[0, 1\], got 1.5"),
        ({"interval": 1}, "interval must be at least 2, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            DeltaCache(**bad)
    for bad, message in (
        ({"keep": -1}, "keep must not be negative, got -1"),
        ({"early": 0.0}, "early must be above 0, got 0"),
        ({"interval": 1}, "interval must be at least 2, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            FeatureInheritance(**bad)
