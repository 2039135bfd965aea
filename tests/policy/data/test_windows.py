"""Windows against the rule they are cut by, and the batches that training needs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from suffuse.policy.data import Demonstrations, WindowBatches, concatenate, window_rows
from suffuse.policy.errors import DataError


def brute_force(lengths: list[int], o: int, h: int, s: int) -> list[list[int]]:
    """Diffusion Policy's sampler in words: padded by o - 1 before and s - 1 after, every place the window fits."""
    found, start = [], 0
    for length in lengths:
        rows = [start] * (o - 1) + list(range(start, start + length)) + [start + length - 1] * (s - 1)
        places = range(max(len(rows) - h + 1, 1))
        found += [(rows + [start + length - 1] * h)[place : place + h] for place in places]
        start += length
    return found


@pytest.mark.parametrize(("o", "h", "s"), [(2, 16, 8), (1, 4, 4), (2, 9, 8), (3, 8, 2), (1, 1, 1)])
def test_windows_are_those_of_the_rule(make: Callable[..., Demonstrations], o: int, h: int, s: int) -> None:
    lengths = (5, 30, 1, 12)
    found = window_rows(make(lengths), observation_steps=o, horizon=h, action_steps=s)
    assert found.tolist() == brute_force(list(lengths), o, h, s)


def test_a_horizon_that_is_too_short(make: Callable[..., Demonstrations]) -> None:
    with pytest.raises(ValueError, match=r"horizon is 8; it must be at least .* = 9, each"):
        window_rows(make(), observation_steps=2, horizon=8, action_steps=8)


def batches(demonstrations: Demonstrations, seed: int = 0, batch: int = 4) -> WindowBatches:
    return WindowBatches(
        demonstrations, ("state", "keypoint"), observation_steps=2, horizon=4, action_steps=3, batch=batch, seed=seed
    )


def test_a_batch_depends_on_its_number_alone(make: Callable[..., Demonstrations]) -> None:
    forward, backward = batches(make()), batches(make())
    first = [forward[k].actions for k in range(12)]
    second = [backward[k].actions for k in reversed(range(12))]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(second), strict=True))
    assert not torch.equal(batches(make(), seed=1)[0].actions, first[0])


def test_every_window_comes_once_before_any_comes_twice(make: Callable[..., Demonstrations]) -> None:
    made = batches(make(), batch=7)
    windows = len(made.rows)
    drawn = torch.cat([made[k].actions for k in range(windows)])  # seven passes exactly
    for turn in range(7):
        part = drawn[turn * windows : (turn + 1) * windows].flatten(1)
        assert len(torch.unique(part, dim=0)) == len(torch.unique(made.actions[torch.from_numpy(made.rows)], dim=0))


def test_a_batch_holds_what_was_seen_and_what_followed(make: Callable[..., Demonstrations]) -> None:
    demonstrations = make((6,))
    made = batches(demonstrations)
    window = made.at(np.array([3]))  # rows 2 3 4 5
    np.testing.assert_array_equal(window.observations["state"][0], demonstrations.columns["state"][2:4])
    np.testing.assert_array_equal(window.actions[0], demonstrations.columns["action"][2:6])
    assert window.observations["keypoint"].shape == (1, 2, 4, 2)
    moved = window.to(torch.device("meta"))
    assert moved.actions.device.type == moved.observations["state"].device.type == "meta"


def test_episodes_can_be_taken_and_put_together(make: Callable[..., Demonstrations]) -> None:
    given = make()
    parts = [given.take([2]), given.take([0, 1])]
    whole = concatenate(parts)
    assert whole.lengths.tolist() == [7, 5, 9]
    assert whole.tasks == ("task 0", "task 0", "task 1")
    for place, number in enumerate((2, 0, 1)):
        np.testing.assert_array_equal(whole.episode(place)["state"], given.episode(number)["state"])
    assert set(given.observations) == {"state", "keypoint"}


def test_what_does_not_fit_together_is_said(make: Callable[..., Demonstrations]) -> None:
    given = make()
    with pytest.raises(DataError, match="there is no episode 3: there are 3, counted from 0"):
        given.episode(3)
    with pytest.raises(DataError, match="there is no column 'image'"):
        given.only(["image"])
    with pytest.raises(DataError, match="column keypoint differs"):
        concatenate([given, given.only(["state", "reward"])])
    with pytest.raises(DataError, match="no episode is taken"):
        given.take([])
    with pytest.raises(DataError, match="nothing to concatenate"):
        concatenate([])
    with pytest.raises(DataError, match="split odd names episode 9"):
        Demonstrations(columns=given.columns, episode_ends=given.episode_ends, splits={"odd": (9,)})
    with pytest.raises(DataError, match="2 tasks for 3 episodes"):
        Demonstrations(columns=given.columns, episode_ends=given.episode_ends, tasks=("a", "b"))
