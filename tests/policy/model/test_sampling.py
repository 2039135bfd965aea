"""Samplers as numbers against the schedulers of diffusers, step by step."""

import pytest
import torch
from torch import Generator

from suffuse.policy.model.noise import NoiseProcess, Prediction, Sampler
from suffuse.policy.model.sampling import draw, make_schedule

CASES: list[tuple[Sampler, int]] = [
    ("ddpm", 1), ("ddpm", 7), ("ddpm", 100), ("ddim", 1), ("ddim", 7), ("ddim", 10),
    ("dpm", 1), ("dpm", 2), ("dpm", 10), ("dpm", 14), ("dpm", 15), ("dpm", 33),
]  # fmt: skip


def network(x: torch.Tensor, number: int) -> torch.Tensor:
    """Anything that bends."""
    return torch.tanh(0.7 * x + 0.1 * number)


def ours(process: NoiseProcess, sampler: Sampler, steps: int, x: torch.Tensor) -> torch.Tensor:
    schedule = make_schedule(process, sampler, steps)
    sampling, own = schedule.start(), [Generator().manual_seed(row) for row in range(len(x))]
    for number in range(len(schedule.times)):
        x = sampling.step(number, x, network(x, number), own)
    return x


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("clip", [None, 0.9])
def test_steps_are_those_of_diffusers(prediction: Prediction, clip: float | None) -> None:
    process = NoiseProcess(prediction=prediction, clip=clip)
    for sampler, steps in CASES:
        start = torch.randn(2, 10, 2, generator=Generator().manual_seed(0))
        scheduler, theirs = process.scheduler(sampler, steps), start
        own = [Generator().manual_seed(row) for row in range(2)]
        for number, time in enumerate(scheduler.timesteps):
            found = network(theirs, number)
            theirs = scheduler.step(found, time, theirs, generator=own, return_dict=False)[0]
        # Clean actions from predicted noise are divided by the signal, 1/64 at the first level: rounding shows there.
        torch.testing.assert_close(ours(process, sampler, steps, start), theirs, rtol=1e-4, atol=1e-4)


def test_a_flow_is_that_of_diffusers() -> None:
    process = NoiseProcess(process="flow")
    start = torch.randn(2, 10, 2)
    scheduler, theirs = process.scheduler("flow", 7), start
    for number, time in enumerate(scheduler.timesteps):
        theirs = scheduler.step(network(theirs, number), time, theirs, generator=None, return_dict=False)[0]
    torch.testing.assert_close(ours(process, "flow", 7, start), theirs)


def test_steps_that_share_a_noise_level_do_no_harm() -> None:
    """With as many steps as levels DPM-Solver++ visits two of them twice, where its second order would divide by 0."""
    found = ours(NoiseProcess(prediction="sample"), "dpm", 100, torch.randn(2, 10, 2))
    assert torch.isfinite(found).all()


def test_noise_of_a_sample_comes_from_its_own_generator() -> None:
    together = draw(torch.Size((10, 2)), [Generator().manual_seed(row) for row in range(3)], torch.device("cpu"))
    for row in range(3):
        alone = draw(torch.Size((10, 2)), [Generator().manual_seed(row)], torch.device("cpu"))
        assert torch.equal(alone[0], together[row])
