"""Map matching: GPS fixes to segments, with the library fastmm (extra `match`).

fastmm is the fast map matching of Yang and Gidofalvi (2018): a hidden Markov model over candidate segments with a table
of shortest paths. Dimensions: k traces, m fixes of one trace, l segments of one matched path.
"""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.check import OnError, checked_trips
from suffuse.trajectory.trips.points import Points
from suffuse.trajectory.trips.raw import RawTrips, ReadReport
from suffuse.trajectory.trips.table import Trips


@dataclass(frozen=True, kw_only=True)
class MatchConfig:
    """How fixes are matched; the defaults suit car GPS with a fix every one to sixty seconds."""

    radius_m: float = 60.0
    """A fix belongs to a segment no farther than this."""
    gps_error_m: float = 15.0
    """Standard deviation of the fixes."""
    candidates: int = 12
    """Segments considered for each fix."""
    reach_m: float | None = None
    """The longest way between two fixes; unless given, three times the longest step between two, 300 to 2500 m."""
    reverse_m: float = 20.0
    """How far a fix may fall back along a segment before it counts as driving round the block."""

    def __post_init__(self) -> None:
        for name in ("radius_m", "gps_error_m", "candidates", "reach_m"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise TripError(f"MatchConfig.{name} is {value}, but must be above 0")
        if self.reverse_m < 0:
            raise TripError(f"MatchConfig.reverse_m is {self.reverse_m}, but must not be below 0")


def match_points(
    points: Points, network: RoadNetwork, config: MatchConfig | None = None, *, on_error: OnError = "skip"
) -> tuple[Trips, ReadReport]:
    """The trips that traces of fixes were, and a report of those that could not be matched whole.

    A trip begins at its first fix and ends at its last; entry times between fixes are interpolated by distance.

    Raises:
        TripError: if fastmm is not installed; if a trace cannot be matched and `on_error` is "fail"; if none can.

    """
    report = ReadReport()
    trips = checked_trips(matched(points, network, config), network, on_error=on_error, report=report)
    return trips, report


def matched(points: Points, network: RoadNetwork, config: MatchConfig | None = None) -> RawTrips:
    """The segments and times of each trace; `broken` tells the traces that could not be matched whole.

    Raises:
        TripError: if fastmm is not installed.

    """
    config = MatchConfig() if config is None else config
    xy = network.to_metres(points.lonlat)
    paths: list[tuple[list[int], Float[ndarray, " l"]]] = []
    depart, arrive = np.full(len(points), np.nan), np.full(len(points), np.nan)
    broken = dict(points.broken)
    reach = _usual_reach(points, xy) if config.reach_m is None else config.reach_m
    with _matcher(network, config, reach) as match:
        for row in range(len(points)):
            some = slice(points.start[row], points.start[row + 1])
            path: tuple[list[int], Float[ndarray, " l"]] = ([], np.empty(0))
            if row not in broken:
                try:
                    path = _match_one(match, xy[some], points.time[some], network)
                    depart[row], arrive[row] = points.time[some][0], points.time[some][-1]
                except _NoMatchError as reason:
                    broken[row] = str(reason)
            paths.append(path)
    lengths = [len(segments) for segments, _ in paths]
    segments = np.array([segment for listed, _ in paths for segment in listed], dtype=np.int64)
    return RawTrips(
        source=points.source,
        unit=points.unit,
        record=points.record,
        segment_id=network.segment_ids[segments].astype(np.int64),
        time=np.concatenate([np.empty(0), *(times for _, times in paths)]),
        depart=depart,
        arrive=arrive,
        trip_id=points.trip_id,
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        broken=broken,
        lost=points.lost,
    )


def _usual_reach(points: Points, xy: Float[ndarray, "m 2"]) -> float:
    """A search distance that covers every step between two fixes of a trace with detours, within reason."""
    with np.errstate(invalid="ignore"):  # positions that are none
        step = np.linalg.norm(np.diff(xy, axis=0), axis=1)
    step[points.start[1:-1] - 1] = 0
    return float(np.clip(3 * np.nanmax(step, initial=0.0), 300, 2500))


class _NoMatchError(Exception):
    """Why a trace has no path."""


class _Matcher:
    """fastmm with a network and a config."""

    def __init__(self, fastmm: Any, network: RoadNetwork, config: MatchConfig, reach_m: float, folder: str) -> None:
        roads = fastmm.Network()
        lines = shapely.transform(network.geometry, network.to_metres)
        usable = np.setdiff1d(np.arange(len(network)), list(network.closed))
        for segment in usable.tolist():
            source, target = int(network.from_node[segment]), int(network.to_node[segment])
            roads.add_edge(segment, source=source, target=target, geom=list(lines[segment].coords))
        self._open_lines = shapely.STRtree(lines[usable])
        roads.finalize()
        self._library = fastmm
        self._roads = roads  # the model points to it and does not keep it alive
        self.config = config
        self._reach_m = reach_m
        self._model = fastmm.FastMapMatch(
            roads, fastmm.TransitionMode.SHORTEST, max_distance_between_candidates=reach_m, cache_dir=folder
        )

    def __call__(self, xy: Float[ndarray, "m 2"]) -> list[Any]:
        """The matched pieces from fix to fix; raises _NoMatchError if they do not cover the trace."""
        fixes = self._library.Trajectory.from_xy_tuples([tuple(point) for point in xy.tolist()])
        found = self._model.match(
            fixes,
            max_candidates=self.config.candidates,
            candidate_search_radius=self.config.radius_m,
            gps_error=self.config.gps_error_m,
            reverse_tolerance=self.config.reverse_m,
        ).subtrajectories
        good = [part for part in found if part.error_code == self._library.MatchErrorCode.SUCCESS]
        if len(good) != 1 or good[0].start_index != 0 or good[0].end_index != len(xy) - 1:
            distance = self._open_lines.query_nearest(shapely.points(xy), all_matches=False, return_distance=True)[1]
            if (distance > self.config.radius_m).any():
                first = int((distance > self.config.radius_m).argmax()) + 1
                raise _NoMatchError(f"no road within {self.config.radius_m:g} m of fix {first}")
            last = min((part.end_index + 1 for part in good), default=1)
            raise _NoMatchError(f"no way of at most {self._reach_m:g} m from fix {last} to the next")
        return list(good[0].segments)


@contextmanager
def _matcher(network: RoadNetwork, config: MatchConfig, reach_m: float) -> Iterator[_Matcher]:
    """A matcher with a folder of its own: fastmm names its file of paths by what little it looks at of the roads."""
    try:
        fastmm = importlib.import_module("fastmm")
    except ImportError as error:
        raise TripError(
            "GPS points are matched to roads with fastmm, which is not installed: "
            "pip install 'suffuse-trajectory[match]'"
        ) from error
    with tempfile.TemporaryDirectory(prefix="suffuse-match-") as folder:
        with _quiet_stdout():
            matcher = _Matcher(fastmm, network, config, reach_m, folder)
        yield matcher


@contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Nothing on file descriptor 1: fastmm logs its every step there, where a command prints its results."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _match_one(
    match: _Matcher, xy: Float[ndarray, "m 2"], time: Float[ndarray, " m"], network: RoadNetwork
) -> tuple[list[int], Float[ndarray, " l"]]:
    """Segments of one trace, and the time at the entry of each."""
    if len(xy) < 2:
        raise _NoMatchError("has fewer than 2 fixes")
    if np.isfinite(time).any() and not np.isfinite(time).all():
        raise _NoMatchError(f"fix {int(np.isnan(time).argmax()) + 1} has no time, but others have")
    if (np.diff(time) < 0).any():
        raise _NoMatchError(f"fix {int((np.diff(time) < 0).argmax()) + 2} is earlier than the one before")
    pieces = match(xy)
    path: list[int] = []
    where = [(0, pieces[0].p0.offset_from_start_of_edge)]
    for piece in pieces:
        edges = [int(edge.edge_id) for edge in piece.edges]
        if path and edges and edges[0] == path[-1]:
            edges = edges[1:]
        path += edges
        where.append((len(path) - 1, piece.p1.offset_from_start_of_edge))
    if not path:
        raise _NoMatchError("stays on one spot")
    begins = np.concatenate([[0.0], np.cumsum(network.length_m[path])])
    travelled = np.maximum.accumulate(begins[[at for at, _ in where]] + np.array([offset for _, offset in where]))
    entered = _entry_times(begins[:-1], travelled, time)
    keep = _without_ends(begins, travelled[0], travelled[-1], match.config.gps_error_m)
    keep = _without_spurs(keep, path, network, match.config.radius_m)
    entered = entered[keep]
    entered[0] = time[0]
    return [path[at] for at in keep], entered


def _without_ends(begins: Float[ndarray, " bounds"], first: float, last: float, error_m: float) -> list[int]:
    """Positions in a path without an end segment of which less than the GPS error, and less than half, is driven.

    A fix near a junction is as near to the segments that are not driven.
    """
    low, high = 0, len(begins) - 2
    while low < high and begins[low + 1] - first < min(error_m, 0.5 * (begins[low + 1] - begins[low])):
        low += 1
    while low < high and last - begins[high] < min(error_m, 0.5 * (begins[high + 1] - begins[high])):
        high -= 1
    return list(range(low, high + 1))


def _without_spurs(keep: list[int], path: list[int], network: RoadNetwork, longest_m: float) -> list[int]:
    """Positions in a path without short ways out and back that are no legal U-turn: the fix was beside its road."""
    legal, kept = network.successors, list[int]()
    for at in keep:
        back = bool(kept) and network.reverse[path[kept[-1]]] == path[at]
        if back and network.length_m[path[at]] <= longest_m and not legal[path[kept[-1]], path[at]]:
            kept.pop()
        else:
            kept.append(at)
    return kept or keep


def _entry_times(
    begins: Float[ndarray, " l"], travelled: Float[ndarray, " m"], time: Float[ndarray, " m"]
) -> Float[ndarray, " l"]:
    """Times at distances `begins`, given the time of each fix at `travelled`; a stop counts to where it is left."""
    moved = np.concatenate([np.diff(travelled) > 0, [True]])
    return np.maximum.accumulate(np.interp(begins, travelled[moved], time[moved]))
