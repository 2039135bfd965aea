"""The command line of suffuse-policy: one file a verb."""

from suffuse.policy.cli import evaluate, info, prepare, ros2, run, serve, show, train
from suffuse.policy.cli.app import app, main

__all__ = ["app", "evaluate", "info", "main", "prepare", "ros2", "run", "serve", "show", "train"]
