"""What demonstrations are, and what is wrong with them, before anyone trains on them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from suffuse.policy.data.demonstrations import ACTION, Demonstrations

SHORT_SHARE = 0.2
"""An episode shorter than this share of the median is worth a look."""

LONG_SHARE = 5.0
"""And one longer than this many medians."""

SATURATED_SHARE = 0.2
"""Actions that lie this often exactly on the edge of their range have probably been cut off."""

BLANK_ROWS = 20
"""Rows running in which a vector is all zeros, as a part of a file that is missing reads."""

MOST_NAMED = 5
"""Episodes named in one finding."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something a person should know: an error makes training wrong, a warning may."""

    severity: Literal["error", "warning"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """Shape, type and range of a column; the range is over all finite values."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """Facts and findings about demonstrations; `env_name` is the simulated task that they are of, "" where unknown."""

    env_name: str
    episodes: int
    rows: int
    fps: float | None
    seconds: float | None
    shortest: int
    median: float
    longest: int
    columns: tuple[Column, ...]
    tasks: tuple[str, ...]
    splits: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether there is no error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return asdict(self) | {"sound": self.sound}


def examine(demonstrations: Demonstrations) -> Report:
    """Facts about demonstrations, and every finding: errors first."""
    lengths = demonstrations.lengths
    findings = [
        *_not_finite(demonstrations),
        *_blank(demonstrations),
        *_time_gaps(demonstrations),
        *_odd_lengths(demonstrations),
        *_still_actions(demonstrations),
        *_saturated(demonstrations),
        *_repeated(demonstrations),
    ]
    return Report(
        env_name=str(demonstrations.environment.get("env_name", "")),
        episodes=len(demonstrations),
        rows=demonstrations.rows,
        fps=demonstrations.fps,
        seconds=demonstrations.rows / demonstrations.fps if demonstrations.fps else None,
        shortest=int(lengths.min()),
        median=float(np.median(lengths)),
        longest=int(lengths.max()),
        columns=tuple(_column(name, values) for name, values in sorted(demonstrations.columns.items())),
        tasks=tuple(dict.fromkeys(demonstrations.tasks)),
        splits={name: len(members) for name, members in demonstrations.splits.items()},
        findings=tuple(sorted(findings, key=lambda finding: finding.severity)),
    )


def _column(name: str, values: Shaped[np.ndarray, "..."]) -> Column:
    low = high = float("nan")
    if values.dtype.kind in "fiub" and values.size:
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        if finite.size:
            low, high = float(finite.min()), float(finite.max())
    return Column(name=name, shape=values.shape[1:], dtype=str(values.dtype), low=low, high=high)


def _named(episodes: Shaped[np.ndarray, "..."]) -> str:
    """`episode 3`, `episodes 3, 4`, `episodes 3, 4, 5, 6, 7 and 12 more`."""
    listed = ", ".join(str(int(number)) for number in episodes[:MOST_NAMED])
    more = f" and {len(episodes) - MOST_NAMED} more" if len(episodes) > MOST_NAMED else ""
    return f"episode{'s' if len(episodes) > 1 else ''} {listed}{more}"


def _of_rows(demonstrations: Demonstrations, rows: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """The episodes that rows belong to."""
    return np.unique(np.searchsorted(demonstrations.episode_ends, rows, side="right"))


def _not_finite(demonstrations: Demonstrations) -> Iterator[Finding]:
    for name, values in sorted(demonstrations.columns.items()):
        if values.dtype.kind == "f":
            bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
            if bad.any():
                where = _named(_of_rows(demonstrations, np.flatnonzero(bad)))
                yield Finding(severity="error", text=f"{name} is not finite in {int(bad.sum())} rows, of {where}")


def _blank(demonstrations: Demonstrations) -> Iterator[Finding]:
    """Vectors that are all zeros for many rows, but not always."""
    for name, values in sorted(demonstrations.columns.items()):
        if values.ndim > 1 and values[0].size > 1:
            zero = ~values.reshape(len(values), -1).any(axis=1)
            edges = np.diff(zero.astype(np.int8), prepend=0, append=0)
            begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
            long = np.flatnonzero(ends - begins >= BLANK_ROWS)
            if len(long) and not zero.all():
                first, last = int(begins[long[0]]), int(ends[long[0]])
                yield Finding(severity="warning", text=f"{name} is all zeros from row {first} to {last - 1}")


def _time_gaps(demonstrations: Demonstrations) -> Iterator[Finding]:
    """Moments must be 1 / fps apart, to within half of that."""
    times, fps = demonstrations.columns.get("timestamp"), demonstrations.fps
    if times is None or fps is None:
        return
    apart = np.diff(times.reshape(-1).astype(np.float64))
    apart = np.where(np.isin(np.arange(1, demonstrations.rows), demonstrations.episode_starts), 1 / fps, apart)
    gaps = np.flatnonzero(np.abs(apart - 1 / fps) > 0.5 / fps)
    if len(gaps):
        worst = gaps[np.argmax(np.abs(apart[gaps] - 1 / fps))]
        yield Finding(
            severity="error",
            text=f"{len(gaps)} moments are not 1/{fps:g} s after the one before, the worst {apart[worst]:.3f} s, "
            f"in {_named(_of_rows(demonstrations, gaps))}",
        )


def _odd_lengths(demonstrations: Demonstrations) -> Iterator[Finding]:
    lengths, median = demonstrations.lengths, float(np.median(demonstrations.lengths))
    for odd, word in ((lengths < SHORT_SHARE * median, "short"), (lengths > LONG_SHARE * median, "long")):
        if odd.any():
            where = np.flatnonzero(odd)
            yield Finding(
                severity="warning",
                text=f"{_named(where)} {'is' if len(where) == 1 else 'are'} very {word} beside the median of "
                f"{median:g} rows ({int(lengths[where[0]])} rows)",
            )


def _still_actions(demonstrations: Demonstrations) -> Iterator[Finding]:
    actions = demonstrations.columns[ACTION].reshape(demonstrations.rows, -1)
    for number in np.flatnonzero(actions.min(axis=0) == actions.max(axis=0)):
        yield Finding(severity="warning", text=f"number {number} of the action is always {float(actions[0, number]):g}")


def _saturated(demonstrations: Demonstrations) -> Iterator[Finding]:
    actions = demonstrations.columns[ACTION].reshape(demonstrations.rows, -1)
    if actions.dtype.kind != "f":
        return
    for number in range(actions.shape[1]):
        values = actions[:, number]
        for edge, word in ((values.min(), "lowest"), (values.max(), "highest")):
            share = float((values == edge).mean())
            if share > SATURATED_SHARE and values.min() < values.max():
                yield Finding(
                    severity="warning",
                    text=f"number {number} of the action is at its {word}, {float(edge):g}, in {share:.0%} of them",
                )


def _repeated(demonstrations: Demonstrations) -> Iterator[Finding]:
    """Episodes with the very same actions as an earlier one."""
    first: dict[bytes, int] = {}
    copies = []
    for number in range(len(demonstrations)):
        if first.setdefault(demonstrations.episode(number)[ACTION].tobytes(), number) != number:
            copies.append(number)
    if copies:
        where = _named(np.array(copies))
        yield Finding(severity="warning", text=f"the actions of {where} are exactly those of an earlier one")
