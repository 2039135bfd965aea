"""Recorded positions: traces of GPS fixes, from CSV and GPX here, before they are matched to a map.

Dimensions: k traces, m fixes of all traces together.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import gpxpy
import gpxpy.gpx
import numpy as np
import pandas as pd
import pyproj
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from suffuse.console import because, shown
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import WGS84
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

    @property
    def starts_trace(self) -> Bool[ndarray, " m"]:
        """Whether a fix is the first of its trace; traces may be empty."""
        first = np.zeros(len(self.lonlat), dtype=bool)
        first[self.start[:-1][np.diff(self.start) > 0]] = True
        return first

    @staticmethod
    def from_arrays(
        lonlat: Float[ndarray, "m 2"],
        trip: ndarray,
        time: Float[ndarray, " m"] | None = None,
        *,
        source: str = "points",
    ) -> "Points":
        """Fixes in any order of traces, each with the name of its trace; `time` in Unix seconds, NaN if unknown."""
        trace, ids = pd.factorize(trip)
        order = np.argsort(trace, kind="stable")
        start = np.searchsorted(trace[order], np.arange(len(ids) + 1)).astype(np.int64)
        broken = {
            int(trace[at]): f"position {lonlat[at, 1]}, {lonlat[at, 0]} is no latitude and longitude"
            for at in np.flatnonzero(~on_earth(lonlat)).tolist()
        }
        return Points(
            source=source,
            unit="trace",
            record=np.arange(1, len(ids) + 1),
            lonlat=lonlat[order],
            time=np.full(len(lonlat), np.nan) if time is None else time[order],
            trip_id=np.array([str(name) for name in ids], dtype=object),
            start=start,
            broken=broken,
        )


def has_points(table: Table) -> bool:
    """Whether a CSV file holds positions rather than segments."""
    return table.find(*LATITUDES) is not None and table.find(*LONGITUDES) is not None


def points_from_table(table: Table, crs: str = WGS84) -> Points:
    """Fixes from CSV, one a row: `lat`, `lon`, and if there `time`, `trip_id`; without `trip_id` all are one trace.

    With another `crs` than WGS 84, the columns hold its northing and easting; `y` and `x` are names for them too.
    """
    latitude, longitude = table.find(*LATITUDES), table.find(*LONGITUDES)
    assert latitude is not None
    assert longitude is not None
    named, timed = table.find("trip_id", "trip", "vehicle", "vehicle_id"), table.find("time", "timestamp", "t")
    names = table.strings(named) if named else np.full(len(table), Path(table.path).stem, dtype=object)
    trace, ids = pd.factorize(names)
    order = np.argsort(trace, kind="stable")
    start = np.searchsorted(trace[order], np.arange(len(ids) + 1))
    lonlat = to_lonlat(np.stack([table.numbers(longitude), table.numbers(latitude)], axis=-1), crs)
    time, bad_time = table.times(timed)
    broken: dict[int, str] = {}
    for row in np.flatnonzero(~on_earth(lonlat)).tolist():
        where = shown(", ".join(table.text(name)[row].as_py() for name in (latitude, longitude)))
        what = "latitude and longitude" if crs == WGS84 else f"northing and easting of {crs}"
        broken.setdefault(int(trace[row]), f"position {where} in line {table.line[row]} is no {what}")
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
        for at in np.flatnonzero(~on_earth(lonlat)).tolist()
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


def text_lines(path: Path, *, fields: int, skip: int, what: str) -> tuple[ndarray, Int[ndarray, " m"], dict[int, str]]:
    """The comma-separated lines of a file with so many fields, their numbers, and what is wrong with all others.

    Raises:
        TripError: if the file is no text, or has no such line.

    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TripError(f"{path}: cannot be read as text: {because(error)}") from error
    rows, numbers, lost = list[list[str]](), list[int](), dict[int, str]()
    for number, line in enumerate(lines[skip:], start=skip + 1):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == fields:
            rows.append(cells)
            numbers.append(number)
        elif line.strip():
            lost[number] = f"has {len(cells)} fields, but {what} has {fields}"
    if not rows:
        raise TripError(f"{path}: holds no fix of {fields} fields, as {what} has")
    return np.array(rows, dtype=object), np.array(numbers, dtype=np.int64), lost


def one_trace(
    path: Path,
    lonlat: Float[ndarray, "m 2"],
    time: Float[ndarray, " m"],
    line: Int[ndarray, " m"],
    lost: dict[int, str],
) -> Points:
    """A file that is one trace, named after it; every fix has a time."""
    broken = dict[int, str]()
    for at in np.flatnonzero(~on_earth(lonlat)).tolist():
        broken.setdefault(0, f"position in line {line[at]} is no latitude and longitude")
    for at in np.flatnonzero(np.isnan(time)).tolist():
        broken.setdefault(0, f"time in line {line[at]} is none")
    return Points(
        source=str(path),
        unit="line",
        record=line[:1],
        lonlat=lonlat,
        time=time,
        trip_id=np.array([path.stem], dtype=object),
        start=np.array([0, len(lonlat)]),
        broken=broken,
        lost=lost,
    )


def concatenated(parts: list[Points], folder: Path) -> Points:
    """The traces of several files, counted through; each is named `FILE` or, if its file holds more, `FILE/NAME`."""
    counts = np.cumsum([0, *(len(part) for part in parts)])
    fixes = np.cumsum([0, *(len(part.lonlat) for part in parts)])
    names, lost, broken = list[str](), dict[int, str](), dict[int, str]()
    for part, before in zip(parts, counts[:-1].tolist(), strict=True):
        file = Path(part.source).relative_to(folder)
        stem = file.with_name(file.name.partition(".")[0]).as_posix()
        names += [stem if len(part) == 1 else f"{stem}/{name}" for name in part.trip_id]
        broken |= {before + row: f"{file}: {said}" for row, said in part.broken.items()}
        lost |= {-len(lost) - 1: f"{file}: line {number} {said}" for number, said in part.lost.items()}
    return Points(
        source=str(folder),
        unit="trace",
        record=np.arange(1, counts[-1] + 1),
        lonlat=np.concatenate([part.lonlat for part in parts]),
        time=np.concatenate([part.time for part in parts]),
        trip_id=np.array(names, dtype=object),
        start=np.concatenate([[0], *(part.start[1:] + at for part, at in zip(parts, fixes[:-1], strict=True))]).astype(
            np.int64
        ),
        broken=broken,
        lost=lost,
    )


def _unix(time: datetime | None) -> float:
    """Seconds; times without a zone are UTC, as GPX says all of its are."""
    return np.nan if time is None else (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def to_lonlat(xy: Float[ndarray, "m 2"], crs: str) -> Float[ndarray, "m 2"]:
    """Longitude and latitude of positions in a CRS (x first); infinite where they are none.

    Raises:
        TripError: if the CRS is unknown.

    """
    if crs == WGS84:
        return xy
    try:
        transformer = pyproj.Transformer.from_crs(crs, WGS84, always_xy=True)
    except pyproj.exceptions.CRSError as error:
        raise TripError(f"crs {shown(crs)} is none that is known") from error
    return np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=-1)


def on_earth(lonlat: Float[ndarray, "m 2"]) -> Bool[ndarray, " m"]:
    """Where there is a longitude from -180 to 180 and a latitude from -90 to 90."""
    return np.isfinite(lonlat).all(axis=1) & (np.abs(lonlat[:, 0]) <= 180) & (np.abs(lonlat[:, 1]) <= 90)
