"""Checkpoints that exist whole or not at all.

A checkpoint is a directory `checkpoint-00001234` (updates made so far):

    model.safetensors       weights and persistent buffers of the trained model
    ema.safetensors         the same of its moving average
    optimizer.safetensors   `{parameter}/exp_avg`, `/exp_avg_sq`, `/step`, in the optimizer's own precision
    state.json              scalars, and the size and SHA-256 of the three files above

It is written under a temporary name, flushed to disk and renamed; nothing in it is pickled.
"""

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from suffuse.backbone.train.errors import CheckpointError, TrainError

FORMAT = 1
TENSOR_FILES = ("model", "ema", "optimizer")
STATE_FILE = "state.json"
_NAME = re.compile(r"checkpoint-(\d{8,})")
_TEMPORARY_PREFIX = ".incomplete-"


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoint directories in `directory`, oldest first; they may be damaged."""
    return sorted((path for path in directory.glob("checkpoint-*") if _NAME.fullmatch(path.name)), key=step_of)


def step_of(checkpoint: Path) -> int:
    """The number of updates in a checkpoint's name."""
    match = _NAME.fullmatch(checkpoint.name)
    if match is None:
        raise CheckpointError(f"{checkpoint} is not named like a checkpoint (checkpoint-00001234)")
    return int(match[1])


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; a tensor tied under several names is given once."""
    seen: set[int] = set()
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor) and id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor
    return tensors


@torch.no_grad()
def load_module_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into `module` in place, bit for bit.

    Raises:
        CheckpointError: names, shapes or dtypes are not those of the module.
    """
    own = module_tensors(module)
    if missing := sorted(own.keys() - tensors.keys()):
        raise CheckpointError(f"the checkpoint lacks {missing[0]} (and {len(missing) - 1} more), which the model has")
    if extra := sorted(tensors.keys() - own.keys()):
        raise CheckpointError(f"the checkpoint has {extra[0]} (and {len(extra) - 1} more), which the model lacks")
    for name, tensor in own.items():
        saved = tensors[name]
        if saved.shape != tensor.shape or saved.dtype != tensor.dtype:
            raise CheckpointError(
                f"{name} is {saved.dtype} {tuple(saved.shape)} in the checkpoint "
                f"but {tensor.dtype} {tuple(tensor.shape)} in the model"
            )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def save_checkpoint(
    directory: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> Path:
    """Write `checkpoint-{step}` in `directory` atomically and durably.

    Args:
        directory: the run directory; it exists.
        step: updates made so far.
        tensors: named tensors for each of `TENSOR_FILES`.
        state: JSON values to keep beside them.

    Raises:
        TrainError: it cannot be written, for example because the disk is full; nothing half-written stays.
    """
    final = directory / f"checkpoint-{step:08d}"
    temporary = directory / f"{_TEMPORARY_PREFIX}{final.name}"
    try:
        temporary.mkdir()
        _write(temporary, {"format": FORMAT, "step": step}, tensors, state)
        temporary.rename(final)
        _sync(directory)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainError(f"cannot write {final}: {error}") from error
    return final


def _write(
    folder: Path, header: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> None:
    """Write the files of a checkpoint into an empty folder and flush them."""
    files = {}
    for kind in TENSOR_FILES:
        path = folder / f"{kind}.safetensors"
        save_file({name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors[kind].items()}, path)
        _sync(path)
        files[path.name] = _fingerprint(path)
    (folder / STATE_FILE).write_text(json.dumps({**header, "files": files, **state}, indent=1) + "\n", encoding="utf-8")
    _sync(folder / STATE_FILE)
    _sync(folder)


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The scalars of a checkpoint, after checking that every file is there and unchanged.

    Raises:
        CheckpointError: it is incomplete or damaged; the message names the file.
    """
    path = checkpoint / STATE_FILE
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        format_, files = state["format"], state["files"]
        if format_ != FORMAT:
            raise CheckpointError(f"{path} has format {format_}; this version reads format {FORMAT}")
        for name in (f"{kind}.safetensors" for kind in TENSOR_FILES):
            found = _fingerprint(checkpoint / name)
            if found != files[name]:
                raise CheckpointError(f"{checkpoint / name} is damaged: {found} where {files[name]} was written")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{checkpoint} is incomplete or damaged ({error})") from error
    return state


def read_tensors(checkpoint: Path, kind: str) -> dict[str, Tensor]:
    """The tensors of one of `TENSOR_FILES`, on the CPU.

    Raises:
        CheckpointError: the file is missing or not a whole safetensors file.
    """
    try:
        return load_file(checkpoint / f"{kind}.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint / kind}.safetensors cannot be read ({error})") from error


def newest_checkpoint(directory: Path) -> Path | None:
    """The newest undamaged checkpoint of a run, None where there is no checkpoint at all.

    A damaged one is passed over with a warning.

    Raises:
        CheckpointError: there are checkpoints, and all are damaged.
    """
    found = checkpoints(directory)
    for checkpoint in reversed(found):
        try:
            read_state(checkpoint)
        except CheckpointError as error:
            warnings.warn(f"checkpoint {checkpoint.name} is passed over: {error}", RuntimeWarning, stacklevel=2)
        else:
            return checkpoint
    if found:
        raise CheckpointError(f"none of the {len(found)} checkpoints in {directory} can be read")
    return None


def load_weights(model: nn.Module, checkpoint: Path, *, ema: bool = True) -> nn.Module:
    """Put the averaged (or, with `ema=False`, the raw) weights of a checkpoint into `model`, and give it back.

    Raises:
        CheckpointError: the checkpoint is damaged or of another model.
    """
    read_state(checkpoint)
    load_module_tensors(model, read_tensors(checkpoint, "ema" if ema else "model"))
    return model


def remove_incomplete(directory: Path) -> None:
    """Delete what a killed run left half-written or half-deleted."""
    for path in directory.glob(f"{_TEMPORARY_PREFIX}*"):
        shutil.rmtree(path)


def set_aside_newer(directory: Path, step: int) -> None:
    """Rename checkpoints of more than `step` updates, which were passed over, to `checkpoint-00001234.damaged`."""
    for path in checkpoints(directory):
        if step_of(path) > step:
            aside = path.with_name(f"{path.name}.damaged")
            if aside.exists():
                _remove(aside)
            path.rename(aside)


def prune(directory: Path, keep: int) -> None:
    """Delete all but the `keep` newest checkpoints."""
    for path in checkpoints(directory)[:-keep]:
        _remove(path)


def _remove(path: Path) -> None:
    """Delete a directory so that it is never seen half-deleted under its own name."""
    doomed = path.with_name(f"{_TEMPORARY_PREFIX}removed-{path.name}")
    path.rename(doomed)
    shutil.rmtree(doomed)


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _sync(path: Path) -> None:
    """Flush a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
