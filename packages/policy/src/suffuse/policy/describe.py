"""Plain facts about a model."""

import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from suffuse.console import because
from suffuse.policy.errors import ModelError
from suffuse.policy.model.pretrained import CONFIG_FILE, WEIGHTS_FILE, model_directory


def describe_model(name_or_path: str | Path) -> dict[str, Any]:
    """What a model directory holds, without loading it. Raises ModelError if it is none."""
    directory = model_directory(name_or_path)
    try:
        config = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
        with safe_open(directory / WEIGHTS_FILE, framework="np") as file:
            sizes = [math.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{directory} is not a model directory: {because(error)}") from error
    return {
        "directory": str(directory),
        "parameters": sum(sizes),
        "mebibytes": round(sum(file.stat().st_size for file in directory.iterdir() if file.is_file()) / 2**20, 2),
        "config": {name: value for name, value in config.items() if not name.startswith("_")},
    }
