"""The command line of suffuse-backbone-cli, one file a verb."""

from suffuse.backbone_cli.cli import benchmark, calibrate, report, study, train
from suffuse.backbone_cli.cli.app import app, main

__all__ = ["app", "benchmark", "calibrate", "main", "report", "study", "train"]
