"""Forecast-Cache: its schedule against brute force, its weights against polynomials, its pass against one by hand."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from suffuse.backbone import Calibration, accelerate, calibrate
from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import (
    ForecastCache,
    best_runs,
    even_runs,
    foretelling_error,
    least_squares,
    polynomial_weights,
)

STEPS = 10


def gram_of(path: np.ndarray) -> np.ndarray:
    return path @ path.T


@pytest.mark.parametrize("memory", [1, 2, 3])
def test_the_schedule_is_the_best_of_all(memory: int) -> None:
    rng = np.random.default_rng(memory)
    grams = [gram_of(np.cumsum(rng.normal(size=(8, 5)), axis=0)) for _ in range(2)]

    def cost(runs: tuple[int, ...]) -> float:
        light = set(range(8)) - set(runs)
        known = {step: [run for run in runs if run < step][-memory:] for step in light}
        return sum(float(foretelling_error(gram, known[step])[step]) for gram in grams for step in light)

    for count in (2, 4, 5, 8):
        every = [(0, *inner, 7) for inner in combinations(range(1, 7), count - 2)]
        runs, error = best_runs(grams, count, memory)
        assert runs in every
        assert error == pytest.approx(min(map(cost, every)))
        assert cost(runs) == pytest.approx(error)


def test_weights_of_a_polynomial_are_exact_on_it() -> None:
    known = (7, 4, 2)
    for degree in range(3):
        values = [float(step**degree) for step in known]
        assert np.dot(polynomial_weights(known, 9), values) == pytest.approx(9**degree)
    assert polynomial_weights((3, 1), 4) == pytest.approx((1.5, -0.5))


def test_least_squares_finds_what_generated_the_path() -> None:
    """d_t = 1.5 d_(t-1) - 0.7 d_(t-2): two steps foretell the next one exactly, a polynomial does not."""
    rng = np.random.default_rng(0)
    path = list(rng.normal(size=(2, 400)))
    for _ in range(4):
        path.append(1.5 * path[-1] - 0.7 * path[-2])
    gram = gram_of(np.array(path))
    np.testing.assert_allclose(least_squares(gram, [3, 2])[:, 4], [1.5, -0.7], atol=1e-3)
    assert foretelling_error(gram, [3, 2])[4] < 1e-5


@pytest.mark.parametrize("memory", [1, 2, 3])
def test_it_adds_the_polynomial_of_what_was_added(make_denoiser, memory: int) -> None:
    """One stream: the output is that of a loop over the model's own blocks with the forecast done by hand."""
    denoiser = make_denoiser("PixArtTransformer2DModel")
    blocks = denoiser.model.transformer_blocks
    with accelerate(denoiser.model, ForecastCache(budget=0.6, memory=memory), steps=STEPS) as session:
        ours = [denoiser.generate(STEPS), denoiser.generate(STEPS)]
    assert session.report().fraction == pytest.approx(0.6, rel=0.05)
    assert torch.equal(ours[0], ours[1])
    ran = {step for step, row in enumerate(session.report().steps) if row.flops_run == row.flops_full}
    assert ran == set(even_runs(len(ran), STEPS))

    step = {"now": -1}
    entered: dict[int, Tensor] = {}
    added: dict[int, Tensor] = {}
    originals = [block.forward for block in blocks]

    def by_hand(index: int):
        def forward(hidden_states: Tensor, **kwargs):
            now = step["now"]
            if now in ran:
                entered[index] = hidden_states
                out = originals[index](hidden_states, **kwargs)
                if index == len(blocks) - 1:
                    added[now] = out - entered[0]
                return out
            known = sorted(added, reverse=True)[:memory]
            weights = polynomial_weights(tuple(known), now)
            foretold = sum(weight * added[one] for weight, one in zip(weights, known, strict=True))
            return hidden_states + foretold if index == 0 else hidden_states

        return forward

    for index, block in enumerate(blocks):
        block.forward = by_hand(index)
    denoiser.model.register_forward_pre_hook(lambda *_: step.update(now=step["now"] + 1))
    torch.testing.assert_close(denoiser.generate(STEPS), ours[0])


def test_calibration_comes_nearer_than_the_polynomial(make_denoiser, tmp_path) -> None:
    denoiser = make_denoiser("PixArtTransformer2DModel")

    def generate(seed: int) -> Tensor:
        return denoiser.generate(STEPS, seed + 1)

    found = calibrate(denoiser.model, "forecast-cache", generate, budget=0.5, episodes=2, steps=STEPS)
    found.save(tmp_path / "forecast.json")
    made = Calibration.load(tmp_path / "forecast.json").make()
    full, errors = generate(0), []
    for shortcut in (made, ForecastCache(budget=0.5, memory=1)):
        with accelerate(denoiser.model, shortcut, steps=STEPS) as session:
            errors.append(float((generate(0) - full).norm()))
    assert errors[0] < errors[1]
    assert found.fraction == pytest.approx(0.5, abs=0.5 / STEPS)
    assert session.report().fraction == pytest.approx(found.fraction, abs=1e-6)


def test_a_sample_does_not_depend_on_its_batch_mates(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    shortcut = ForecastCache(budget=0.5)

    def run() -> Tensor:
        with accelerate(denoiser.model, shortcut, steps=STEPS):
            return denoiser.generate(STEPS).view(STEPS, 2, -1)[:, 0]

    one = run()
    denoiser.inputs["hidden_states"][1] *= 3
    torch.testing.assert_close(run(), one)


def test_what_is_refused(make_denoiser) -> None:
    with pytest.raises(ShortcutError, match=r"memory must be in \[1, 3\], got 4"):
        ForecastCache(memory=4)
    with pytest.raises(ShortcutError, match=r"runs must be in \[0, 9\] with both ends"):
        ForecastCache(steps=10, runs=(0, 3))
    denoiser = make_denoiser("DiTTransformer2DModel")
    with (
        pytest.raises(ShortcutError, match="calibrated for 5 steps, got 10"),
        accelerate(denoiser.model, ForecastCache(steps=5, runs=(0, 2, 4)), steps=STEPS),
    ):
        denoiser.generate(STEPS)
    with (
        pytest.raises(ShortcutError, match=r"budget 0.05 cannot be reached in 10 steps; the least is 0\.\d+"),
        accelerate(denoiser.model, ForecastCache(budget=0.05), steps=STEPS),
    ):
        denoiser.generate(STEPS)
    with pytest.raises(ShortcutError, match="for a UNet there is feature-inheritance"):
        accelerate(make_denoiser("UNet2DModel").model, "forecast-cache", steps=STEPS)
