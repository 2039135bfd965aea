"""Policies by name or directory: the shipped ones and a user's own."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from suffuse.console import because
from suffuse.policy.errors import ModelError
from suffuse.policy.model.policy import DiffusionPolicy

SHIPPED = Path(__file__).parent.parent / "models"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


def model_directory(name_or_path: str | Path) -> Path:
    """Where a model lies: a shipped one by name, any other by path. Raises ModelError if there is none."""
    shipped = SHIPPED / str(name_or_path)
    if shipped.parent == SHIPPED and (shipped / CONFIG_FILE).is_file():
        return shipped
    directory = Path(name_or_path)
    if directory.is_dir():
        return directory
    names = sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG_FILE}"))
    raise ModelError(
        f"there is no model {str(name_or_path)!r}: it must be a model directory or a shipped model "
        f"({', '.join(names) or 'none is shipped yet'})"
    )


def load_policy(name_or_path: str | Path, *, device: str = "cpu") -> DiffusionPolicy:
    """A policy ready to act.

    Args:
        name_or_path: the name of a shipped model, or a model directory.
        device: where it computes.

    Raises:
        ModelError: one sentence that names the file and what is wrong with it.
    """
    directory = model_directory(name_or_path)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (directory / name).is_file():
            raise ModelError(f"{directory} is not a model directory: it has no {name}")
    _check_config(directory / CONFIG_FILE)
    try:
        with safe_open(directory / WEIGHTS_FILE, framework="np"):
            pass
        loaded, report = DiffusionPolicy.from_pretrained(directory, output_loading_info=True, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{directory / WEIGHTS_FILE} does not hold the weights of {CONFIG_FILE}: {because(error)}"
        ) from None
    if wrong := [*report["missing_keys"], *report["unexpected_keys"]]:
        raise ModelError(
            f"{directory / WEIGHTS_FILE} does not fit {CONFIG_FILE}: {wrong[0]} and {len(wrong) - 1} more differ"
        )
    nn.Module.to(loaded, torch.device(device))
    return loaded.eval()


def _check_config(path: Path) -> None:
    """Raises ModelError for a file that is not the config of a policy."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {because(error)}") from None
    found = config.get("_class_name") if isinstance(config, dict) else type(config).__name__
    if found != DiffusionPolicy.__name__:
        raise ModelError(f"{path}: is of a {found}; it must be of a {DiffusionPolicy.__name__}")
