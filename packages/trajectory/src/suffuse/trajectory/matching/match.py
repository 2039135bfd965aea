"""Map matching: traces of GPS fixes to trips over a road network.

Dimensions: k traces, m fixes of all traces together, s segments.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.matching.config import MatchConfig
from suffuse.trajectory.matching.hmm import Matcher
from suffuse.trajectory.matching.points import Points
from suffuse.trajectory.matching.read import read_points
from suffuse.trajectory.matching.report import MatchReport, Problem, quantiles
from suffuse.trajectory.matching.trace import Outcome, Tracer, Trouble
from suffuse.trajectory.processes import in_processes
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.check import OnError, checked_trips
from suffuse.trajectory.trips.raw import RawTrips, ReadReport
from suffuse.trajectory.trips.table import Trips

BATCH = 500
"""Traces a process takes at a time."""


def match(
    points: Points | str | Path,
    city: RoadNetwork,
    *,
    config: MatchConfig | None = None,
    on_error: OnError = "skip",
    workers: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Trips, MatchReport]:
    """The trips that traces of GPS fixes were, and a report of what could not be matched and why.

    A trip begins at its first fix and ends at its last; entry times between fixes are interpolated by distance. A trace
    that gives several trips gives them the ids `ID-1`, `ID-2` and so on.

    Args:
        points: traces, or a file of them: see `read_points`.
        city: the roads.
        config: how to match.
        on_error: "skip" traces that cannot be matched, or "fail" at the first.
        workers: processes.
        on_progress: called with the number of traces done so far.

    Raises:
        TripError: if the file cannot be read; if a trace cannot be matched and `on_error` is "fail"; if none can.

    """
    traces = points if isinstance(points, Points) else read_points(Path(points))
    raw, report = matched(traces, city, config, workers=workers, on_progress=on_progress)
    trips = checked_trips(raw, city, on_error=on_error, report=ReadReport())
    report.trips = len(trips)
    return trips, report


def matched(
    points: Points,
    network: RoadNetwork,
    config: MatchConfig | None = None,
    *,
    workers: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[RawTrips, MatchReport]:
    """As `match`, before anything is checked; a trace without a trip is a broken record."""
    config = MatchConfig() if config is None else config
    began = time.perf_counter()
    outcomes: dict[int, Outcome] = {}
    good = np.array([row for row in range(len(points)) if row not in points.broken], dtype=np.int64)
    with np.errstate(invalid="ignore"):  # positions that are none
        xy = network.to_metres(points.lonlat)
    if len(good):
        reach = usual_reach(points, xy) if config.reach_m is None else config.reach_m
        task = Task(network=network, config=config, reach_m=reach)
        rows_of = [good[low : low + BATCH] for low in range(0, len(good), BATCH)]
        batches = [[_trace(points, xy, row) for row in rows.tolist()] for rows in rows_of]
        for rows, some in zip(rows_of, in_processes(task, batches, workers=workers), strict=True):
            outcomes |= zip(rows.tolist(), some, strict=True)
            if on_progress is not None:
                on_progress(len(outcomes))
    raw, report = _gathered(points, network, outcomes)
    report.seconds = time.perf_counter() - began
    return raw, report


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a process needs to match traces; calling it gives the function that does."""

    network: RoadNetwork
    config: MatchConfig
    reach_m: float

    def __call__(self) -> Callable[[list[tuple[ndarray, ndarray]]], list[Outcome]]:
        """From traces (metres, Unix seconds) to outcomes."""
        return Tracer(Matcher(self.network, self.config, self.reach_m), self.network)


def usual_reach(points: Points, xy: Float[ndarray, "m 2"]) -> float:
    """How long a way between two fixes may be: 600 m and one and a half times the step between two that 99 % of all do
    not exceed, but at most 4000 m. What searches come to grows with its square.
    """
    with np.errstate(invalid="ignore"):
        step = np.linalg.norm(np.diff(xy, axis=0), axis=1)
    step[points.starts_trace[1:]] = np.nan
    step = step[np.isfinite(step)]
    return float(min(1.5 * np.quantile(step, 0.99, method="higher") + 600, 4000)) if len(step) else 600.0


def _trace(points: Points, xy: Float[ndarray, "m 2"], row: int) -> tuple[ndarray, ndarray]:
    some = slice(points.start[row], points.start[row + 1])
    return xy[some], points.time[some]


def _gathered(points: Points, network: RoadNetwork, outcomes: dict[int, Outcome]) -> tuple[RawTrips, MatchReport]:
    """The trips of all traces, a broken record for each that has none, and the report."""
    report = MatchReport(source=points.source, traces=len(points) + len(points.lost), fixes=len(points.lonlat))
    row_of, names, paths, times, ends = (
        list[int](),
        list[str](),
        list[ndarray](),
        list[ndarray](),
        list[tuple[int, int]](),
    )
    broken: dict[int, str] = {}
    off_m: list[ndarray] = []
    for number, said in sorted(points.lost.items()):
        report.problems.append(Problem(record=number, trip_id="", kind="line", sentence=said))
    for row in range(len(points)):
        troubles = [Trouble("position", points.broken[row], -1)] if row in points.broken else outcomes[row].troubles
        parts = [] if row in points.broken else outcomes[row].parts
        report.problems += [_problem(points, row, trouble) for trouble in troubles]
        first = int(points.start[row])
        if parts:
            report.whole += not troubles
            report.cut += bool(troubles)
            report.strays += outcomes[row].strays
            off_m += outcomes[row].off_m
            alone = len(parts) == 1 and not troubles
            for number, part in enumerate(parts, start=1):
                row_of.append(row)
                names.append(points.trip_id[row] if alone else f"{points.trip_id[row]}-{number}")
                paths.append(part.path)
                times.append(part.entered)
                ends.append((first + int(part.fixes[0]), first + int(part.fixes[1])))
        else:
            broken[len(row_of)] = troubles[0].sentence
            row_of.append(row)
            names.append(points.trip_id[row])
            paths.append(np.empty(0, dtype=np.int64))
            times.append(np.empty(0))
            ends.append((first, first))
    step = np.diff(points.time)
    step[points.starts_trace[1:]] = np.nan
    report.interval_s = float(np.nanmedian(step)) if np.isfinite(step).any() else None
    report.off_road_m = quantiles(off_m)
    end = np.array(ends, dtype=np.int64).reshape(-1, 2)
    when = np.full(end.shape, np.nan)
    driven = np.array([len(path) > 0 for path in paths], dtype=bool)
    when[driven] = points.time[end[driven]]
    raw = RawTrips(
        source=points.source,
        unit=points.unit,
        record=points.record[row_of],
        segment_id=network.segment_ids[np.concatenate([np.empty(0, dtype=np.int64), *paths])].astype(np.int64),
        time=np.concatenate([np.empty(0), *times]),
        depart=when[:, 0],
        arrive=when[:, 1],
        trip_id=np.array(names, dtype=object),
        start=np.concatenate([[0], np.cumsum([len(path) for path in paths])]).astype(np.int64),
        broken=broken,
        lost=points.lost,
    )
    return raw, report


def _problem(points: Points, row: int, trouble: Trouble) -> Problem:
    at = int(points.start[row]) + trouble.fix
    there = trouble.fix >= 0 and np.isfinite(points.lonlat[at]).all()
    return Problem(
        record=int(points.record[row]),
        trip_id=str(points.trip_id[row]),
        kind=trouble.kind,
        sentence=trouble.sentence,
        fix=trouble.fix + 1 if trouble.fix >= 0 else None,
        lonlat=(float(points.lonlat[at, 0]), float(points.lonlat[at, 1])) if there else None,
    )
