"""Forecast-Cache: its schedule against brute force, its weights against polynomials, its pass against one by hand."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
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
from suffuse.backbone.shortcuts.forecast_budget import farthest, left_over, rear_within, runs_within

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


@pytest.mark.parametrize(
    ("memory", "budget", "rear"), [(1, 0.63, 0), (2, 0.63, 0), (3, 0.63, 0), (2, 0.65, 1), (3, 0.5, 2)]
)
def test_it_adds_the_polynomial_of_what_was_added(make_denoiser, memory: int, budget: float, rear: int) -> None:
    """One stream: the output is that of a loop over the model's own blocks with the forecast done by hand.

    In the partial step the blocks at the front are foretold by what they added themselves, and `rear` blocks run.
    """
    denoiser = make_denoiser("PixArtTransformer2DModel")
    blocks = denoiser.model.transformer_blocks
    with accelerate(denoiser.model, ForecastCache(budget=budget, memory=memory), steps=STEPS) as session:
        ours = [denoiser.generate(STEPS), denoiser.generate(STEPS)]
    report = session.report()
    assert report.fraction == pytest.approx(budget, rel=0.05)
    assert torch.equal(ours[0], ours[1])
    ran = {step for step, row in enumerate(report.steps) if row.flops_run == row.flops_full}
    assert ran == set(even_runs(len(ran), STEPS))
    light = min(row.flops_run for row in report.steps)
    partial = [step for step, row in enumerate(report.steps) if light < row.flops_run < row.flops_full]
    assert sum(row.ran for row in report.sites) / 2 == len(ran) * len(blocks) + rear
    assert len(partial) == (rear > 0)
    cut = len(blocks) - rear

    step = {"now": -1}
    entered: dict[int, Tensor] = {}
    added: dict[int, Tensor] = {}
    added_in_front: dict[int, Tensor] = {}
    originals = [block.forward for block in blocks]

    def by_hand(index: int):
        def forward(hidden_states: Tensor, **kwargs):
            now = step["now"]
            if now in ran:
                entered[index] = hidden_states
                out = originals[index](hidden_states, **kwargs)
                if index == len(blocks) - 1:
                    added[now] = out - entered[0]
                if index == cut - 1 and now > 0:
                    added_in_front[now] = out - entered[0]
                return out
            if now in partial and index >= cut:
                return originals[index](hidden_states, **kwargs)
            whole = added_in_front if now in partial else added
            known = sorted(whole, reverse=True)[:memory]
            weights = polynomial_weights(tuple(known), now)
            foretold = sum(weight * whole[one] for weight, one in zip(weights, known, strict=True))
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
    for shortcut in (ForecastCache(budget=0.5, memory=1), made):
        with accelerate(denoiser.model, shortcut, steps=STEPS) as session:
            errors.append(float((generate(0) - full).norm()))
    assert errors[1] < errors[0]
    report = session.report()
    assert found.fraction == pytest.approx(0.5, rel=0.05)
    assert report.fraction == pytest.approx(found.fraction, abs=1e-6)


@pytest.mark.parametrize("name", ["DiTTransformer2DModel", "SD3Transformer2DModel", "FluxTransformer2DModel"])
@pytest.mark.parametrize("calibrated", [False, True])
def test_the_budget_is_kept(make_denoiser, name: str, calibrated: bool) -> None:
    """Within 5 per cent, where it pays for three full steps: models of one span and several, of one stream and two."""
    denoiser, steps = make_denoiser(name), 9

    def generate(seed: int) -> Tensor:
        return denoiser.generate(steps, seed)

    for budget in (0.65, 0.75):
        shortcut = ForecastCache(budget=budget)
        if calibrated:
            found = calibrate(denoiser.model, "forecast-cache", generate, budget=budget, episodes=1, steps=steps)
            shortcut = found.make()
        with accelerate(denoiser.model, shortcut, steps=steps) as session:
            generate(0)
        assert session.report().fraction == pytest.approx(budget, rel=0.05)
        if calibrated:
            assert session.report().fraction == pytest.approx(found.fraction, abs=1e-6)


@given(
    budget=st.floats(0.1, 1.0),
    steps=st.integers(10, 60),
    costs=st.lists(st.floats(0.5, 1.0), min_size=8, max_size=60),
    outside=st.floats(0.0, 0.05),
)
def test_plans_keep_any_budget_that_pays_for_three_full_steps(
    budget: float, steps: int, costs: list[float], outside: float
) -> None:
    """With eight blocks or more, up to half of which may be missed."""
    shares = [cost / sum(costs) * (1 - outside) for cost in costs]
    assume((budget - outside) / (1 - outside) * steps >= 3)
    count = runs_within(budget, steps, outside)
    runs = even_runs(count, steps)
    assert len(runs) == count
    rear = rear_within(shares, left_over(budget, steps, count, outside))
    assert rear == 0 or farthest(runs, steps) is not None
    taken = outside + (1 - outside) * count / steps + sum(shares[len(shares) - rear :]) / steps
    assert taken == pytest.approx(budget, rel=0.05)


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
    for partial in (2, 3):  # runs itself; nothing but the first step is known
        with pytest.raises(ShortcutError, match=f"partial must be a step behind .* got {partial}"):
            ForecastCache(steps=10, runs=(0, 3, 9) if partial == 3 else (0, 9), partial=partial)
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
