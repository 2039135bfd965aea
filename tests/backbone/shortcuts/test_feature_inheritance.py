"""Feature inheritance: what the inner stages hand on, seen from outside by a hook."""

import pytest
import torch
from torch import Tensor

from suffuse.backbone import accelerate
from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import FeatureInheritance, polynomial_weights

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
