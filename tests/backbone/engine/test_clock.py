"""Which step a call belongs to: counted, told, or heard from a real pipeline's scheduler."""

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    HeunDiscreteScheduler,
    UNet2DModel,
)

from suffuse.backbone import accelerate
from suffuse.backbone.engine import Clock, ShortcutError


@pytest.fixture
def pipeline() -> DiTPipeline:
    torch.manual_seed(0)
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=4,
        sample_size=8,
        out_channels=4,
        norm_num_groups=4,
    )
    for parameter in transformer.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    vae = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2, latent_channels=4, layers_per_block=1)
    made = DiTPipeline(transformer, vae, DDIMScheduler())
    made.set_progress_bar_config(disable=True)
    return made


def generate(pipeline: DiTPipeline, steps: int, seed: int = 0):
    return pipeline([1, 2], num_inference_steps=steps, generator=torch.manual_seed(seed), output_type="np").images


def test_counting() -> None:
    clock = Clock(steps=3, calls_per_step=2)
    assert [clock.tick() for _ in range(8)] == [0, 0, 1, 1, 2, 2, 0, 0]
    assert clock.generation == 1


def test_telling() -> None:
    clock = Clock(steps=3, calls_per_step=1)
    seen = []
    for step in (0, 1, 1, 2, 0):
        clock.tell(step)
        seen.append((clock.tick(), clock.tick(), clock.generation))
    assert seen == [(0, 0, 1), (1, 1, 1), (1, 1, 1), (2, 2, 1), (0, 0, 2)]
    with pytest.raises(ShortcutError, match=r"step must be in \[0, 2\], got 3"):
        clock.tell(3)
    for bad in ({"steps": 0, "calls_per_step": 1}, {"steps": 1, "calls_per_step": 0}):
        with pytest.raises(ShortcutError, match="must be at least 1, got 0"):
            Clock(**bad)


def test_a_real_pipeline(pipeline) -> None:
    """Steps are heard from the scheduler, generations of different lengths told apart, and all is as before after."""
    full = generate(pipeline, 10)
    with accelerate(pipeline, "delta-cache", budget=0.6) as session:
        first = generate(pipeline, 10)
        other = generate(pipeline, 12, seed=1)
        again = generate(pipeline, 10)
    report = session.report()
    assert report.generations == 3
    assert len(report.steps) == 12
    assert report.fraction == pytest.approx(0.6, rel=0.05)
    assert (first == again).all()
    assert (first != full).any()
    assert abs(first - full).mean() < abs(other - full).mean()
    assert "step" not in pipeline.scheduler.__dict__
    assert "set_timesteps" not in pipeline.scheduler.__dict__
    assert (generate(pipeline, 10) == full).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers and numpy 2
def test_a_scheduler_with_several_calls_a_step_and_one_put_in_later(pipeline) -> None:
    """Heun's scheduler asks twice a step and says so by its timesteps: each call is a step of its own."""
    with accelerate(pipeline, "delta-cache", budget=0.6) as session:
        pipeline.scheduler = HeunDiscreteScheduler()
        generate(pipeline, 8)
    assert len(session.report().steps) == 15
    assert session.report().fraction == pytest.approx(0.6, rel=0.05)
    assert "step" not in pipeline.scheduler.__dict__


def test_a_pipeline_without_a_known_denoiser_says_what_to_write(pipeline) -> None:
    class Secret(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stack = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(3))

    class Pipeline:
        def __init__(self, components) -> None:
            self.components, self.scheduler = components, DDIMScheduler()

    with pytest.raises(ValueError, match=r'register\(Secret, suffuse.backbone.sites.Layout\(blocks=\("stack",\)\)\)'):
        accelerate(Pipeline({"transformer": Secret()}), "delta-cache", budget=0.5)
    with pytest.raises(ShortcutError, match="has no denoiser, only vae"):
        accelerate(Pipeline({"vae": torch.nn.Linear(1, 1)}), "delta-cache", budget=0.5)


def test_two_denoisers_of_one_pipeline() -> None:
    """Each keeps its own account of sites; both are found."""

    class Pipeline:
        def __init__(self) -> None:
            self.scheduler = DDIMScheduler()
            make = lambda: UNet2DModel(  # noqa: E731
                sample_size=8, block_out_channels=(8, 8, 16), norm_num_groups=4, layers_per_block=1,
                down_block_types=("DownBlock2D",) * 3, up_block_types=("UpBlock2D",) * 3,
            )  # fmt: skip
            self.components = {"unet": make(), "refiner": make(), "scheduler": self.scheduler}

    pipeline = Pipeline()
    session = accelerate(pipeline, "feature-inheritance", budget=0.9)
    assert [track.backbone.model for track in session.tracks] == [
        pipeline.components["unet"],
        pipeline.components["refiner"],
    ]
