"""Demonstrations of a scripted expert, recorded as a person's would be.

An expert that is never off its way shows nothing of how to return to it, and a policy that learnt from it does not know
what to do when its own small errors have led it aside. So it may be pushed while it acts, and what is recorded is what
it does about that: noise injection (DART, Laskey et al. 2017, arXiv:1703.09327), here with noise that lasts for some
steps and comes now and then.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from suffuse.policy.data.demonstrations import ACTION, Demonstrations
from suffuse.policy.environments.actors import Actor
from suffuse.policy.environments.evaluation import FIRST_HELD_OUT_SEED
from suffuse.policy.environments.task import Episode, task_by_name
from suffuse.policy.errors import DataError, TaskError
from suffuse.policy.experts.scripted import Expert, expert_for

APART = 2
"""Beside an episode's seed: environments draw places from the plain one, on which pushes may not depend."""

PUSH_STEPS = 10
"""Control steps that a push lasts."""

PUSH_SHARE = 0.25
"""Of the time, on average, it is pushed."""

MOST_FAILURES = 20
"""Episodes running that the expert may fail, before it is taken to know nothing of the task."""

Columns = dict[str, Float32[np.ndarray, "rows ..."]]


def demonstrate(
    env: str,
    episodes: int,
    *,
    first_seed: int = 0,
    disturbance: float = 0.0,
    on_end: Callable[[], None] | None = None,
) -> Demonstrations:
    """Successful episodes of the expert for a task, from seeds `first_seed`, `first_seed + 1` ... on.

    Columns, all float32: `state` and `action`. In PushT they are those of the human demonstrations: disc x and y, T x
    and y, angle in [0, 2 pi), and where the disc is to go; in Metaworld, what it shows and what it is told.

    With a `disturbance` in [0, 1], the hand is pushed now and then: for 10 steps, normal noise of that standard
    deviation is added to how it moves. The actions recorded are those without it.

    Raises:
        TaskError: there is no expert for the task, it is not installed, fails again and again, or cannot be disturbed.
        DataError: a seed is held out for evaluation.
        ValueError: the disturbance is out of its range.
    """
    if not 0 <= disturbance <= 1:
        raise ValueError(f"disturbance is {disturbance}; it must be in [0, 1]")
    task = task_by_name(env)
    expert = expert_for(task)
    if disturbance and not expert.pushed:
        raise TaskError(f"the expert for {env} cannot be disturbed: leave disturbance at 0")
    _check_seeds(first_seed, first_seed + episodes - 1)
    actor = expert.make(task)
    environment = task.make()
    kept: list[Columns] = []
    seed, failures = first_seed, 0
    try:
        while len(kept) < episodes:
            _check_seeds(first_seed, seed)
            episode = Episode(task, environment, seed)
            recorded = _one(actor, expert, episode, disturbance)
            seed += 1
            if episode.success:
                kept.append(recorded)
                failures = 0
                if on_end is not None:
                    on_end()
                continue
            failures += 1
            if failures == MOST_FAILURES:
                raise TaskError(f"the expert for {env} failed {failures} times running, up to seed {seed - 1}")
    finally:
        environment.close()
    return Demonstrations(
        columns={name: np.concatenate([one[name] for one in kept]) for name in kept[0]},
        episode_ends=np.cumsum([len(one[ACTION]) for one in kept], dtype=np.int64),
        fps=task.fps,
        tasks=(expert.words,) * episodes,
        environment={"env_name": task.name},
    )


def _check_seeds(first: int, last: int) -> None:
    if last >= FIRST_HELD_OUT_SEED:
        raise DataError(f"seed {max(first, FIRST_HELD_OUT_SEED)} is held out for evaluation; take fewer or lower ones")


def _one(actor: Actor, expert: Expert, episode: Episode, disturbance: float) -> Columns:
    """What the expert saw and did in one episode, until its end or for as long as one that is kept may take."""
    rows = []
    rng, pushed = np.random.default_rng(np.random.SeedSequence([episode.seed, APART])), list(expert.pushed)
    actor.begin(0, episode)
    while not episode.over and episode.steps < expert.longest:
        seen = expert.record(episode.observation)
        action = actor.act({0: episode})[0]
        rows.append({**seen, ACTION: action})
        if disturbance:
            if episode.steps % PUSH_STEPS == 0:
                push = rng.normal(0, disturbance, len(pushed)).astype(np.float32) * (rng.uniform() < PUSH_SHARE)
            action = action.copy()
            action[pushed] = np.clip(action[pushed] + push, -1, 1)
        episode.step(action)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
