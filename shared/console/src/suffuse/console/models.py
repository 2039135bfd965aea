"""Model directories as diffusers lays them out: where one is, what it holds, and the model, or a sentence why not."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from suffuse.console.errors import UserError, because

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


def find_model(
    name_or_path: str | Path, shipped: Path, *, others: tuple[str, ...] = (), error: type[UserError] = UserError
) -> Path:
    """Where a model lies: in the folder `shipped` by name, anywhere else by path.

    Raises `error` if there is none, and names those that are shipped and the `others` that need no directory.
    """
    own = shipped / str(name_or_path)
    if own.parent == shipped and (own / CONFIG_FILE).is_file():
        return own
    directory = Path(name_or_path)
    if str(name_or_path) and directory.is_dir():
        return directory
    names = [*sorted(path.parent.name for path in shipped.glob(f"*/{CONFIG_FILE}")), *others]
    known = f" or one of {', '.join(names)}" if names else ""
    raise error(f"there is no model {str(name_or_path)!r}: it must be a model directory{known}")


def read_object(path: Path, *, error: type[UserError] = UserError) -> dict[str, Any]:
    """The object in a JSON file. Raises `error` for anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as failure:
        raise error(f"{path} cannot be read as JSON: {because(failure)}") from None
    if not isinstance(value, dict):
        raise error(f"{path} holds no JSON object, but a {type(value).__name__}")
    return value


def tensor_sizes(path: Path, *, error: type[UserError] = UserError) -> dict[str, int]:
    """Numbers in each tensor of a safetensors file, by name. Raises `error` for a file that is not whole."""
    try:
        with safe_open(path, framework="np") as file:
            return {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as failure:
        raise error(f"{path} is not a whole safetensors file: {because(failure)}") from None


def check_files(directory: Path, names: tuple[str, ...], *, error: type[UserError] = UserError) -> None:
    """Raise `error` for the first of the files that a directory lacks."""
    for name in names:
        if not (directory / name).is_file():
            raise error(f"{directory} is not a model directory: it has no {name}")


def load_whole(
    from_pretrained: Callable[..., tuple[Any, dict[str, Any]]], directory: Path, *, error: type[UserError] = UserError
) -> Any:
    """The model in a directory, in evaluation mode, whose weights are all that its config asks for, and finite numbers.

    Args:
        from_pretrained: that of a diffusers model.
        directory: holds `CONFIG_FILE` and `WEIGHTS_FILE`; nothing is looked for elsewhere.
        error: what to raise, with a sentence that names the file, for anything else.
    """
    weights = directory / WEIGHTS_FILE
    tensor_sizes(weights, error=error)
    try:
        with _quiet("diffusers"):
            model, report = from_pretrained(directory, output_loading_info=True, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as failure:
        raise error(f"{weights} does not hold the weights of {CONFIG_FILE}: {because(failure)}") from None
    if wrong := [*report["missing_keys"], *report["unexpected_keys"]]:
        raise error(f"{weights} does not fit {CONFIG_FILE}: {wrong[0]} and {len(wrong) - 1} more differ")
    for name, weight in model.state_dict().items():
        if not weight.isfinite().all():
            raise error(f"{weights}: {name} holds numbers that are not finite")
    return model.eval()


@contextmanager
def _quiet(library: str) -> Iterator[None]:
    """Without the warnings of a library whose findings are checked anyway."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
