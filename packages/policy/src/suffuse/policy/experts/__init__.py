"""Scripted experts: demonstrations without a human."""

from suffuse.policy.experts.fetch_actor import FetchActor
from suffuse.policy.experts.metaworld_actor import MetaworldActor
from suffuse.policy.experts.pusht_actor import PlannerActor
from suffuse.policy.experts.pusht_planner import PlannerConfig, Push, PushTPlanner
from suffuse.policy.experts.scripted import EXPERTS, Expert, expert_for

__all__ = [
    "EXPERTS",
    "Expert",
    "FetchActor",
    "MetaworldActor",
    "PlannerActor",
    "PlannerConfig",
    "Push",
    "PushTPlanner",
    "expert_for",
]
