"""robomimic's HDF5: `data/demo_<i>/{obs/<column>, actions, rewards, dones, states}`, splits in `mask/<name>`.

`next_obs`, which repeats `obs` one row later, is neither read nor written.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Shaped

from suffuse.console import because
from suffuse.policy.data.demonstrations import ACTION, NOT_OBSERVED, Demonstrations
from suffuse.policy.errors import DataError

BESIDE_OBSERVATIONS = {"actions": "action", "rewards": "reward", "dones": "done", "states": "simulator_state"}
"""Names there, and the names of the columns here."""

_DEMO = re.compile(r"demo_(\d+)")


def read_robomimic(path: Path, *, columns: Sequence[str] | None = None) -> Demonstrations:
    """Demonstrations in a robomimic file, in the order of their numbers.

    Args:
        path: the HDF5 file.
        columns: those to read, `action` always; None for all.

    Raises:
        DataError: it is no such file, demonstrations differ in their columns, or a named column is missing.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file, columns)
    except (OSError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is not a robomimic file that can be read: {because(error)}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _read(path: Path, file: h5py.File, columns: Sequence[str] | None) -> Demonstrations:
    data = file.get("data")
    if not isinstance(data, h5py.Group):
        raise DataError("is not a robomimic file: it has no group data")
    names = sorted((name for name in data if _DEMO.fullmatch(name)), key=lambda name: int(name[5:]))
    if not names:
        raise DataError("there are no demonstrations data/demo_<number>")
    episodes = [_episode(data[name], name, columns) for name in names]
    first = episodes[0]
    for name, episode in zip(names, episodes, strict=True):
        if episode.keys() != first.keys():
            odd = sorted(episode.keys() ^ first.keys())[0]
            raise DataError(f"{name} and {names[0]} differ in the column {odd}; all demonstrations must have the same")
    number = {name: index for index, name in enumerate(names)}
    return Demonstrations(
        columns={name: _joined(name, [episode[name] for episode in episodes]) for name in first},
        episode_ends=np.cumsum([len(episode[ACTION]) for episode in episodes], dtype=np.int64),
        splits={name: _split(name, file["mask"][name], number) for name in file.get("mask", {})},
        environment=_environment(data.attrs.get("env_args")),
    )


def _episode(group: h5py.Group, name: str, columns: Sequence[str] | None) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The columns of one demonstration, all of one length."""
    sources = {ours: group[theirs] for theirs, ours in BESIDE_OBSERVATIONS.items() if theirs in group}
    sources |= {column: group["obs"][column] for column in group.get("obs", {})}
    if ACTION not in sources:
        raise DataError(f"{name} has no actions")
    if columns is not None:
        for column in columns:
            if column not in sources:
                raise DataError(f"{name} has no column {column!r}: it has {', '.join(sorted(sources))}")
        sources = {column: sources[column] for column in dict.fromkeys([*columns, ACTION])}
    arrays = {column: np.asarray(source[()]) for column, source in sources.items()}
    for column, values in arrays.items():
        if len(values) != len(arrays[ACTION]):
            raise DataError(f"{name} has {len(values)} rows of {column}, but {len(arrays[ACTION])} actions")
    return arrays


def _joined(name: str, parts: list[Shaped[np.ndarray, "..."]]) -> Shaped[np.ndarray, "..."]:
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise DataError(f"{name} has rows of shape {' and of '.join(map(str, sorted(shapes)))}; they must be alike")
    return np.concatenate(parts)


def _split(name: str, members: h5py.Dataset, number: Mapping[str, int]) -> tuple[int, ...]:
    listed = [member.decode() if isinstance(member, bytes) else str(member) for member in members[()]]
    for member in listed:
        if member not in number:
            raise DataError(f"mask/{name} names {member}, which is not there")
    return tuple(number[member] for member in listed)


def _environment(text: Any) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"env_args is not JSON: {because(error)}") from error
    if not isinstance(found, dict):
        raise DataError(f"env_args is a {type(found).__name__}; it must be a JSON object")
    return found


def write_robomimic(demonstrations: Demonstrations, path: Path) -> None:
    """Write a robomimic file. `path` must be new.

    Raises:
        DataError: a column has no place in the format (a success, a timestamp).

    The format has no place for the frame rate and the tasks either: they are left out.
    """
    theirs = {ours: name for name, ours in BESIDE_OBSERVATIONS.items()}
    homeless = sorted(set(demonstrations.columns) & NOT_OBSERVED - set(theirs))
    if homeless:
        raise DataError(f"robomimic files have no place for the column {homeless[0]}; leave it out")
    with h5py.File(path, "x") as file:
        data = file.create_group("data")
        data.attrs["total"] = demonstrations.rows
        data.attrs["env_args"] = json.dumps(dict(demonstrations.environment))
        for number in range(len(demonstrations)):
            episode = demonstrations.episode(number)
            group = data.create_group(f"demo_{number}")
            group.attrs["num_samples"] = len(episode[ACTION])
            for name, values in episode.items():
                where = theirs.get(name, f"obs/{name}")
                packed = {"compression": "gzip"} if values.dtype == np.uint8 else {}
                group.create_dataset(where, data=values, **packed)
        for name, members in demonstrations.splits.items():
            listed = np.array([f"demo_{number}".encode() for number in members], dtype="S16")
            file.create_dataset(f"mask/{name}", data=listed)
