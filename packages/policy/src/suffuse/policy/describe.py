"""Plain facts about a model."""

from pathlib import Path
from typing import Any

from suffuse.console import CONFIG_FILE, WEIGHTS_FILE, check_files, read_object, tensor_sizes
from suffuse.policy.errors import ModelError
from suffuse.policy.model.pretrained import model_directory


def describe_model(name_or_path: str | Path) -> dict[str, Any]:
    """What a model directory holds, without loading it. Raises ModelError if it is none."""
    directory = model_directory(name_or_path)
    check_files(directory, (CONFIG_FILE, WEIGHTS_FILE), error=ModelError)
    config = read_object(directory / CONFIG_FILE, error=ModelError)
    sizes = tensor_sizes(directory / WEIGHTS_FILE, error=ModelError)
    return {
        "directory": str(directory),
        "parameters": sum(sizes.values()),
        "mebibytes": round(sum(file.stat().st_size for file in directory.iterdir() if file.is_file()) / 2**20, 2),
        "config": {name: value for name, value in config.items() if not name.startswith("_")},
    }
