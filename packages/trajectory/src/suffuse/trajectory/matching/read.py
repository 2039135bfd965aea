"""Traces from files: CSV, GPX, GeoJSON, and the formats of the Porto, GeoLife and T-Drive data sets."""

from pathlib import Path

from suffuse.console import because
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching.geojson import points_from_geojson
from suffuse.trajectory.matching.geolife import points_from_geolife
from suffuse.trajectory.matching.points import Points, concatenated, has_points, points_from_gpx, points_from_table
from suffuse.trajectory.matching.porto import is_porto, points_from_porto
from suffuse.trajectory.matching.tdrive import points_from_tdrive
from suffuse.trajectory.roads.network import WGS84
from suffuse.trajectory.trips.tabular import Table

SUFFIXES = (".csv", ".csv.gz", ".gpx", ".geojson", ".json", ".plt", ".txt")
"""What a file of traces is called."""

LAYOUTS = "lat, lon[, time][, trip_id], or Porto's TRIP_ID, TIMESTAMP, POLYLINE"


def read_points(path: str | Path, *, crs: str = WGS84) -> Points:
    """Traces of GPS fixes, each with a name and, if the file says so, times.

    CSV (`.csv`, `.csv.gz`), a row a fix: `lat`, `lon` (or `y`, `x`), and if there `time`, `trip_id`; or a row a trip as
    the Porto taxi data has them: `TRIP_ID`, `TIMESTAMP`, `POLYLINE`, a fix every 15 s. GPX: tracks. GeoJSON: lines
    (`times` or `coordTimes`, `trip_id` among their properties) or points (`time`, `trip_id`). `.plt`: a GeoLife
    trajectory. `.txt`: T-Drive, `taxi,time,lon,lat` without a header. A folder: all such files in it and in folders in
    it, each trace named after its file.

    Args:
        path: the file, or a folder of them.
        crs: of the positions in a CSV file with a row a fix; all other formats are in WGS 84.

    Raises:
        TripError: one sentence with file and what is wrong; a trace that cannot be used is kept in `broken`.

    """
    path = Path(path)
    if path.is_dir():
        files = sorted(found for found in path.rglob("*") if found.is_file() and _suffix(found))
        if not files:
            raise TripError(
                f"{path}: holds no traces; they are looked for as {', '.join('*' + end for end in SUFFIXES)}"
            )
        return concatenated([_read(file, crs) for file in files], path)
    return _read(path, crs)


def is_read(path: Path, points: Path) -> bool:
    """Whether a file is one that `read_points(points)` reads: `points` itself, or a file of traces in that folder."""
    file, source = path.resolve(), points.resolve()
    return file == source or (file.is_file() and source in file.parents and _suffix(path) is not None)


def _read(path: Path, crs: str) -> Points:
    suffix = _suffix(path)
    try:
        with path.open("rb") as file:
            empty = not file.read(64).strip()
    except OSError as error:
        raise TripError(f"{path}: cannot be read: {because(error)}") from error
    if suffix is None:
        raise TripError(f"{path}: unknown suffix {path.suffix!r}; traces are read from {', '.join(SUFFIXES)}")
    if empty:
        raise TripError(f"{path}: is empty")
    if not suffix.startswith(".csv") and crs != WGS84:
        raise TripError(f"{path}: only CSV files can be in another crs than {WGS84}, got {crs}")
    if suffix == ".gpx":
        return points_from_gpx(path)
    if suffix in {".geojson", ".json"}:
        return points_from_geojson(path)
    if suffix == ".plt":
        return points_from_geolife(path)
    if suffix == ".txt":
        return points_from_tdrive(path)
    table = Table(path)
    if is_porto(table):
        return points_from_porto(table)
    if has_points(table):
        return points_from_table(table, crs)
    raise TripError(f"{path}: its columns are none of those traces are read from{table.hint}: {LAYOUTS}")


def _suffix(path: Path) -> str | None:
    return next((known for known in SUFFIXES if path.name.lower().endswith(known)), None)
