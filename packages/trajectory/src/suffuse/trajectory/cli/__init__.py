"""The command line of suffuse-trajectory: one file a verb."""

from suffuse.trajectory.cli import audit, evaluate, generate, info, match, prepare, roads, show, simulate, train
from suffuse.trajectory.cli.app import app, main

__all__ = [
    "app",
    "audit",
    "evaluate",
    "generate",
    "info",
    "main",
    "match",
    "prepare",
    "roads",
    "show",
    "simulate",
    "train",
]
