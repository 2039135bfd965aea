"""Recorded positions: traces of GPS fixes from CSV and GPX, before they are matched to a map.

Dimensions: k traces, m fixes of all traces together.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import gpxpy
import gpxpy.gpx
import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.console import because, shown
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.trips.tabular import LATITUDES, LONGITUDES, Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """k traces of positions."""

    source: str
    unit: str
    """What a trace is called in that format: line (its first one), track."""
    record: Int[ndarray, " k"]
    lonlat: Float[ndarray, "m 2"]
    """WGS 84, degrees."""
    time: Float[ndarray, " m"]
    """Unix seconds; NaN where the file says none."""
    trip_id: ndarray
    """k strings."""
    start: Int[ndarray, " bounds"]
    """k + 1 offsets into the fixes."""
    broken: dict[int, str] = field(default_factory=dict)
    """What is wrong with traces that could not be parsed, by row."""
    lost: dict[int, str] = field(default_factory=dict)
    """What is wrong with records that are no fix at all, by number in the file."""

    def __len__(self) -> int:
        return len(self.record)


def has_points(table: Table) -> bool:
    """Whether a CSV file holds positions rather than segments."""
    return table.find(*LATITUDES) is not None and table.find(*LONGITUDES) is not None


def points_from_table(table: Table) -> Points:
    """Fixes from CSV, one a row: `lat`, `lon`, and if there `time`, `trip_id`; without `trip_id` all are one trace."""
    latitude, longitude = table.find(*LATITUDES), table.find(*LONGITUDES)
    assert latitude is not None
    assert longitude is not None
    named, timed = table.find("trip_id", "trip", "vehicle", "vehicle_id"), table.find("time", "timestamp", "t")
    names = table.strings(named) if named else np.full(len(table), Path(table.path).stem, dtype=object)
    trace, ids = pd.factorize(names)
    order = np.argsort(trace, kind="stable")
    start = np.searchsorted(trace[order], np.arange(len(ids) + 1))
    lonlat = np.stack([table.numbers(longitude), table.numbers(latitude)], axis=-1)
    time, bad_time = table.times(timed)
    broken: dict[int, str] = {}
    for row in np.flatnonzero(~_on_earth(lonlat)).tolist():
        where = shown(", ".join(table.text(name)[row].as_py() for name in (latitude, longitude)))
        broken.setdefault(int(trace[row]), f"position {where} in line {table.line[row]} is no latitude and longitude")
    for row in np.flatnonzero(bad_time).tolist():
        text = table.text(timed or "time")[row].as_py()
        broken.setdefault(int(trace[row]), f"time {shown(text)} in line {table.line[row]} is not ISO 8601")
    return Points(
        source=str(table.path),
        unit="line",
        record=table.line[order[start[:-1]]],
        lonlat=lonlat[order],
        time=time[order],
        trip_id=np.asarray(ids, dtype=object),
        start=start.astype(np.int64),
        broken=broken,
        lost=table.lost,
    )


def points_from_gpx(path: Path) -> Points:
    """The tracks of a GPX file, each one trace, all of its track segments in a row.

    Raises:
        TripError: if the file is no GPX, or holds no tracks.

    """
    try:
        document = gpxpy.parse(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, ValueError, gpxpy.gpx.GPXException) as error:
        raise TripError(f"{path}: cannot be read as GPX: {because(error)}") from error
    if not document.tracks:
        raise TripError(f"{path}: holds no tracks")
    fixes = [[fix for part in track.segments for fix in part.points] for track in document.tracks]
    flat = [fix for track in fixes for fix in track]
    lonlat = np.array([(fix.longitude, fix.latitude) for fix in flat], dtype=np.float64).reshape(-1, 2)
    start = np.concatenate([[0], np.cumsum([len(track) for track in fixes])]).astype(np.int64)
    owner = np.repeat(np.arange(len(fixes)), np.diff(start))
    broken = {
        int(owner[at]): f"position {lonlat[at, 1]}, {lonlat[at, 0]} is no latitude and longitude"
        for at in np.flatnonzero(~_on_earth(lonlat)).tolist()
    }
    return Points(
        source=str(path),
        unit="track",
        record=np.arange(1, len(fixes) + 1),
        lonlat=lonlat,
        time=np.array([_unix(fix.time) for fix in flat], dtype=np.float64),
        trip_id=np.array([track.name or str(row) for row, track in enumerate(document.tracks)], dtype=object),
        start=start,
        broken=broken,
    )


def _unix(time: datetime | None) -> float:
    """Seconds; times without a zone are UTC, as GPX says all of its are."""
    return np.nan if time is None else (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _on_earth(lonlat: Float[ndarray, "m 2"]) -> ndarray:
    return np.isfinite(lonlat).all(axis=1) & (np.abs(lonlat[:, 0]) <= 180) & (np.abs(lonlat[:, 1]) <= 90)
