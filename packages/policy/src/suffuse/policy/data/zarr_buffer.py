"""The replay buffer of Diffusion Policy: a zarr group with `data/<column>` and `meta/episode_ends`.

Read as a folder or as a zip (the group at its top, or in the one folder at its top); written as zarr v2, which both
the original code and current zarr read, in compressed chunks along the rows.
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Int64, Shaped
from zarr.storage import LocalStore, ZipStore

from suffuse.console import because
from suffuse.policy.data.demonstrations import Demonstrations
from suffuse.policy.errors import DataError

CHUNK_BYTES = 2**21
"""About how large a chunk is before compression."""


def read_zarr(path: Path, *, columns: Sequence[str] | None = None) -> Demonstrations:
    """Demonstrations in a replay buffer.

    Args:
        path: a `.zarr` folder, or a `.zip` of one.
        columns: those to read, `action` always; None for all.

    Raises:
        DataError: it is no replay buffer, a chunk is damaged, or a named column is missing.
    """
    try:
        with _opened(path) as group:
            data, ends = _parts(path, group)
            names = sorted(data.array_keys()) if columns is None else list(dict.fromkeys([*columns, "action"]))
            for name in names:
                if name not in data:
                    raise DataError(
                        f"{path}: there is no data/{name}: there are {', '.join(sorted(data.array_keys()))}"
                    )
            arrays = {name: _values(path, data[name]) for name in names}
            notes: dict[str, Any] = dict(group.attrs)
    except (OSError, ValueError, RuntimeError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: is not a zarr replay buffer that can be read: {because(error)}") from error
    try:
        return Demonstrations(
            columns=arrays,
            episode_ends=ends,
            fps=notes.get("fps"),
            tasks=tuple(notes.get("tasks", ())),
            splits={name: tuple(episodes) for name, episodes in notes.get("splits", {}).items()},
            environment=notes.get("environment", {}),
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[zarr.Group]:
    """The group of a replay buffer, open to read."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    store: ZipStore | LocalStore
    inside = ""
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            tops = {name.partition("/")[0] for name in archive.namelist()}
        inside = "" if ".zgroup" in tops or "zarr.json" in tops or len(tops) != 1 else tops.pop()
        store = ZipStore(path, mode="r")
    else:
        store = LocalStore(path, read_only=True)
    try:
        yield zarr.open_group(store, mode="r", path=inside)
    finally:
        store.close()


def _parts(path: Path, group: zarr.Group) -> tuple[zarr.Group, Int64[np.ndarray, " n"]]:
    """The data group and the episode ends."""
    data = group.get("data")
    ends = group.get("meta/episode_ends")
    if not isinstance(data, zarr.Group) or not isinstance(ends, zarr.Array):
        missing = "meta/episode_ends" if isinstance(data, zarr.Group) else "data"
        raise DataError(f"{path}: is not a replay buffer: it has no {missing}")
    return data, np.asarray(ends[:]).astype(np.int64).reshape(-1)


def _values(path: Path, array: Any) -> Shaped[np.ndarray, "..."]:
    """All rows of an array. A chunk that is not there reads as zeros, for zarr leaves out chunks of zeros."""
    if not isinstance(array, zarr.Array):
        raise DataError(f"{path}: {array.path} is a group, but must be an array")
    return np.asarray(array[:])


def write_zarr(demonstrations: Demonstrations, path: Path) -> None:
    """Write a replay buffer: a zip if the name ends in `.zip`, else a folder. `path` must be new.

    What the original format has no place for (frame rate, tasks, splits, environment) goes to the group's attributes.
    """
    store = ZipStore(path, mode="w") if path.suffix == ".zip" else LocalStore(path)
    try:
        group = zarr.open_group(store, mode="w", zarr_format=2, attributes=_notes(demonstrations))
        data, meta = group.create_group("data"), group.create_group("meta")
        for name, values in demonstrations.columns.items():
            _create(data, name, values)
        _create(meta, "episode_ends", demonstrations.episode_ends)
    finally:
        store.close()


def _create(group: zarr.Group, name: str, values: Shaped[np.ndarray, "..."]) -> None:
    """One array in chunks of some rows."""
    rows = max(1, min(len(values), CHUNK_BYTES // max(1, values[:1].nbytes)))
    chunks = (rows, *values.shape[1:])
    array = group.create_array(
        name, shape=values.shape, dtype=values.dtype, chunks=chunks, config={"write_empty_chunks": True}
    )
    array[:] = values


def _notes(demonstrations: Demonstrations) -> dict[str, Any]:
    """What is known besides the columns, as JSON values."""
    notes = {
        "fps": demonstrations.fps,
        "tasks": list(demonstrations.tasks),
        "splits": {name: list(episodes) for name, episodes in demonstrations.splits.items()},
        "environment": dict(demonstrations.environment),
    }
    return {name: json.loads(json.dumps(value)) for name, value in notes.items() if value}
