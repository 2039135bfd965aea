"""Trips from files: what each format holds is in `tabular`, `geojson`, `columnar` and `match`."""

import logging
from pathlib import Path

from suffuse.console import because
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching.points import has_points, points_from_gpx, points_from_table
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.check import OnError, checked_trips
from suffuse.trajectory.trips.columnar import raw_from_parquet
from suffuse.trajectory.trips.geojson import raw_from_geojson
from suffuse.trajectory.trips.raw import ReadReport
from suffuse.trajectory.trips.shards import has_shards, trips_from_shards
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.trips.tabular import Table, raw_from_table

logger = logging.getLogger(__name__)

IN_FOLDERS = ("matched.parquet", "trips.parquet", "trips.geojson", "trips.csv", "trips.csv.gz")
"""What the trips of a city folder are called, in order of preference."""


def read_trips(
    path: str | Path,
    network: RoadNetwork,
    *,
    on_error: OnError = "fail",
    part: str | None = None,
    report: ReadReport | None = None,
) -> Trips:
    """Trips from a file, checked against their road network: CSV, GeoJSON, Parquet, or GPS points as GPX or CSV.

    CSV (`.csv`, `.csv.gz`): one row a trip with `rid_list` and `time_list` as HOSER has them, or `segments` (ids parted
    by comma, semicolon or space, or a JSON list), `times`, `depart`, `trip_id`; one row a segment with `trip_id`,
    `segment`, `time`; or one row a point with `lat`, `lon`, `time`, `trip_id`, which are matched to the map. GeoJSON
    and Parquet: as `write_trips` makes them; Parquet also with the columns `trip, t0, edges, enter_s, split`. Times are
    ISO 8601 (UTC unless they say otherwise) or Unix seconds. Departure is the time of the first segment; the end of a
    trip is the `arrive` of the file, or one free-flow time after the last entry. Trips without times have zeros
    throughout.

    Args:
        path: the file, a city folder that holds one (see `find_trips`), or a folder of shards `part-*.parquet`.
        network: the roads of the trips.
        on_error: "fail" at the first record that does not fit, or "skip" all such records.
        part: only the trips of this part, in files with a column `split` and in folders with a file for each part.
        report: filled with what was read and what was left out.

    Raises:
        TripError: one sentence with file, record and value.

    """
    path = Path(path)
    report = ReadReport() if report is None else report
    if has_shards(path):
        return trips_from_shards(path, network, part, on_error=on_error, report=report)
    if path.is_dir():
        path = find_trips(path, part)
        part = None if path.stem == part else part
    kind = _kind(path)
    if part is not None and kind != "parquet":
        raise TripError(f"{path}: only Parquet files have parts, so there is no part {part!r} in it")
    if kind == "parquet":
        return checked_trips(raw_from_parquet(path, part), network, on_error=on_error, report=report)
    if kind == "json":
        return checked_trips(raw_from_geojson(path), network, on_error=on_error, report=report)
    if kind == "gpx":
        points = points_from_gpx(path)
    else:
        table = Table(path)
        if not has_points(table):
            return checked_trips(raw_from_table(table), network, on_error=on_error, report=report)
        points = points_from_table(table)

    from suffuse.trajectory.matching.match import matched  # only here, because it needs this module's neighbours

    return checked_trips(matched(points, network)[0], network, on_error=on_error, report=report)


def find_trips(folder: Path, part: str | None = None) -> Path:
    """The file with the trips of a city folder: the part's own (`train.csv` and so on), or the first of `IN_FOLDERS`.

    Raises:
        TripError: if there is none.

    """
    names = (
        (*IN_FOLDERS, "train.csv")
        if part is None
        else (f"{part}.csv", f"{part}.csv.gz", f"{part}.parquet", *IN_FOLDERS)
    )
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise TripError(f"{folder}: holds no trips; they are looked for as {', '.join(names)}")


def _kind(path: Path) -> str:
    """csv, json, parquet or gpx, by suffix; by the first bytes if the suffix says nothing."""
    name = path.name.lower()
    suffixes = {
        ".csv": "csv", ".csv.gz": "csv", ".geojson": "json", ".json": "json",
        ".parquet": "parquet", ".geoparquet": "parquet", ".gpx": "gpx",
    }  # fmt: skip
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise TripError(f"{path}: cannot be read: {because(error)}") from error
    if not head.strip():
        raise TripError(f"{path}: is empty")
    for suffix, kind in suffixes.items():
        if name.endswith(suffix):
            return kind
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:4]
    if first == b"PAR1":
        return "parquet"
    return {b"{": "json", b"<": "gpx"}.get(first[:1], "csv")
