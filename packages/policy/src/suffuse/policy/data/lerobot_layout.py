"""How a LeRobot dataset is laid out, versions 2.1 and 3.0: names of files, and of features here and there.

Both have `meta/info.json`. Version 2.1 has a parquet file and, for every camera, a video for each episode; 3.0 puts
many episodes into one file and says in `meta/episodes/` which rows and seconds are whose.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from suffuse.console import because
from suffuse.policy.data.demonstrations import ACTION
from suffuse.policy.errors import DataError

Version = Literal["v2.1", "v3.0"]

INFO = "meta/info.json"
EPISODES_2 = "meta/episodes.jsonl"
TASKS_2 = "meta/tasks.jsonl"
STATS_2 = "meta/episodes_stats.jsonl"
EPISODES_3 = "meta/episodes"
TASKS_3 = "meta/tasks.parquet"
STATS_3 = "meta/stats.json"
DATA_2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
DATA_3 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_A_CHUNK = 1000

STRUCTURE = ("index", "episode_index", "frame_index", "task_index")
"""Features that say which row is whose: made when writing, checked when reading, and no columns here."""

OUTCOMES = ("reward", "done", "success")
"""Columns that are `next.` features there, one number a row."""


def column_of(feature: str) -> str:
    """The name of a column here: `observation.state` is `state`, `next.reward` is `reward`."""
    for prefix in ("observation.", "next."):
        if feature.startswith(prefix):
            return feature.removeprefix(prefix)
    return feature


def feature_of(column: str) -> str:
    """The name of a feature there."""
    if column in (ACTION, "timestamp"):
        return column
    return f"next.{column}" if column in OUTCOMES else f"observation.{column}"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What `meta/info.json` says.

    Attributes:
        root: the folder.
        version: 2 or 3.
        fps: moments a second.
        features: shape, type and more of every feature.
        episodes: how many there are.
        info: all of the file.
    """

    root: Path
    version: int
    fps: float
    features: dict[str, dict[str, Any]]
    episodes: int
    info: dict[str, Any]

    def path(self, template: str, **values: Any) -> Path:
        """A file by its template. Raises DataError if it would lie outside the folder, or the template is no good."""
        try:
            found = self.root / self.info[template].format(**values)
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"{self.root / INFO}: {template} cannot be filled in: {because(error)}") from error
        if not found.resolve().is_relative_to(self.root.resolve()):
            raise DataError(f"{self.root / INFO}: {template} leads outside the folder, to {found}")
        return found

    def shape(self, feature: str) -> tuple[int, ...]:
        """The shape of a row: that of the feature, but () for outcomes and times, which are plain numbers here."""
        if column_of(feature) in (*OUTCOMES, "timestamp"):
            return ()
        return tuple(int(side) for side in self.features[feature]["shape"])


def read_layout(root: Path) -> Layout:
    """What `meta/info.json` of a dataset says.

    Raises:
        DataError: the file is missing or damaged, or of a version that is not read.
    """
    path = root / INFO
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        version, fps = str(info["codebase_version"]), float(info["fps"])
        features, episodes = dict(info["features"]), int(info["total_episodes"])
        shapes = [tuple(feature["shape"]) and feature["dtype"] for feature in features.values()]
    except OSError as error:
        raise DataError(f"{root}: is not a LeRobot dataset: {because(error)} ({INFO})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is not the info of a LeRobot dataset: {because(error)}") from error
    major = version.removeprefix("v").partition(".")[0]
    if major not in ("2", "3"):
        raise DataError(f"{path}: codebase_version is {version}; versions 2.0, 2.1 and 3.0 are read")
    if not fps > 0:
        raise DataError(f"{path}: fps is {fps}; it must be positive")
    assert len(shapes) == len(features)
    return Layout(root=root, version=int(major), fps=fps, features=features, episodes=episodes, info=info)
