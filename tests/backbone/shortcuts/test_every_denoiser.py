"""Every denoiser that diffusers exports: nothing changes at rest, and work is really left out when it is asked for."""

import inspect

import diffusers
import pytest
import torch
from diffusers import ModelMixin

from suffuse.backbone import accelerate
from suffuse.backbone.shortcuts import DeltaCache, FeatureInheritance
from suffuse.backbone.sites import LAYOUTS, Backbone, FlopCounter, probe

STEPS = 10


def test_the_table_holds_every_exported_denoiser() -> None:
    exported = set()
    for name in dir(diffusers):
        if name.startswith("_") or not ("Transformer" in name or "UNet" in name or "Uvit" in name or "DiT" in name):
            continue
        kind = getattr(diffusers, name)
        if inspect.isclass(kind) and issubclass(kind, ModelMixin):
            rooms = kind.__module__.split(".")
            if "transformers" in rooms or "unets" in rooms:
                exported.add(name)
    assert exported | {"PriorTransformer", "UVit2DModel"} == set(LAYOUTS)


@pytest.mark.filterwarnings(
    "ignore:.*deprecated:FutureWarning",  # diffusers about its own modules
    "ignore:flex_attention called without torch.compile:UserWarning",
    "ignore:Initializing zero-element tensors:UserWarning",
    "ignore:In CPU autocast:UserWarning",
)
@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_exact_at_rest_and_cheaper_at_work(name: str, make_denoiser) -> None:
    denoiser = make_denoiser(name)
    backbone = Backbone(denoiser.model)
    kind = "block" if backbone.of_kind("block") else "stage"
    full = denoiser.generate(STEPS)

    # At rest.
    with FlopCounter() as counter:
        start = denoiser.generate(2)
    with accelerate(denoiser.model, "delta-cache", budget=1.0, steps=2):
        assert torch.equal(denoiser.generate(2), start)

    # What can be left out at all, in the seven steps in which anything can be.
    profile = probe(backbone, **denoiser.inputs)
    parts = profile.of_kind(kind)[1:-1] if kind == "stage" else profile.of_kind(kind)
    share = sum(part.flops for part in parts) / profile.flops
    budget = max(0.5, 1 - 0.55 * share)
    shortcut = DeltaCache(budget=budget) if kind == "block" else FeatureInheritance(budget=budget)

    # At work: the counted operations fall to the budget, and are those that the report says.
    with accelerate(denoiser.model, shortcut, steps=STEPS) as session, FlopCounter() as work:
        cheap = denoiser.generate(STEPS)
    report = session.report()
    assert report.flops_full == pytest.approx(counter.total * STEPS / 2, rel=1e-6)
    assert report.flops_run == pytest.approx(work.total, rel=1e-6)
    assert report.fraction == pytest.approx(budget, rel=0.05)
    assert report.warning is None
    # The error is of the size by which the model's own output moves in the steps that are bridged.
    by_step = full.view(STEPS, -1)
    movement = float((by_step[1:] - by_step[:-1]).norm() / full.norm())
    assert 0 < float((cheap - full).norm() / full.norm()) < max(0.02, 3 * movement)

    # Gone without a trace.
    assert torch.equal(denoiser.generate(2), start)
    assert not any("forward" in module.__dict__ for module in denoiser.model.modules())
