"""Records checked against a road network: known segments, legal transitions, times in order, ids used once.

Dimensions: k records, m segments of all records together, p pairs of consecutive segments.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.parse import LATEST
from suffuse.trajectory.trips.raw import RawTrips, ReadReport
from suffuse.trajectory.trips.table import Trips

logger = logging.getLogger(__name__)

OnError = Literal["fail", "skip"]

EARLIEST = -2_208_988_800.0
"""1 January 1900 in Unix seconds."""

PERIOD = "which is no day from 1900 to 2099"


def checked_trips(raw: RawTrips, network: RoadNetwork, *, on_error: OnError, report: ReadReport) -> Trips:
    """The records of `raw` as trips over `network`.

    Raises:
        TripError: naming file, record and value: at the first record that does not fit if `on_error` is "fail"; if no
            record is left, or there was none, in any case. Records skipped are told in `report` and counted in the log.

    """
    count = len(raw.record) + len(raw.lost)
    if count == 0:
        raise TripError(f"{raw.source}: holds no trips")
    index, known = find_segments(network, raw.segment_id)
    problems = _problems(raw, network, index, known)
    told = {int(raw.record[row]): f" (trip {raw.trip_id[row]!r}): {said}" for row, said in problems.items()}
    told |= {number: f": {said}" for number, said in raw.lost.items()}
    sentences = [f"{raw.source}: {raw.unit} {number}{told[number]}" for number in sorted(told)]
    if sentences and on_error == "fail":
        raise TripError(sentences[0])
    if len(sentences) == count:
        raise TripError(f"{raw.source}: none of its {count} trips can be used; the first: {sentences[0]}")
    if sentences:
        logger.warning("%s: %d of %d trips left out; the first: %s", raw.source, len(sentences), count, sentences[0])

    time, depart, arrive = (
        np.where(impossible(moment), np.nan, moment) for moment in (raw.time, raw.depart, raw.arrive)
    )
    trips = _assemble(replace(raw, time=time, depart=depart, arrive=arrive), network, index)
    keep = np.ones(len(raw.record), dtype=bool)
    keep[list(problems)] = False
    report.records += count
    report.problems += sentences
    report.untimed += int((np.isnan(raw.time[raw.start[:-1][keep]])).sum())
    return trips if keep.all() else trips.take(np.flatnonzero(keep))


def impossible(moment: Float[ndarray, " m"]) -> Bool[ndarray, " m"]:
    """Where Unix seconds are infinite, or of no day from 1900 to 2099; not where they are NaN, for unknown."""
    return ~np.isnan(moment) & ~((moment >= EARLIEST) & (moment <= LATEST))


def find_segments(
    network: RoadNetwork, segment_id: Int[ndarray, " m"]
) -> tuple[Int[ndarray, " m"], Bool[ndarray, " m"]]:
    """Index of each segment id, and whether it is known (if not, the index is of some other segment)."""
    order = np.argsort(network.segment_ids)
    position = np.searchsorted(network.segment_ids[order], segment_id).clip(max=len(order) - 1)
    index = order[position]
    return index, network.segment_ids[index] == segment_id


def legal_pairs(network: RoadNetwork, before: Int[ndarray, " p"], after: Int[ndarray, " p"]) -> Bool[ndarray, " p"]:
    """Whether each pair of segment indices is a legal transition."""
    arcs = network.successors.tocoo()
    known = np.sort(arcs.row.astype(np.int64) * len(network) + arcs.col)
    if len(known) == 0:
        return np.zeros(len(before), dtype=bool)
    asked = before.astype(np.int64) * len(network) + after
    return known[np.searchsorted(known, asked).clip(max=len(known) - 1)] == asked


def _problems(
    raw: RawTrips, network: RoadNetwork, index: Int[ndarray, " m"], known: Bool[ndarray, " m"]
) -> dict[int, str]:
    """The first thing wrong with each record that cannot be used, by row."""
    count, lengths = len(raw.record), np.diff(raw.start)
    owner = np.repeat(np.arange(count), lengths)
    found = dict(raw.broken)

    def note(bad: Bool[ndarray, " m"], describe: Callable[[int], str]) -> None:
        rows, first = np.unique(owner[bad], return_index=True)
        for row, at in zip(rows.tolist(), np.flatnonzero(bad)[first].tolist(), strict=True):
            if row not in found:
                found[row] = describe(at)

    for row in np.flatnonzero(lengths == 0).tolist():
        found.setdefault(row, "has no segments")
    note(~known, lambda at: f"segment {raw.segment_id[at]} is not on road network {network.name!r}")

    same_trip = np.zeros(len(owner), dtype=bool)
    same_trip[1:] = owner[1:] == owner[:-1]
    legal = np.ones(len(owner), dtype=bool)
    legal[1:] = legal_pairs(network, index[:-1], index[1:])
    note(
        same_trip & ~legal,
        lambda at: f"segment {raw.segment_id[at]} cannot follow segment {raw.segment_id[at - 1]}",
    )

    for name in ("depart", "arrive"):
        moment = getattr(raw, name)
        for row in np.flatnonzero(impossible(moment)).tolist():
            found.setdefault(row, f"{name} is {moment[row]:g} s in Unix time, {PERIOD}")
    note(
        impossible(raw.time),
        lambda at: f"segment {raw.segment_id[at]} is entered at {raw.time[at]:g} s in Unix time, {PERIOD}",
    )
    timed = np.bincount(owner, np.isfinite(raw.time), count) > 0
    note(timed[owner] & np.isnan(raw.time), lambda at: f"segment {raw.segment_id[at]} has no time, but others have")
    backwards = np.zeros(len(owner), dtype=bool)
    backwards[1:] = raw.time[1:] < raw.time[:-1]
    note(
        same_trip & backwards,
        lambda at: (
            f"segment {raw.segment_id[at]} is entered at {_iso(raw.time[at])}, "
            f"before the segment that comes first ({_iso(raw.time[at - 1])})"
        ),
    )
    last_time = np.full(count, np.nan)
    last_time[lengths > 0] = raw.time[raw.start[1:][lengths > 0] - 1]
    for row in np.flatnonzero(raw.arrive < last_time).tolist():
        if row not in found:
            found[row] = f"arrives at {_iso(raw.arrive[row])}, before it enters its last segment"
    for row in np.flatnonzero(pd.Series(raw.trip_id).duplicated().to_numpy()).tolist():
        found.setdefault(row, "has the trip_id of an earlier one")
    return found


def _assemble(raw: RawTrips, network: RoadNetwork, index: Int[ndarray, " m"]) -> Trips:
    """Trips of all records; of those with problems whatever comes out."""
    count, lengths = len(raw.record), np.diff(raw.start)
    owner = np.repeat(np.arange(count), lengths)
    filled = lengths > 0
    first_time, last, last_enter = np.full(count, np.nan), np.zeros(count, dtype=np.int64), np.zeros(count)
    first_time[filled] = raw.time[raw.start[:-1][filled]]
    timed = np.isfinite(first_time)
    enter = np.where(timed[owner], raw.time - first_time[owner], 0.0)
    last[filled] = index[raw.start[1:][filled] - 1]
    last_enter[filled] = enter[raw.start[1:][filled] - 1]
    began = np.where(timed, first_time, raw.depart)
    usual_end = last_enter + network.free_flow_s[last]
    duration = np.where(np.isfinite(raw.arrive), raw.arrive - began, np.where(timed, usual_end, 0.0))
    return Trips(
        start=raw.start,
        segment=index,
        enter_s=enter,
        duration_s=np.nan_to_num(duration),
        depart=np.floor(np.nan_to_num(began)).astype(np.int64).astype("datetime64[s]"),
        trip_id=raw.trip_id,
    )


def _iso(unix: float) -> str:
    return f"{np.datetime64(int(unix), 's')}Z"
