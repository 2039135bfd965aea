"""Evaluation: exact seeds, one result whatever else runs beside it, and intervals against their definitions."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from suffuse.policy import DiffusionPolicy, ModelError, ObservationError, RandomActor, TaskError, evaluate, run
from suffuse.policy.api import check_sees, load_actor
from suffuse.policy.data import read_video
from suffuse.policy.environments import (
    PUSHT,
    TASKS,
    Episode,
    PolicyActor,
    bootstrap_interval,
    roll_out,
    task_by_name,
    wilson_interval,
)

PUSHT_SHAPES = {"agent_pos": [2], "environment_state": [16]}


def pusht_policy(**changes: object) -> DiffusionPolicy:
    torch.manual_seed(0)
    settings: dict[str, object] = {
        "observations": PUSHT_SHAPES, "action_size": 2, "horizon": 10, "sampling_steps": 2,
        "noise": {"prediction": "sample"}, "relative_to": "agent_pos", "action_low": [0.0, 0.0],
        "action_high": [512.0, 512.0], "denoiser": {"type": "transformer", "width": 8, "depth": 1, "heads": 2},
        "task": PUSHT.name,
    }  # fmt: skip
    policy = DiffusionPolicy(**{**settings, **changes}).eval()  # type: ignore[arg-type]
    policy.action_normaliser.scale.fill_(30.0)
    for normaliser in policy.encoder.normalisers.values():
        normaliser.scale.fill_(256.0)
    return policy


class Scripted:
    """Drives to a corner, and notes what it was asked."""

    def __init__(self) -> None:
        self.began: list[tuple[int, int]] = []

    def begin(self, slot: int, episode: Episode) -> None:
        self.began.append((slot, episode.seed))

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, np.ndarray]:
        return {slot: np.float32([20, 20]) for slot in episodes}


def short(monkeypatch: pytest.MonkeyPatch, steps: int = 20) -> None:
    """Episodes of a few steps."""
    monkeypatch.setitem(TASKS, PUSHT.name, replace(PUSHT, max_steps=steps))


def test_an_episode_is_what_its_seed_says() -> None:
    environment = PUSHT.make()
    plain = PUSHT.make()
    episode = Episode(PUSHT, environment, 100_003)
    expected, _ = plain.reset(seed=100_003)
    best = 0.0
    for _ in range(5):
        episode.step(np.float32([300, 200]))
        expected, reward, *_ = plain.step(np.float32([300, 200]))
        best = max(best, reward)
    np.testing.assert_array_equal(episode.observation["environment_state"], expected["environment_state"])
    assert (episode.steps, episode.max_reward, episode.success, episode.over) == (5, best, False, False)
    environment.close()
    plain.close()


def test_every_seed_is_run_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch)
    actor, seen = Scripted(), []
    seeds = [5, 3, 9, 4, 8]
    outcomes = roll_out(
        task_by_name(PUSHT.name), actor, seeds, slots=2, on_end=lambda outcome: seen.append(outcome.seed)
    )
    assert [outcome.seed for outcome in outcomes] == seeds
    assert sorted(seen) == sorted(seeds)
    assert [seed for _, seed in actor.began] == seeds
    assert {slot for slot, _ in actor.began} == {0, 1}
    assert all(outcome.steps == 20 and not outcome.success for outcome in outcomes)


def test_an_episode_does_not_depend_on_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch, 40)
    task, policy = task_by_name(PUSHT.name), pusht_policy()
    alone, beside = (roll_out(task, PolicyActor(policy), [7, 8, 9], slots=slots) for slots in (1, 3))
    np.testing.assert_allclose([o.max_reward for o in alone], [o.max_reward for o in beside], atol=1e-3)
    again = roll_out(task, PolicyActor(policy), [9], slots=1)
    assert again[0] == alone[2]


def test_one_slot_is_select_action_bit_for_bit() -> None:
    policy = pusht_policy()
    environment = PUSHT.make()
    episode, actor = Episode(PUSHT, environment, 11), PolicyActor(pusht_policy())
    actor.begin(0, episode)
    policy.reset(seed=11)
    for _ in range(20):
        expected = policy.select_action(episode.observation)
        done = actor.act({0: episode})[0]
        np.testing.assert_array_equal(done, expected)
        episode.step(done)
    environment.close()


def test_random_actions_hold_and_are_their_seeds() -> None:
    environment = PUSHT.make()
    done = []
    for _ in range(2):
        episode, actor = Episode(PUSHT, environment, 4), RandomActor(hold=3)
        actor.begin(0, episode)
        for _ in range(6):
            done.append(actor.act({0: episode})[0])
            episode.step(done[-1])
    np.testing.assert_array_equal(done[:6], done[6:])
    changes = [not np.array_equal(a, b) for a, b in pairwise(done[:6])]
    assert changes == [False, False, True, False, False]
    assert all(((action >= 0) & (action <= 512)).all() for action in done)
    environment.close()


def test_an_evaluation_has_the_figures_of_its_episodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    short(monkeypatch)
    pusht_policy().save_pretrained(tmp_path / "model")
    result = evaluate(tmp_path / "model", PUSHT.name, episodes=3, first_seed=100_000, sampler="dpm", steps=3, slots=2)
    rewards = [outcome.max_reward for outcome in result.outcomes]
    assert [outcome.seed for outcome in result.outcomes] == [100_000, 100_001, 100_002]
    assert result.mean_max_reward == pytest.approx(np.mean(rewards))
    assert result.ci95["mean_max_reward"][0] <= result.mean_max_reward <= result.ci95["mean_max_reward"][1]
    assert result.settings == {"sampler": "dpm", "steps": 3, "action_steps": 8, "slots": 2}
    assert result.cpu_ms_per_chunk > 0
    assert result.cpu_ms_p99 >= result.cpu_ms_per_chunk
    wanted = {"success_rate", "mean_max_reward", "ci95", "cpu_ms_per_chunk", "episodes"}
    assert wanted <= result.to_dict().keys()
    plain = evaluate("random", PUSHT.name, episodes=2)
    assert plain.cpu_ms_per_chunk is None


def test_a_run_leaves_a_video(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    short(monkeypatch, 5)
    outcome = run("random", PUSHT.name, seed=3, video=tmp_path / "a.mp4")
    assert outcome.steps == 5
    frames = read_video(tmp_path / "a.mp4")
    assert frames.shape == (5, 680, 680, 3)
    assert frames[0].std() > 10


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    pusht_policy(task="lift").save_pretrained(tmp_path / "other")
    with pytest.raises(ModelError, match=f"was trained for lift, not for {PUSHT.name}"):
        load_actor(tmp_path / "other", PUSHT)
    with pytest.raises(ModelError, match="random draws no chunks"):
        load_actor("random", PUSHT, steps=3)
    with pytest.raises(TaskError, match="there is no task 'Ant-v5'"):
        evaluate("random", "Ant-v5")
    with pytest.raises(ValueError, match="episodes is 0"):
        evaluate("random", PUSHT.name, episodes=0)
    blind = pusht_policy(observations={"agent_pos": [2], "force": [3]})
    with pytest.raises(ObservationError, match=r"the policy sees force of shape \(3,\), which .* is not shown there"):
        check_sees(blind, PUSHT)
    with pytest.raises(ObservationError, match=r"sees environment_state of shape \(18,\), which .* has shape \(16,\)"):
        check_sees(pusht_policy(observations={"agent_pos": [2], "environment_state": [18]}), PUSHT)


def test_a_task_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gym_pusht", None)
    with pytest.raises(TaskError, match=r"pip install 'suffuse-policy\[pusht\]'"):
        PUSHT.make()


@pytest.mark.parametrize(("successes", "count"), [(0, 10), (10, 10), (3, 7), (64, 100), (1, 1)])
def test_the_interval_of_a_rate_is_wilsons(successes: int, count: int) -> None:
    expected = binomtest(successes, count).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson_interval(successes, count), (expected.low, expected.high), atol=1e-12)


def test_the_interval_of_a_mean() -> None:
    """Of normal values it is that of the normal theory; of equal ones a point; and it is always the same."""
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.02)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(np.full(9, 0.5)) == (0.5, 0.5)
    with pytest.raises(ValueError, match="0 successes of 0"):
        wilson_interval(0, 0)


def test_nothing_to_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 seeds and 1 slots"):
        roll_out(PUSHT, RandomActor(), [], slots=1)
