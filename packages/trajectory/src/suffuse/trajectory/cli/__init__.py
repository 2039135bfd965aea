"""The command line of suffuse-trajectory: one file a verb."""

from suffuse.trajectory.cli import evaluate, generate, info, prepare, roads, show, simulate, train
from suffuse.trajectory.cli.app import app, main

__all__ = ["app", "evaluate", "generate", "info", "main", "prepare", "roads", "show", "simulate", "train"]
