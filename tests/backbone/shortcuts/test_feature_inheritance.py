"""Feature inheritance: what the inner stages hand on, seen from outside by a hook."""

import pytest
import torch
from torch import Tensor

from suffuse.backbone import accelerate
from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import FeatureInheritance, polynomial_weights, units
from suffuse.backbone.sites import Backbone, FlopCounter

STEPS = 12


@pytest.mark.parametrize("memory", [1, 2, 3])
def test_the_middle_hands_on_the_polynomial_of_its_last_values(make_denoiser, memory: int) -> None:
    denoiser = make_denoiser("UNet2DModel")
    given: list[Tensor] = []
    denoiser.model.mid_block.register_forward_hook(lambda module, inputs, output: given.append(output))
    shortcut = FeatureInheritance(budget=0.8, interval=3, memory=memory)
    with accelerate(denoiser.model, shortcut, steps=STEPS) as session:
        denoiser.generate(STEPS)
    report = session.report()
    ran = [step for step, row in enumerate(report.steps) if row.flops_run == row.flops_full]
    light = sorted(set(range(STEPS)) - set(ran))
    assert len(light) > 2
    for step in light:
        known = [one for one in reversed(ran) if 0 < one < step][:memory]  # the first step is not remembered
        weights = polynomial_weights(tuple(known), step)
        foretold = sum(weight * given[one] for weight, one in zip(weights, known, strict=True))
        torch.testing.assert_close(given[step], foretold)


def test_a_sample_does_not_depend_on_its_batch_mates(make_denoiser) -> None:
    denoiser = make_denoiser("UNet2DModel")

    def first() -> Tensor:
        with accelerate(denoiser.model, FeatureInheritance(budget=0.75, memory=2), steps=STEPS):
            return denoiser.generate(STEPS).view(STEPS, 2, -1)[:, 0]

    one = first()
    denoiser.inputs["sample"][1] *= 3
    torch.testing.assert_close(first(), one)


def test_memory_has_a_range() -> None:
    with pytest.raises(ShortcutError, match=r"memory must be in \[1, 3\], got 0"):
        FeatureInheritance(memory=0)


@pytest.mark.parametrize("name", ["UNet2DModel", "UNet2DConditionModel"])
def test_single_units_inherit(name: str, make_denoiser) -> None:
    """At rest nothing changes; at work convolutions are really left out, as counted from outside, and so many."""
    denoiser = make_denoiser(name)
    full = denoiser.generate(STEPS)
    with accelerate(denoiser.model, FeatureInheritance(budget=1.0, level="unit"), steps=STEPS):
        assert torch.equal(denoiser.generate(STEPS), full)
    calls = [0]
    for site in units(Backbone(denoiser.model)):
        site.module.register_forward_hook(lambda *_: calls.append(calls.pop() + 1))
    denoiser.generate(1)
    every = calls[0]
    shortcut = FeatureInheritance(budget=0.7, level="unit")
    with accelerate(denoiser.model, shortcut, steps=STEPS) as session, FlopCounter() as work:
        denoiser.generate(STEPS)
    report = session.report()
    assert report.flops_run == pytest.approx(work.total, rel=1e-6)
    assert report.fraction == pytest.approx(0.7, rel=0.05)
    units_run = sum(row.ran for row in report.sites)
    assert units_run < 0.9 * every * STEPS
    assert torch.equal(denoiser.generate(STEPS), full)


def test_units_are_convolutions_and_parts_each_once(make_denoiser) -> None:
    found = units(Backbone(make_denoiser("UNet2DConditionModel").model))
    names = [site.name for site in found]
    assert len(set(names)) == len(names)
    assert "down_blocks.0.resnets.0.conv1" in names
    assert "mid_block.attentions.0.transformer_blocks.0.attn2" in names
    assert not any(name.endswith(("conv_in", "to_q", "nonlinearity")) for name in names)


def test_outside_its_stretch_all_runs(make_denoiser) -> None:
    denoiser = make_denoiser("UNet2DModel")
    shortcut = FeatureInheritance(budget=0.85, within=(0.5, 1.0))
    with accelerate(denoiser.model, shortcut, steps=STEPS) as session:
        denoiser.generate(STEPS)
    light = [step for step, row in enumerate(session.report().steps) if row.flops_run < row.flops_full]
    assert light
    assert min(light) >= STEPS // 2
    assert session.report().fraction == pytest.approx(0.85, rel=0.05)
    with pytest.raises(ShortcutError, match=r"within must be two rising numbers in \[0, 1\], got \(0\.6, 0\.2\)"):
        FeatureInheritance(within=(0.6, 0.2))
