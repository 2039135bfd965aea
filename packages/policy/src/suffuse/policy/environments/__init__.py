"""Simulated tasks, whatever acts in them, and how well."""

from suffuse.policy.environments.actors import Actor, PolicyActor, RandomActor
from suffuse.policy.environments.evaluation import (
    Evaluation,
    Outcome,
    bootstrap_interval,
    roll_out,
    summarise,
    wilson_interval,
)
from suffuse.policy.environments.pusht_pictures import PushTCamera, seen_pictures, with_pictures
from suffuse.policy.environments.task import FETCH, METAWORLD, PUSHT, TASKS, Episode, Task, task_by_name

__all__ = [
    "FETCH",
    "METAWORLD",
    "PUSHT",
    "TASKS",
    "Actor",
    "Episode",
    "Evaluation",
    "Outcome",
    "PolicyActor",
    "PushTCamera",
    "RandomActor",
    "Task",
    "bootstrap_interval",
    "roll_out",
    "seen_pictures",
    "summarise",
    "task_by_name",
    "wilson_interval",
    "with_pictures",
]
