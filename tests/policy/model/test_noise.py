"""Noise processes against closed forms: what a perfect denoiser gives must lead every sampler to the data."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDPMScheduler

from suffuse.policy.model.noise import NoiseProcess, Prediction, Process, Sampler

EVERY: list[tuple[Process, Prediction]] = [
    ("diffusion", "epsilon"), ("diffusion", "sample"), ("diffusion", "v_prediction"), ("flow", "epsilon"),
]  # fmt: skip


def squared_cosine(steps: int) -> torch.Tensor:
    """abar_t of Nichol and Dhariwal 2021, equations 16 and 17, every beta at most 0.999."""
    level = [math.cos((k / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(steps + 1)]
    beta = [min(1 - after / before, 0.999) for before, after in pairwise(level)]
    return torch.cumprod(1 - torch.tensor(beta, dtype=torch.float64), dim=0)


def test_noise_levels_are_the_squared_cosine() -> None:
    process = NoiseProcess(prediction="sample")
    clean, noise = torch.randn(2, 100, 3, 2, dtype=torch.float64)
    noisy, wanted = process.add_noise(clean, noise, torch.arange(100))
    kept = squared_cosine(100)[:, None, None]
    torch.testing.assert_close(noisy, kept.sqrt() * clean + (1 - kept).sqrt() * noise, rtol=1e-4, atol=1e-5)
    assert wanted is clean


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_what_is_to_be_found_is_what_diffusers_says(prediction: Prediction) -> None:
    clean, noise = torch.randn(2, 100, 3, 2)
    times = torch.arange(100)
    noisy, wanted = NoiseProcess(prediction=prediction).add_noise(clean, noise, times)
    theirs = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    torch.testing.assert_close(noisy, theirs.add_noise(clean, noise, times))
    expected = noise if prediction == "epsilon" else theirs.get_velocity(clean, noise, times)
    torch.testing.assert_close(wanted, expected)


def test_a_flow_is_a_straight_line() -> None:
    clean, noise = torch.randn(2, 3, 4, 2)
    process = NoiseProcess(process="flow")
    noisy, wanted = process.add_noise(clean, noise, torch.tensor([0.0, 25.0, 100.0]))
    torch.testing.assert_close(noisy[0], clean[0])
    torch.testing.assert_close(noisy[1], 0.75 * clean[1] + 0.25 * noise[1])
    torch.testing.assert_close(noisy[2], noise[2])
    torch.testing.assert_close(wanted, noise - clean)


@pytest.mark.parametrize(("process", "prediction"), EVERY)
@pytest.mark.parametrize("steps", [1, 2, 5, 10, 50])
def test_one_known_answer_is_reached_by_every_sampler(process: Process, prediction: Prediction, steps: int) -> None:
    """All data in one place: the perfect network is known, and every sampler must end there."""
    made = NoiseProcess(process=process, prediction=prediction, clip=1.0)
    answer = torch.tensor([[[0.3, -0.8]]], dtype=torch.float64)
    kept = squared_cosine(100)
    samplers: tuple[Sampler, ...] = ("ddpm", "ddim", "dpm") if process == "diffusion" else ("flow",)
    for sampler in samplers:
        scheduler = made.scheduler(sampler, steps)
        x = torch.randn(1, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        for time in scheduler.timesteps:
            if process == "flow":
                found = (x - answer) / (time / 100)
            else:
                level = kept[int(time)]
                noise = (x - level.sqrt() * answer) / (1 - level).sqrt()
                velocity = level.sqrt() * noise - (1 - level).sqrt() * answer
                found = {"epsilon": noise, "sample": answer, "v_prediction": velocity}[prediction]
            x = scheduler.step(found, time, x, generator=[torch.Generator().manual_seed(1)], return_dict=False)[0]
        torch.testing.assert_close(x, answer, rtol=0, atol=2e-2 if steps == 1 and prediction == "epsilon" else 5e-3)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm"])
def test_a_gaussian_is_drawn_as_it_is(sampler: Sampler) -> None:
    """Data of mean 0.2 and deviation 0.5: the best prediction of clean data is linear, and samples have both."""
    mean, deviation = 0.2, 0.5
    process = NoiseProcess(prediction="sample", clip=None)
    scheduler, kept = process.scheduler(sampler, 100 if sampler == "ddpm" else 50), squared_cosine(100)
    x = torch.randn(20_000, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own = torch.Generator().manual_seed(1)
    for time in scheduler.timesteps:
        level = kept[int(time)]
        gain = level.sqrt() * deviation**2 / (level * deviation**2 + 1 - level)
        found = mean + gain * (x - level.sqrt() * mean)
        x = scheduler.step(found, time, x, generator=own, return_dict=False)[0]
    assert float(x.mean()) == pytest.approx(mean, abs=0.02)
    assert float(x.std()) == pytest.approx(deviation, abs=0.03)


def test_times_are_of_the_whole_range() -> None:
    generator = torch.Generator().manual_seed(0)
    levels = NoiseProcess(train_steps=10).draw_times(5000, generator)
    assert torch.bincount(levels, minlength=10).min() > 400
    times = NoiseProcess(process="flow").draw_times(5000, generator)
    assert 0 < float(times.min()) < 10
    assert 90 < float(times.max()) < 100
    assert float(times.median()) == pytest.approx(50, abs=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"process": "wave"}, "wave"),
        ({"prediction": "score"}, "score"),
        ({"train_steps": 1}, "train_steps is 1; it must be at least 2"),
        ({"clip": 0.0}, "clip is 0.0; it must be positive"),
    ],
)
def test_settings_out_of_range(settings: dict, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        NoiseProcess(**settings)


def test_samplers_out_of_place() -> None:
    with pytest.raises(ValueError, match="sampler is 'flow'; a diffusion model is sampled by ddpm, ddim, dpm"):
        NoiseProcess().scheduler("flow", 5)
    with pytest.raises(ValueError, match=r"steps is 101; it must be in \[1, 100\]"):
        NoiseProcess().scheduler("ddim", 101)
