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
from suffuse.policy.environments.task import PUSHT, TASKS, Episode, Task, task_by_name

__all__ = [
    "PUSHT",
    "TASKS",
    "Actor",
    "Episode",
    "Evaluation",
    "Outcome",
    "PolicyActor",
    "RandomActor",
    "Task",
    "bootstrap_interval",
    "roll_out",
    "summarise",
    "task_by_name",
    "wilson_interval",
]
