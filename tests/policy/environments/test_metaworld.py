"""Metaworld's tasks: episodes are their seeds, and otherwise just what Metaworld's own environments do."""

import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffuse.policy import (
    DataError,
    Demonstrations,
    ModelError,
    TaskError,
    demonstrate,
    evaluate,
    load_actor,
    recipe_by_name,
    run,
    task_by_name,
    train_policy,
)
from suffuse.policy.data import concatenate, read_demonstrations, write_demonstrations
from suffuse.policy.environments import METAWORLD, TASKS, Episode
from suffuse.policy.environments.metaworld import NAMES, MetaworldEnv, of_metaworld
from suffuse.policy.experts import MetaworldActor

REACH = "metaworld/reach-v3"


def test_names_that_are_not_tasks() -> None:
    with pytest.raises(TaskError, match="there is no task 'metaworld/reach-v2'; the nearest is metaworld/reach-v"):
        task_by_name("metaworld/reach-v2")
    with pytest.raises(TaskError, match="PushT-v0, 3 like fetch/reach-v4 and 50 like metaworld/assembly-v3"):
        task_by_name("Ant")


def test_demonstrations_of_something_else() -> None:
    other = Demonstrations(columns={"state": np.zeros((3, 5)), "action": np.zeros((3, 4))}, episode_ends=np.array([3]))
    with pytest.raises(DataError, match=r"Metaworld needs a column state of 39 numbers; it is of shape \(5,\)"):
        of_metaworld(other)
    with pytest.raises(DataError, match=r"Metaworld needs a column action of 4 numbers; it is of shape \(2,\)"):
        of_metaworld(other.with_columns(state=np.zeros((3, 39)), action=np.zeros((3, 2))))


def test_what_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("metaworld", "metaworld.policies", "metaworld.env_dict"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (lambda: task_by_name(REACH).make(), lambda: MetaworldActor(task_by_name(REACH))):
        with pytest.raises(TaskError, match=r"metaworld.*, which is not installed: pip install 'suffuse-policy\[meta"):
            call()


pytest.importorskip("metaworld", reason="Metaworld comes with the extra metaworld")


@pytest.fixture(scope="module")
def reach() -> Any:
    made = task_by_name(REACH).make()
    yield made
    made.close()


def test_there_are_all_tasks_of_metaworld() -> None:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    assert sorted(f"{name}-v3" for name in NAMES) == sorted(ALL_V3_ENVIRONMENTS)
    assert len(METAWORLD) == 50


def states(environment: Any, name: str, seed: int, steps: int) -> np.ndarray:
    """What is seen in an episode of the expert."""
    episode = Episode(task_by_name(name), environment, seed)
    actor = MetaworldActor(episode.task)
    seen = [episode.observation["state"]]
    for _ in range(steps):
        episode.step(actor.act({0: episode})[0])
        seen.append(episode.observation["state"])
    return np.array(seen)


@pytest.mark.parametrize("name", [REACH, "metaworld/assembly-v3"])
def test_an_episode_is_its_seed_whatever_came_before(name: str) -> None:
    fresh, used = (task_by_name(name).make() for _ in range(2))
    states(used, name, 8, 25)
    expected = states(fresh, name, 3, 25)
    np.testing.assert_array_equal(states(used, name, 3, 25), expected)
    other = states(used, name, 4, 0)
    assert np.abs(other - expected[0])[0, 36:].max() > 0.005, "another seed has another goal"
    fresh.close()
    used.close()


def test_it_is_metaworlds_own_environment(reach: Any) -> None:
    """With places and goal as the seed drew them, Metaworld's task shows and rewards the same, bit for bit."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    from metaworld.types import Task

    ours = reach.unwrapped
    assert isinstance(ours, MetaworldEnv)
    seen, _ = reach.reset(seed=6)
    kind = ALL_V3_ENVIRONMENTS["reach-v3"]
    theirs = kind()
    drawn = {"rand_vec": ours._world._last_rand_vec, "env_cls": kind, "partially_observable": False}
    theirs.set_task(Task(env_name="reach-v3", data=pickle.dumps(drawn)))
    np.testing.assert_array_equal(seen["state"], theirs.reset()[0])
    np.testing.assert_array_equal(seen["state"][36:], theirs._target_pos)
    rng = np.random.default_rng(0)
    for _ in range(10):
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        seen, reward, ended, _, info = reach.step(action)
        expected = theirs.step(action)
        np.testing.assert_array_equal(seen["state"], expected[0])
        assert (reward, ended, info["success"]) == (expected[1], bool(expected[4]["success"]), expected[4]["success"])


def test_the_expert_succeeds() -> None:
    expert = evaluate("expert", REACH, episodes=3, first_seed=40)
    assert expert.success_rate == 1
    assert 20 < expert.mean_steps < 80
    assert expert.mean_max_reward > 9, "10 is the most there is"
    outcome = run("expert", REACH, seed=41)
    assert outcome == expert.outcomes[1]


def test_demonstrations_train_a_policy_of_that_task_alone(tmp_path: Path) -> None:
    made = demonstrate(REACH, 2, first_seed=7)
    assert {name: values.shape[1:] for name, values in made.columns.items()} == {"state": (39,), "action": (4,)}
    assert np.abs(made.columns["action"]).max() <= 1
    assert (made.fps, made.tasks, made.environment) == (80.0, ("Reach.", "Reach."), {"env_name": REACH})
    again = demonstrate(REACH, 1, first_seed=8)
    np.testing.assert_array_equal(again.columns["state"], made.episode(1)["state"])
    for name in ("d.zarr", "d.hdf5"):
        write_demonstrations(made, tmp_path / name)
        assert read_demonstrations(tmp_path / name).environment == {"env_name": REACH}
    policy = train_policy(made, tmp_path / "model", recipe_by_name("metaworld", steps=2, batch=4))
    assert policy.config["task"] == REACH
    actor = load_actor(tmp_path / "model", task_by_name(REACH))
    environment = task_by_name(REACH).make()
    episode = Episode(task_by_name(REACH), environment, 1)
    actor.begin(0, episode)
    assert actor.act({0: episode})[0].shape == (4,)
    environment.close()
    with pytest.raises(ModelError, match="was trained for metaworld/reach-v3, not for metaworld/push-v3"):
        load_actor(tmp_path / "model", task_by_name("metaworld/push-v3"))
    other = demonstrate("metaworld/reach-wall-v3", 1)
    assert concatenate([made, other]).environment == {}
    assert concatenate([made, again]).environment == made.environment


@pytest.mark.filterwarnings("ignore:Constant.s. may be too high")
def test_a_pushed_expert_is_recorded_without_the_pushes() -> None:
    """What is recorded is the expert's answer to what was seen; what was done in between was something else."""
    made = demonstrate(REACH, 1, first_seed=5, disturbance=0.6)
    task = task_by_name(REACH)
    environment = task.make()
    episode, expert = Episode(task, environment, 5), MetaworldActor(task)
    strayed = 0.0
    for state, action in zip(made.columns["state"], made.columns["action"], strict=True):
        np.testing.assert_allclose(np.clip(expert.expert.get_action(state), -1, 1), action, atol=1e-4)
        strayed = max(strayed, float(np.abs(episode.observation["state"][:3] - state[:3]).max()))
        episode.step(action)
    environment.close()
    assert strayed > 0.01, "its own actions alone would have led elsewhere"
    again = demonstrate(REACH, 1, first_seed=5, disturbance=0.6)
    np.testing.assert_array_equal(made.columns["state"], again.columns["state"])


def test_what_no_demonstrations_are_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="seed 100000 is held out"):
        demonstrate(REACH, 2, first_seed=99_999)
    with pytest.raises(ValueError, match=r"disturbance is 1.5; it must be in \[0, 1\]"):
        demonstrate(REACH, 1, disturbance=1.5)
    with pytest.raises(TaskError, match="the expert for gym_pusht/PushT-v0 cannot be disturbed"):
        demonstrate("gym_pusht/PushT-v0", 1, disturbance=0.1)
    monkeypatch.setitem(TASKS, REACH, replace(TASKS[REACH], max_steps=3))
    with pytest.raises(TaskError, match="the expert for metaworld/reach-v3 failed 20 times running, up to seed 19"):
        demonstrate(REACH, 1)


def test_where_no_picture_can_be_drawn_it_is_said(monkeypatch: pytest.MonkeyPatch, reach: Any) -> None:
    def broken() -> None:
        raise AttributeError("'NoneType' object has no attribute 'eglQueryString'")

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(reach.unwrapped._world, "render", broken)
    with pytest.raises(TaskError, match=r"no picture of Metaworld can be drawn with MUJOCO_GL=egl: 'NoneType'.*; set"):
        reach.unwrapped.render()


def test_pictures_are_drawn_where_they_can_be(reach: Any) -> None:
    reach.reset(seed=0)
    try:
        picture = reach.render()
    except TaskError as error:
        pytest.skip(str(error))
    assert picture.shape == (240, 240, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 20
