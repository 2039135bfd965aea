"""Simulated demand: who travels where and when, which way, and how long it takes. Real roads, simulated trips."""

from suffuse.trajectory.demand.config import DemandConfig, usual_config
from suffuse.trajectory.demand.simulate import simulate, simulate_requests

__all__ = ["DemandConfig", "simulate", "simulate_requests", "usual_config"]
