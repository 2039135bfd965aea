"""Policies by name or directory: the shipped ones and a user's own."""

from pathlib import Path

import torch
from torch import nn

from suffuse.console import CONFIG_FILE, WEIGHTS_FILE, check_files, find_model, load_whole, read_object
from suffuse.policy.errors import ModelError
from suffuse.policy.model.policy import DiffusionPolicy

SHIPPED = Path(__file__).parent.parent / "models"


def model_directory(name_or_path: str | Path) -> Path:
    """Where a model lies: a shipped one by name, any other by path. Raises ModelError if there is none."""
    return find_model(name_or_path, SHIPPED, error=ModelError)


def load_policy(name_or_path: str | Path, *, device: str = "cpu") -> DiffusionPolicy:
    """A policy ready to act.

    Args:
        name_or_path: the name of a shipped model, or a model directory.
        device: where it computes.

    Raises:
        ModelError: one sentence that names the file and what is wrong with it.
    """
    directory = model_directory(name_or_path)
    check_files(directory, (CONFIG_FILE, WEIGHTS_FILE), error=ModelError)
    made_for = read_object(directory / CONFIG_FILE, error=ModelError).get("_class_name")
    if made_for != DiffusionPolicy.__name__:
        raise ModelError(f"{directory / CONFIG_FILE}: is of a {made_for}; it must be of a {DiffusionPolicy.__name__}")
    policy: DiffusionPolicy = load_whole(DiffusionPolicy.from_pretrained, directory, error=ModelError)
    nn.Module.to(policy, torch.device(device))
    return policy
