"""Scripted experts: demonstrations without a human."""

from suffuse.policy.experts.pusht_actor import PlannerActor
from suffuse.policy.experts.pusht_planner import PlannerConfig, Push, PushTPlanner

__all__ = ["PlannerActor", "PlannerConfig", "Push", "PushTPlanner"]
