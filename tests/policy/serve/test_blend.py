"""From chunk to chunk: the arithmetic, and that a continuation continues."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator

from suffuse.policy import DiffusionPolicy
from suffuse.policy.model.continuation import Continuation, soft_mask
from suffuse.policy.serve.blend import Plans


def chunk(*values: float) -> np.ndarray:
    return np.array([[value, 10 * value] for value in values], np.float32)


def test_the_latest_chunk_counts() -> None:
    plans = Plans("latest")
    plans.add(0, chunk(1, 2, 3))
    plans.add(1, chunk(7))
    assert [plans.at(moment)[0] for moment in range(3)] == [1, 7, 3]
    assert plans.at(3) is None
    assert [plans.left(moment) for moment in (0, 2, 3)] == [3, 1, 0]
    np.testing.assert_array_equal(plans.after(1), chunk(7, 3))


def test_an_ensemble_is_a_weighted_mean_of_all_that_speak_of_a_moment() -> None:
    plans = Plans("ensemble")
    plans.add(0, chunk(1, 2, 3))
    plans.add(1, chunk(4, 5))
    plans.add(2, chunk(9))
    one, two = math.exp(-0.01), math.exp(-0.02)
    assert plans.at(0)[0] == 1
    np.testing.assert_allclose(plans.at(1)[0], (2 + one * 4) / (1 + one), rtol=1e-6)
    np.testing.assert_allclose(plans.at(2)[1], 10 * (3 + one * 5 + two * 9) / (1 + one + two), rtol=1e-6)


def test_a_blend_that_is_none() -> None:
    with pytest.raises((ValueError, TypeError), match="newest"):
        Plans("newest")  # type: ignore[arg-type]


def test_the_soft_mask_is_that_of_the_paper() -> None:
    found = soft_mask(2, 5)
    expected = [1, 1, *(c * (math.exp(c) - 1) / (math.e - 1) for c in (3 / 4, 2 / 4, 1 / 4))]
    np.testing.assert_allclose(found, expected)
    assert soft_mask(0, 1)[0] < 1
    np.testing.assert_array_equal(soft_mask(3, 3), [1, 1, 1])


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 100), ("ddim", 8), ("dpm", 8), ("flow", 8)])
def test_fixed_actions_are_kept_and_the_rest_is_drawn_towards_the_plan(
    make_policy: Callable[..., DiffusionPolicy], sampler: str, steps: int
) -> None:
    """For the robot with a continuation; the one beside it is left alone."""
    process = {"process": "flow"} if sampler == "flow" else {"clip": 5.0}
    policy = make_policy(
        noise=process, sampler=sampler, sampling_steps=steps, observations={"place": [2]}, relative_to="place"
    )
    policy.action_normaliser.set_moments(torch.randn(8, 2), torch.full((8, 2), 2.0))
    place = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 2, 2))).float()

    def draw(*given: Continuation | None) -> np.ndarray:
        own = [Generator().manual_seed(row) for row in range(2)]
        return policy.predict_action_chunk({"place": place}, generators=own, continuations=given).actions

    free = draw(None, None)
    planned = free[0] + np.float32(1.5)
    tied = draw(Continuation(planned=planned, fixed=2), None)
    np.testing.assert_allclose(tied[0, :2], planned[:2], atol=2e-2)
    gap = np.abs(tied[0] - planned).mean(axis=1)
    assert (gap[2:] < np.abs(free[0] - planned).mean(axis=1)[2:] + 1e-3).all()
    np.testing.assert_allclose(tied[1], free[1], atol=1e-4)


def test_continuations_out_of_range(make_policy: Callable[..., DiffusionPolicy]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Continuation(planned=np.zeros((0, 2), np.float32), fixed=0)
    with pytest.raises(ValueError, match="finite"):
        Continuation(planned=np.full((1, 2), np.nan, np.float32), fixed=0)
    with pytest.raises(ValueError, match=r"fixed is 2; it must be in \[0, 1\]"):
        Continuation(planned=np.zeros((1, 2), np.float32), fixed=2)
    seen = {"state": np.zeros((2, 3)), "keypoint": np.zeros((2, 4, 2))}
    with pytest.raises(ValueError, match="there are 2 continuations for 1 robots"):
        make_policy().predict_action_chunk(seen, continuations=[None, None])
