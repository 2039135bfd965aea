"""Demonstrations to LeRobot datasets, versions 2.1 and 3.0."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Shaped

from suffuse.policy.data import lerobot_layout as layout
from suffuse.policy.data.demonstrations import Demonstrations
from suffuse.policy.data.lerobot_layout import Version, feature_of
from suffuse.policy.data.video import CODEC, DEFAULT_QUALITY, PIXELS, write_video
from suffuse.policy.errors import DataError

Array = Shaped[np.ndarray, "..."]

IMAGES_FOR_STATISTICS = 100


def write_lerobot(
    demonstrations: Demonstrations, root: Path, *, version: Version = "v3.0", quality: int = DEFAULT_QUALITY
) -> None:
    """Write a LeRobot dataset. `root` must be new.

    Images become videos (H.264), which keep them nearly, not exactly. Splits must be ranges of episodes.

    Raises:
        DataError: there is no frame rate, a split is no range, or a column cannot be a feature.
        ValueError: an unknown version.
    """
    if version not in get_args(Version):
        raise ValueError(f"version is {version!r}; it must be one of {', '.join(get_args(Version))}")
    if demonstrations.fps is None:
        raise DataError("a LeRobot dataset needs to know how many moments there are a second: give fps")
    root.mkdir()
    columns = _with_timestamps(demonstrations)
    videos = {feature_of(n): v for n, v in columns.items() if v.ndim == 4 and v.dtype == np.uint8}
    plain = {feature_of(n): v for n, v in columns.items() if feature_of(n) not in videos}
    tasks = list(dict.fromkeys(demonstrations.tasks)) or [""]
    rows = plain | _structure(demonstrations, tasks)
    write = _write_2 if version == "v2.1" else _write_3
    write(demonstrations, root, rows, videos, tasks, quality)
    features = {name: _feature(name, values, video=False) for name, values in rows.items()}
    features |= {name: _feature(name, values, video=True, fps=demonstrations.fps) for name, values in videos.items()}
    _write_json(root / layout.INFO, _info(demonstrations, version, features, len(tasks), len(videos)))


def _with_timestamps(demonstrations: Demonstrations) -> dict[str, Array]:
    """The columns with seconds since the start of each episode, which LeRobot wants."""
    assert demonstrations.fps is not None
    within = np.concatenate([np.arange(length) for length in demonstrations.lengths])
    return {"timestamp": (within / demonstrations.fps).astype(np.float32), **demonstrations.columns}


def _structure(demonstrations: Demonstrations, tasks: list[str]) -> dict[str, Array]:
    """Which row is whose."""
    lengths = demonstrations.lengths
    told = [tasks.index(task) for task in demonstrations.tasks] or [0] * len(lengths)
    return {
        "frame_index": np.concatenate([np.arange(length, dtype=np.int64) for length in lengths]),
        "episode_index": np.repeat(np.arange(len(lengths), dtype=np.int64), lengths),
        "index": np.arange(demonstrations.rows, dtype=np.int64),
        "task_index": np.repeat(np.array(told, dtype=np.int64), lengths),
    }


def _feature(name: str, values: Array, *, video: bool, fps: float = 0.0) -> dict[str, Any]:
    """The entry of a feature in the info."""
    shape = list(values.shape[1:]) or [1]
    if not video:
        if values.dtype.kind not in "fiub":
            raise DataError(f"{name} is of type {values.dtype}; a LeRobot feature must be numbers or truth values")
        return {"dtype": str(values.dtype), "shape": shape, "names": None}
    details = {
        "video.fps": fps,
        "video.height": shape[0],
        "video.width": shape[1],
        "video.channels": 3,
        "video.codec": CODEC.removeprefix("lib").replace("x264", "h264"),
        "video.pix_fmt": PIXELS,
        "video.is_depth_map": False,
        "has_audio": False,
    }
    return {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"], "info": details}


def _info(
    demonstrations: Demonstrations, version: Version, features: dict[str, Any], tasks: int, videos: int
) -> dict[str, Any]:
    fps = float(demonstrations.fps or 0)
    shared = {
        "codebase_version": version,
        "robot_type": None,
        "total_episodes": len(demonstrations),
        "total_frames": demonstrations.rows,
        "total_tasks": tasks,
        "chunks_size": layout.EPISODES_A_CHUNK,
        "fps": int(fps) if fps.is_integer() else fps,
        "splits": _splits(demonstrations),
        "features": features,
    }
    if version == "v2.1":
        chunks = -(-len(demonstrations) // layout.EPISODES_A_CHUNK)
        paths = {"data_path": layout.DATA_2, "video_path": layout.VIDEO_2 if videos else None}
        return shared | {"total_videos": videos * len(demonstrations), "total_chunks": chunks} | paths
    paths = {"data_path": layout.DATA_3, "video_path": layout.VIDEO_3 if videos else None}
    return shared | {"data_files_size_in_mb": 100, "video_files_size_in_mb": 200} | paths


def _splits(demonstrations: Demonstrations) -> dict[str, str]:
    """Splits as ranges; all episodes are for training where nothing is said."""
    found = {}
    for name, members in demonstrations.splits.items():
        if list(members) != list(range(members[0], members[0] + len(members))) if members else True:
            raise DataError(f"split {name} is no range of episodes, as LeRobot needs it")
        found[name] = f"{members[0]}:{members[-1] + 1}"
    return found or {"train": f"0:{len(demonstrations)}"}


def _write_2(
    demonstrations: Demonstrations,
    root: Path,
    rows: dict[str, Array],
    videos: dict[str, Array],
    tasks: list[str],
    quality: int,
) -> None:
    """A file for each episode."""
    episodes, statistics = [], []
    for number, part in enumerate(_slices(demonstrations)):
        where = {"episode_chunk": number // layout.EPISODES_A_CHUNK, "episode_index": number}
        _write_table(root / layout.DATA_2.format(**where), {name: values[part] for name, values in rows.items()})
        for name, frames in videos.items():
            _write_frames(demonstrations, root / layout.VIDEO_2.format(video_key=name, **where), frames[part], quality)
        episodes.append(
            {"episode_index": number, "tasks": [_task(demonstrations, number)], "length": part.stop - part.start}
        )
        own = {name: _statistics(values[part]) for name, values in {**rows, **videos}.items()}
        statistics.append({"episode_index": number, "stats": own})
    _write_lines(root / layout.EPISODES_2, episodes)
    _write_lines(root / layout.STATS_2, statistics)
    _write_lines(root / layout.TASKS_2, [{"task_index": index, "task": task} for index, task in enumerate(tasks)])


def _write_3(
    demonstrations: Demonstrations,
    root: Path,
    rows: dict[str, Array],
    videos: dict[str, Array],
    tasks: list[str],
    quality: int,
) -> None:
    """One file for all episodes, and a table that says which rows and seconds are whose."""
    assert demonstrations.fps is not None
    where = {"chunk_index": 0, "file_index": 0}
    _write_table(root / layout.DATA_3.format(**where), rows)
    for name, frames in videos.items():
        _write_frames(demonstrations, root / layout.VIDEO_3.format(video_key=name, **where), frames, quality)
    records: list[dict[str, Any]] = []
    for number, part in enumerate(_slices(demonstrations)):
        record: dict[str, Any] = {
            "episode_index": number,
            "tasks": [_task(demonstrations, number)],
            "length": part.stop - part.start,
            "dataset_from_index": part.start,
            "dataset_to_index": part.stop,
        }
        for what in ("data", "meta/episodes", *(f"videos/{name}" for name in videos)):
            record |= {f"{what}/chunk_index": 0, f"{what}/file_index": 0}
        for name in videos:
            record[f"videos/{name}/from_timestamp"] = part.start / demonstrations.fps
            record[f"videos/{name}/to_timestamp"] = part.stop / demonstrations.fps
        records.append(record)
    path = root / layout.EPISODES_3 / "chunk-000" / "file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(records), path)
    named = {"task_index": list(range(len(tasks))), "task": tasks}
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": [], "pandas_version": "2.0.0"}
    pq.write_table(pa.table(named).replace_schema_metadata({"pandas": json.dumps(pandas)}), root / layout.TASKS_3)
    _write_json(root / layout.STATS_3, {name: _statistics(values) for name, values in {**rows, **videos}.items()})


def _slices(demonstrations: Demonstrations) -> list[slice]:
    ends = demonstrations.episode_ends
    return [slice(int(a), int(b)) for a, b in zip(demonstrations.episode_starts, ends, strict=True)]


def _task(demonstrations: Demonstrations, number: int) -> str:
    return demonstrations.tasks[number] if demonstrations.tasks else ""


def _write_table(path: Path, columns: dict[str, Array]) -> None:
    """Single numbers as such, vectors as lists of a fixed length, larger arrays as lists of lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table: dict[str, pa.Array] = {}
    for name, values in columns.items():
        array: Any = pa.array(values.reshape(-1))
        for side in reversed(values.shape[1:] if values.shape[1:] != (1,) else ()):
            array = pa.FixedSizeListArray.from_arrays(array, side)
        table[name] = array
    pq.write_table(pa.table(table), path)


def _write_frames(demonstrations: Demonstrations, path: Path, frames: Array, quality: int) -> None:
    assert demonstrations.fps is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(frames, path, fps=demonstrations.fps, quality=quality)


def _statistics(values: Array) -> dict[str, Any]:
    """Range, mean and standard deviation of every number; of images those of each colour, from 0 to 1."""
    shape: tuple[int, ...]
    if values.dtype == np.uint8 and values.ndim == 4:
        chosen = values[np.unique(np.linspace(0, len(values) - 1, min(len(values), IMAGES_FOR_STATISTICS)).astype(int))]
        spread = np.moveaxis(chosen, -1, 0).reshape(3, -1).T / 255.0
        shape, count = (3, 1, 1), len(chosen)
    else:
        spread, shape, count = values.reshape(len(values), -1).astype(np.float64), values.shape[1:] or (1,), len(values)
    found = {
        "min": spread.min(axis=0),
        "max": spread.max(axis=0),
        "mean": spread.mean(axis=0),
        "std": spread.std(axis=0),
    }
    return {name: value.reshape(shape).tolist() for name, value in found.items()} | {"count": [count]}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
