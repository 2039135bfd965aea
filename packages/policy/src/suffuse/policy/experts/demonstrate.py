"""Demonstrations of a scripted expert, recorded as a person's would be."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from suffuse.policy.data.demonstrations import ACTION, Demonstrations
from suffuse.policy.environments.evaluation import FIRST_HELD_OUT_SEED
from suffuse.policy.environments.task import PUSHT, Episode, task_by_name
from suffuse.policy.errors import DataError, TaskError
from suffuse.policy.experts.pusht_actor import PlannerActor
from suffuse.policy.experts.pusht_planner import pose_of

LONGEST = 200
"""An episode that takes longer is not kept: it shows hesitation rather than skill."""


def demonstrate(
    env: str, episodes: int, *, first_seed: int = 0, on_end: Callable[[], None] | None = None
) -> Demonstrations:
    """Successful episodes of the expert for a task, from seeds `first_seed`, `first_seed + 1` ... on.

    Columns as in the human demonstrations of PushT: `state` (disc x and y, T x and y, angle in [0, 2 pi)) and `action`
    (where the disc is to go), both float32.

    Raises:
        TaskError: there is no expert for the task, or it is not installed.
        DataError: a seed is held out for evaluation.
    """
    task = task_by_name(env)
    if task is not PUSHT:
        raise TaskError(f"there is no scripted expert for {env}; there is one for {PUSHT.name}")
    _check_seeds(first_seed, first_seed + episodes - 1)
    expert = PlannerActor()
    environment = task.make()
    states: list[Float32[np.ndarray, "n k"]] = []
    actions: list[Float32[np.ndarray, "n k"]] = []
    seed = first_seed
    try:
        while len(states) < episodes:
            _check_seeds(first_seed, seed)
            seen, done = _one(expert, Episode(task, environment, seed))
            seed += 1
            if len(done):
                states.append(seen)
                actions.append(done)
                if on_end is not None:
                    on_end()
    finally:
        environment.close()
    return Demonstrations(
        columns={"state": np.concatenate(states), ACTION: np.concatenate(actions)},
        episode_ends=np.cumsum([len(done) for done in actions], dtype=np.int64),
        fps=task.fps,
        tasks=("Push the T onto its place.",) * episodes,
    )


def _check_seeds(first: int, last: int) -> None:
    if last >= FIRST_HELD_OUT_SEED:
        raise DataError(f"seed {max(first, FIRST_HELD_OUT_SEED)} is held out for evaluation; take fewer or lower ones")


def _one(expert: PlannerActor, episode: Episode) -> tuple[Float32[np.ndarray, "n 5"], Float32[np.ndarray, "n 2"]]:
    """States and actions of one episode; none if it failed or took too long."""
    states, actions = [], []
    expert.begin(0, episode)
    while not episode.over and episode.steps < LONGEST:
        x, y, angle = pose_of(episode.observation["environment_state"])
        states.append([*episode.observation["agent_pos"], x, y, angle % (2 * np.pi)])
        actions.append(expert.act({0: episode})[0])
        episode.step(actions[-1])
    if not episode.success:
        return np.zeros((0, 5), np.float32), np.zeros((0, 2), np.float32)
    return np.array(states, dtype=np.float32), np.array(actions, dtype=np.float32)
