"""Demonstrations: episodes of observations and actions, laid end to end, whatever file they came from.

Columns have the same names in every format. What a robot does is `action`; what it sees is an observation (`state`,
`keypoint`, `image` ...); the columns named in `NOT_OBSERVED` are neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from suffuse.policy.errors import DataError

ACTION = "action"
NOT_OBSERVED = frozenset({"action", "reward", "done", "success", "timestamp", "n_contacts", "simulator_state"})
"""Columns that no policy may look at: what was done, what came of it, and what only a simulator knows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstrations:
    """Episodes laid end to end: row i of every column is one moment.

    Attributes:
        columns: arrays with one row a moment, `action` among them; an image is uint8, (height, width, 3).
        episode_ends: the row after the last one of every episode, rising; the last one is the number of rows.
        fps: moments a second; None where the file does not say.
        tasks: what each episode is told to do, in words; empty where the file does not say.
        splits: named sets of episodes.
        environment: what the file says about the simulator, as it says it.
    """

    columns: Mapping[str, Shaped[np.ndarray, "rows ..."]]
    episode_ends: Int64[np.ndarray, " episodes"]
    fps: float | None = None
    tasks: tuple[str, ...] = ()
    splits: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that everything is about the same rows. Raises DataError."""
        ends = self.episode_ends
        if len(ends) == 0:
            raise DataError("there are no episodes")
        if ACTION not in self.columns:
            raise DataError(f"there is no column 'action' among {', '.join(sorted(self.columns)) or 'none'}")
        if ends[0] < 1 or (np.diff(ends) < 1).any():
            at = 0 if ends[0] < 1 else int(np.argmax(np.diff(ends) < 1)) + 1
            raise DataError(f"episode {at} ends at row {ends[at]}; every episode must end after the one before it")
        for name, values in self.columns.items():
            if len(values) != ends[-1]:
                raise DataError(f"{name} has {len(values)} rows, but the last episode ends at row {ends[-1]}")
        if self.tasks and len(self.tasks) != len(ends):
            raise DataError(f"there are {len(self.tasks)} tasks for {len(ends)} episodes")
        for name, episodes in self.splits.items():
            if wrong := [number for number in episodes if not 0 <= number < len(ends)]:
                raise DataError(f"split {name} names episode {wrong[0]}, but there are {len(ends)}, counted from 0")

    def __len__(self) -> int:
        """The number of episodes."""
        return len(self.episode_ends)

    @property
    def rows(self) -> int:
        """The number of moments in all episodes."""
        return int(self.episode_ends[-1])

    @property
    def episode_starts(self) -> Int64[np.ndarray, " episodes"]:
        """The first row of every episode."""
        return np.concatenate([np.zeros(1, np.int64), self.episode_ends[:-1]])

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """Moments in every episode."""
        return np.diff(self.episode_ends, prepend=np.int64(0))

    @property
    def observations(self) -> dict[str, Shaped[np.ndarray, "rows ..."]]:
        """The columns that a policy may look at."""
        return {name: values for name, values in self.columns.items() if name not in NOT_OBSERVED}

    def episode(self, number: int) -> dict[str, Shaped[np.ndarray, "rows ..."]]:
        """The rows of one episode. Raises DataError if there is none of that number."""
        if not 0 <= number < len(self):
            raise DataError(f"there is no episode {number}: there are {len(self)}, counted from 0")
        rows = slice(int(self.episode_starts[number]), int(self.episode_ends[number]))
        return {name: values[rows] for name, values in self.columns.items()}

    def take(self, episodes: Sequence[int] | Int64[np.ndarray, " taken"]) -> "Demonstrations":
        """Some of the episodes, in the given order; the splits, which number all of them, are left out."""
        parts = [self.episode(int(number)) for number in episodes]
        if not parts:
            raise DataError("no episode is taken; at least one must be")
        return replace(
            self,
            columns={name: np.concatenate([part[name] for part in parts]) for name in self.columns},
            episode_ends=np.cumsum([len(part[ACTION]) for part in parts], dtype=np.int64),
            tasks=tuple(self.tasks[int(number)] for number in episodes) if self.tasks else (),
            splits={},
        )

    def with_columns(self, **columns: Shaped[np.ndarray, "rows ..."]) -> "Demonstrations":
        """The same episodes with columns added or replaced."""
        return replace(self, columns={**self.columns, **columns})

    def only(self, names: Sequence[str]) -> "Demonstrations":
        """The same episodes with `action` and the named columns alone. Raises DataError for a name there is not."""
        for name in names:
            if name not in self.columns:
                raise DataError(f"there is no column {name!r}: there are {', '.join(sorted(self.columns))}")
        return replace(self, columns={name: self.columns[name] for name in dict.fromkeys([*names, ACTION])})


def concatenate(parts: Sequence[Demonstrations]) -> Demonstrations:
    """The episodes of several sets after each other; the splits are left out, and an environment that differs.

    Raises:
        DataError: there are none, or their columns, shapes, types or frame rates differ.
    """
    if not parts:
        raise DataError("there is nothing to concatenate")
    first = parts[0]
    for part in parts[1:]:
        kinds = [{n: (v.shape[1:], v.dtype) for n, v in one.columns.items()} for one in (first, part)]
        if kinds[0] != kinds[1]:
            name = sorted(n for n in {*kinds[0], *kinds[1]} if kinds[0].get(n) != kinds[1].get(n))[0]
            raise DataError(f"column {name} differs: {kinds[0].get(name)} in one set, {kinds[1].get(name)} in another")
        if part.fps != first.fps:
            raise DataError(f"one set has {first.fps} moments a second, another {part.fps}")
    offsets = np.cumsum([0, *(part.rows for part in parts[:-1])], dtype=np.int64)
    told = all(part.tasks for part in parts)
    return replace(
        first,
        columns={name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns},
        episode_ends=np.concatenate([part.episode_ends + o for part, o in zip(parts, offsets, strict=True)]),
        tasks=tuple(task for part in parts for task in part.tasks) if told else (),
        splits={},
        environment=first.environment if all(part.environment == first.environment for part in parts) else {},
    )
