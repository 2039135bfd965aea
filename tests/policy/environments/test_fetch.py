"""The Fetch arm's tasks: episodes are their seeds, else Gymnasium-Robotics' own, and the experts solve them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from suffuse.policy import DataError, Demonstrations, TaskError, demonstrate, evaluate, recipe_by_name, task_by_name
from suffuse.policy import train_policy as train
from suffuse.policy.environments import FETCH, Episode
from suffuse.policy.environments.fetch import NAMES, of_fetch
from suffuse.policy.experts import FetchActor


def test_demonstrations_of_something_else() -> None:
    other = Demonstrations(columns={"state": np.zeros((3, 5)), "action": np.zeros((3, 4))}, episode_ends=np.array([3]))
    with pytest.raises(DataError, match=r"a column state of 13 or 28 numbers; it is of shape \(5,\)"):
        of_fetch(other)
    with pytest.raises(DataError, match=r"a column action of 4 numbers; it is of shape \(2,\)"):
        of_fetch(other.with_columns(action=np.zeros((3, 2)), state=np.zeros((3, 28))))


def test_what_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    with pytest.raises(
        TaskError, match=r"gymnasium_robotics, which is not installed: pip install 'suffuse-policy\[rob"
    ):
        task_by_name("fetch/push-v4").make()


pytest.importorskip("gymnasium_robotics", reason="the Fetch arm comes with the extra robotics")


@pytest.mark.parametrize("name", NAMES)
def test_the_expert_solves_the_task_and_an_episode_is_its_seed(name: str) -> None:
    """Eight of eight; the same states again after another episode in between."""
    task = task_by_name(f"fetch/{name}-v4")
    environment = task.make()
    actor = FetchActor(task)
    seen: dict[int, list[np.ndarray]] = {}
    for seed in (*range(8), 0):
        episode = Episode(task, environment, seed)
        states = [episode.observation["state"]]
        while not episode.over:
            episode.step(actor.act({0: episode})[0])
            states.append(episode.observation["state"])
        assert episode.success
        assert episode.max_reward == 0.0  # as there: -1 a step until the goal is reached
        if seed in seen:
            np.testing.assert_array_equal(np.stack(states), np.stack(seen[seed]))
        seen[seed] = states
    environment.close()
    assert len({tuple(states[0][-3:]) for states in seen.values()}) == 8  # goals differ


def test_who_acts_at_random_knows_nothing_of_the_goal() -> None:
    """Places and random actions must not come from one stream of numbers."""
    found = evaluate("random", "fetch/reach-v4", episodes=20, first_seed=0)
    assert found.success_rate < 0.5


def test_observations_are_those_of_the_original() -> None:
    """Step by step, with the goal appended."""
    import gymnasium

    task = task_by_name("fetch/push-v4")
    environment = task.make()
    original = gymnasium.make("FetchPush-v4", disable_env_checker=True)
    episode = Episode(task, environment, 3)
    shown, _ = original.reset(seed=3)
    for action in np.random.default_rng(0).uniform(-1, 1, (10, 4)).astype(np.float32):
        np.testing.assert_array_equal(
            episode.observation["state"], np.concatenate([shown["observation"], shown["desired_goal"]])
        )
        episode.step(action)
        shown, *_ = original.step(action)
    environment.close()
    original.close()
    assert len(FETCH) == 3


def test_from_demonstrations_to_a_policy_that_is_evaluated(tmp_path: Path) -> None:
    """The smallest run of the recipe, end to end, with the expert pushed off its way."""
    made = demonstrate("fetch/reach-v4", 3, disturbance=0.3)
    assert made.columns["state"].shape == (made.rows, 13)
    train(made, tmp_path / "reach", recipe_by_name("fetch", steps=2, batch=4))
    found = evaluate(str(tmp_path / "reach"), "fetch/reach-v4", episodes=2)
    assert found.episodes == 2
    assert found.to_dict()["settings"]["action_steps"] == 4
