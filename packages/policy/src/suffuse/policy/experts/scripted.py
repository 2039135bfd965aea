"""Which scripted expert there is for a task, and what is recorded of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from suffuse.policy.environments.actors import Actor
from suffuse.policy.environments.task import FETCH, METAWORLD, PUSHT, Observation, Task
from suffuse.policy.errors import TaskError
from suffuse.policy.experts.fetch_actor import FetchActor
from suffuse.policy.experts.metaworld_actor import MetaworldActor
from suffuse.policy.experts.pusht_actor import PlannerActor
from suffuse.policy.experts.pusht_planner import pose_of


@dataclass(frozen=True, kw_only=True)
class Expert:
    """A scripted expert.

    Attributes:
        make: the expert for a task.
        record: the columns that demonstrations have of an observation.
        longest: steps of an episode that is kept: a longer one shows hesitation rather than skill.
        words: what an episode is told to do.
        pushed: the numbers of an action by which it may be pushed off its way, each in [-1, 1].
    """

    make: Callable[[Task], Actor]
    record: Callable[[Observation], dict[str, Float32[np.ndarray, "..."]]]
    longest: int
    words: str
    pushed: tuple[int, ...] = ()


def pusht_state(seen: Observation) -> dict[str, Float32[np.ndarray, "..."]]:
    """`state` as in the human demonstrations of PushT: disc x and y, T x and y, angle in [0, 2 pi)."""
    x, y, angle = pose_of(seen["environment_state"])
    return {"state": np.array([*seen["agent_pos"], x, y, angle % (2 * np.pi)], dtype=np.float32)}


def shown_state(seen: Observation) -> dict[str, Float32[np.ndarray, "..."]]:
    """`state` as the task shows it."""
    return {"state": seen["state"].astype(np.float32)}


EXPERTS: dict[str, Expert] = {
    PUSHT.name: Expert(
        make=lambda task: PlannerActor(), record=pusht_state, longest=200, words="Push the T onto its place."
    ),
    **{
        task.name: Expert(
            make=make,
            record=shown_state,
            longest=task.max_steps,
            words=f"{task.name.partition('/')[2].rpartition('-v')[0].replace('-', ' ').capitalize()}.",
            pushed=(0, 1, 2),
        )
        for make, tasks in ((FetchActor, FETCH), (MetaworldActor, METAWORLD))
        for task in tasks
    },
}
"""By the name of the task."""


def expert_for(task: Task) -> Expert:
    """The scripted expert for a task. Raises TaskError if there is none."""
    if task.name not in EXPERTS:
        raise TaskError(f"there is no scripted expert for {task.name}")
    return EXPERTS[task.name]
