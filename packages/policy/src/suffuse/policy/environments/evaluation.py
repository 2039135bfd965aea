"""How good an actor is: many episodes with known seeds, and how sure the figures are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.stats import norm

from suffuse.policy.environments.actors import Actor
from suffuse.policy.environments.task import Episode, Task

FIRST_HELD_OUT_SEED = 100_000
"""Seeds from here on are for evaluation only, as in Diffusion Policy."""

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one episode went: its seed, largest reward, steps, and whether it succeeded."""

    seed: int
    max_reward: float
    steps: int
    success: bool


def roll_out(
    task: Task, actor: Actor, seeds: Sequence[int], *, slots: int, on_end: Callable[[Outcome], None] | None = None
) -> list[Outcome]:
    """One episode for each seed, `slots` at a time, in the order of the seeds. An episode that ends makes room at once.

    Raises:
        ValueError: there are no seeds or no slots.
    """
    if not seeds or slots < 1:
        raise ValueError(f"there are {len(seeds)} seeds and {slots} slots; at least one of each is needed")
    waiting = list(reversed(seeds))
    environments = [task.make() for _ in range(min(slots, len(seeds)))]
    running: dict[int, Episode] = {}
    outcomes: dict[int, Outcome] = {}
    try:
        while waiting or running:
            for slot, environment in enumerate(environments):
                if slot not in running and waiting:
                    running[slot] = Episode(task, environment, waiting.pop())
                    actor.begin(slot, running[slot])
            for slot, action in actor.act(running).items():
                running[slot].step(action)
            for slot, episode in list(running.items()):
                if episode.over:
                    del running[slot]
                    ended = Outcome(
                        seed=episode.seed, max_reward=episode.max_reward, steps=episode.steps, success=episode.success
                    )
                    outcomes[episode.seed] = ended
                    if on_end is not None:
                        on_end(ended)
    finally:
        for environment in environments:
            environment.close()
    return [outcomes[seed] for seed in seeds]


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927), sound at 0 and 1 too. Raises ValueError for a count of 0."""
    if not 0 <= successes <= count or count == 0:
        raise ValueError(f"{successes} successes of {count}; there must be at least one trial, and no more successes")
    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    rate, shrink = successes / count, 1 + z**2 / count
    middle = (rate + z**2 / (2 * count)) / shrink
    half = z / shrink * (rate * (1 - rate) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap_interval(values: Float64[np.ndarray, " n"]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean (Efron 1979), always the same for the same values."""
    generator = np.random.default_rng(0)
    means = values[generator.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of an actor on a task.

    Attributes:
        env: the task.
        model: what acted.
        episodes: number of episodes.
        first_seed: the seed of the first; the others follow.
        success_rate: share of episodes that succeeded.
        mean_max_reward: mean over episodes of the largest reward, 1 at most in PushT.
        ci95: 95 % intervals of both.
        mean_steps: mean control steps of an episode.
        cpu_ms_per_chunk: median CPU milliseconds of one chunk for one robot; None for an actor without chunks.
        cpu_ms_p99: 99th percentile of the same.
        clamped_share: share of the actions drawn that had to be moved into their bounds.
        settings: how chunks were drawn.
        outcomes: every episode.
    """

    env: str
    model: str
    episodes: int
    first_seed: int
    success_rate: float
    mean_max_reward: float
    ci95: dict[str, tuple[float, float]]
    mean_steps: float
    cpu_ms_per_chunk: float | None
    cpu_ms_p99: float | None
    clamped_share: float | None
    settings: dict[str, Any]
    outcomes: tuple[Outcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return asdict(self)


def summarise(
    task: Task,
    model: str,
    outcomes: Sequence[Outcome],
    *,
    chunk_ms: Sequence[float] = (),
    clamped_share: float | None = None,
    settings: dict[str, Any] | None = None,
) -> Evaluation:
    """The figures of episodes that have ended; `chunk_ms` are CPU milliseconds of single chunks."""
    rewards = np.array([outcome.max_reward for outcome in outcomes], dtype=np.float64)
    successes = sum(outcome.success for outcome in outcomes)
    return Evaluation(
        env=task.name,
        model=model,
        episodes=len(outcomes),
        first_seed=outcomes[0].seed,
        success_rate=successes / len(outcomes),
        mean_max_reward=float(rewards.mean()),
        ci95={
            "success_rate": wilson_interval(successes, len(outcomes)),
            "mean_max_reward": bootstrap_interval(rewards),
        },
        mean_steps=float(np.mean([outcome.steps for outcome in outcomes])),
        cpu_ms_per_chunk=float(np.median(chunk_ms)) if len(chunk_ms) else None,
        cpu_ms_p99=float(np.quantile(chunk_ms, 0.99)) if len(chunk_ms) else None,
        clamped_share=clamped_share,
        settings=settings or {},
        outcomes=tuple(outcomes),
    )


def time_of(call: Callable[[], object], repeats: int) -> list[float]:
    """CPU milliseconds of this thread for each of `repeats` calls, after two that warm up."""
    spent = []
    for number in range(repeats + 2):
        began = time.thread_time()
        call()
        if number >= 2:
            spent.append((time.thread_time() - began) * 1000)
    return spent
