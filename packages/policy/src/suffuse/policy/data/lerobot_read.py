"""LeRobot datasets, versions 2.x and 3.0, to demonstrations."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from av.error import FFmpegError
from jaxtyping import Int64, Shaped

from suffuse.console import because
from suffuse.policy.data.demonstrations import ACTION, Demonstrations
from suffuse.policy.data.lerobot_layout import (
    EPISODES_2,
    EPISODES_3,
    EPISODES_A_CHUNK,
    INFO,
    STRUCTURE,
    Layout,
    column_of,
    read_layout,
)
from suffuse.policy.data.video import read_video
from suffuse.policy.errors import DataError

Array = Shaped[np.ndarray, "..."]
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


@dataclass(frozen=True, kw_only=True)
class EpisodeEntry:
    """What the metadata say about one episode: its length, task, and in 3.0 where its rows and frames lie."""

    number: int
    length: int
    task: str
    places: dict[str, Any]


def read_lerobot(root: Path, *, columns: Sequence[str] | None = None) -> Demonstrations:
    """Demonstrations in a LeRobot dataset.

    Args:
        root: its folder.
        columns: those to read, `action` always; None for all. Videos that are not asked for are not decoded.

    Raises:
        DataError: it is no such dataset, a file is missing or damaged, a video is shorter than its episode, or a named
            column is missing.
    """
    layout = read_layout(root)
    episodes = _episodes(layout)
    features = {column_of(name): name for name in layout.features if name not in STRUCTURE}
    if columns is not None:
        for name in columns:
            if name not in features:
                raise DataError(f"{root}: there is no column {name!r}: there are {', '.join(sorted(features))}")
        features = {name: features[name] for name in dict.fromkeys([*columns, ACTION]) if name in features}
    table = _rows(layout, episodes)
    arrays = {
        column: _videos(layout, episodes, name)
        if layout.features[name]["dtype"] == "video"
        else _values(layout, table, name)
        for column, name in features.items()
    }
    try:
        return Demonstrations(
            columns=arrays,
            episode_ends=np.cumsum([episode.length for episode in episodes], dtype=np.int64),
            fps=layout.fps,
            tasks=tuple(episode.task for episode in episodes),
            splits=_splits(layout),
        )
    except DataError as error:
        raise DataError(f"{root}: {error}") from error


def _episodes(layout: Layout) -> list[EpisodeEntry]:
    """All episodes in order. Raises DataError if they are not numbered 0, 1, 2 ..."""
    if layout.version == 2:
        path = layout.root / EPISODES_2
        try:
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {because(error)}") from error
    else:
        path = layout.root / EPISODES_3
        files = sorted(path.glob("chunk-*/file-*.parquet"))
        if not files:
            raise DataError(f"{path}: has no parquet file")
        records = [row for file in files for row in _table(file).to_pylist()]
    try:
        entries = [
            EpisodeEntry(
                number=int(record["episode_index"]),
                length=int(record["length"]),
                task="; ".join(record.get("tasks") or ()),
                places=record,
            )
            for record in records
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: an episode is not as it should be: {because(error)}") from error
    entries.sort(key=lambda entry: entry.number)
    if [entry.number for entry in entries] != list(range(layout.episodes)):
        raise DataError(f"{path}: has {len(entries)} episodes; {INFO} says they are 0 to {layout.episodes - 1}")
    return entries


def _table(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.ParquetFile(path).read(columns=columns)  # a dataset would take folder names for columns
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: is not a parquet file that can be read: {because(error)}") from error


def _rows(layout: Layout, episodes: list[EpisodeEntry]) -> pa.Table:
    """All rows in order, after checking that every episode has as many as it should."""
    if layout.version == 2:
        chunk = int(layout.info.get("chunks_size", EPISODES_A_CHUNK))
        files = [
            layout.path("data_path", episode_chunk=entry.number // chunk, episode_index=entry.number)
            for entry in episodes
        ]
    else:
        pairs = dict.fromkeys(_place(layout, entry, "data") for entry in episodes)
        files = [layout.path("data_path", chunk_index=chunk, file_index=file) for chunk, file in pairs]
    table = pa.concat_tables([_table(file) for file in files], promote_options="default")
    if "episode_index" in table.column_names:
        counted = np.bincount(_numbers(table, "episode_index"), minlength=len(episodes))
        for entry, count in zip(episodes, counted, strict=False):
            if count != entry.length:
                raise DataError(f"{layout.root}: episode {entry.number} has {count} rows, but is {entry.length} long")
        if len(counted) > len(episodes):
            raise DataError(f"{layout.root}: there are rows of episode {len(counted) - 1}, which is not listed")
        if (np.diff(_numbers(table, "episode_index")) < 0).any():
            raise DataError(f"{layout.root}: the rows of an episode do not lie together")
    elif table.num_rows != sum(entry.length for entry in episodes):
        raise DataError(f"{layout.root}: there are {table.num_rows} rows, but episodes of other lengths")
    return table


def _place(layout: Layout, entry: EpisodeEntry, what: str) -> tuple[int, int]:
    """Chunk and file with the rows or a video of an episode of version 3."""
    try:
        return int(entry.places[f"{what}/chunk_index"]), int(entry.places[f"{what}/file_index"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{layout.root}: episode {entry.number} does not say where its {what} is") from error


def _numbers(table: pa.Table, name: str) -> Int64[np.ndarray, " n"]:
    return np.asarray(table.column(name).to_numpy()).astype(np.int64)


def _values(layout: Layout, table: pa.Table, name: str) -> Array:
    """A feature of every row, shaped as the info says."""
    if name not in table.column_names:
        raise DataError(f"{layout.root}: the rows have no {name}, which {INFO} lists")
    feature, shape = layout.features[name], layout.shape(name)
    column = table.column(name).combine_chunks()
    try:
        if feature["dtype"] == "image":
            return np.stack([_picture(value.as_py()) for value in column])
        flat: Any = column
        while isinstance(flat, pa.ChunkedArray | pa.ExtensionArray):
            flat = flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat.storage
        while (
            pa.types.is_list(flat.type) or pa.types.is_large_list(flat.type) or pa.types.is_fixed_size_list(flat.type)
        ):
            flat = flat.flatten()
        if feature["dtype"] == "string":
            return np.asarray(flat.to_pylist(), dtype=np.str_)
        return np.asarray(flat.to_numpy(zero_copy_only=False)).astype(feature["dtype"]).reshape(len(column), *shape)
    except (ValueError, TypeError, FFmpegError) as error:
        raise DataError(f"{layout.root}: {name} is not of shape {shape} in every row: {because(error)}") from error


def _picture(value: dict[str, Any]) -> Array:
    """A PNG or JPEG kept in a row."""
    with av.open(io.BytesIO(value["bytes"]), mode="r") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def _videos(layout: Layout, episodes: list[EpisodeEntry], name: str) -> Array:
    """The frames of a camera for all episodes."""
    parts: list[Array] = []
    open_file: tuple[Path, Array] | None = None
    for entry in episodes:
        if layout.version == 2:
            chunk = int(layout.info.get("chunks_size", EPISODES_A_CHUNK))
            path = layout.path(
                "video_path", episode_chunk=entry.number // chunk, episode_index=entry.number, video_key=name
            )
            first = 0
        else:
            chunk_index, file_index = _place(layout, entry, f"videos/{name}")
            path = layout.path("video_path", video_key=name, chunk_index=chunk_index, file_index=file_index)
            first = round(float(entry.places.get(f"videos/{name}/from_timestamp") or 0.0) * layout.fps)
        if open_file is None or open_file[0] != path:
            open_file = path, read_video(path)
        frames = open_file[1][first : first + entry.length]
        if len(frames) < entry.length:
            raise DataError(
                f"{path}: has {len(frames)} frames for episode {entry.number}, which is {entry.length} long"
            )
        parts.append(frames)
    return np.concatenate(parts)


def _splits(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Splits are ranges of episodes, written `first:last`."""
    found = {}
    for name, text in layout.info.get("splits", {}).items():
        first, colon, last = str(text).partition(":")
        if not (colon and first.strip().isdigit() and last.strip().isdigit()):
            raise DataError(f"{layout.root / INFO}: split {name} is {text!r}; it must be written first:last")
        found[name] = tuple(range(int(first), int(last)))
    return found
