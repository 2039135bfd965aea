"""Origin-destination files: CSV with columns `origin,destination[,depart]`, of segment ids or of lon/lat pairs."""

import csv
import re
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import shapely

from suffuse.console import because, shown
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork

NEAR_M = 500.0
"""A coordinate further than this from every segment is taken to be a mistake."""

FIRST_DAY = "2024-03-04"
"""Date of departures that give only a time of day: a Monday."""

FIRST, LAST = np.datetime64("1970-01-01T00:00:00", "s"), np.datetime64("2099-12-31T23:59:59", "s")
"""Departures lie between these, as the times of trips do."""

PAIR = re.compile(r"^\s*\(?\s*([-+.\w]+)\s*[,; ]\s*([-+.\w]+)\s*\)?\s*$")


def parse_depart(text: str, where: str) -> np.datetime64:
    """A departure: `08:00`, `08:00:30` (on a Monday), or ISO 8601 from 1970 to 2099; UTC unless it names an offset."""
    value = text.strip()
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", value):
        value = f"{FIRST_DAY}T{'0' if value[1] == ':' else ''}{value}"
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        when = np.datetime64(moment, "s")
    except (ValueError, OverflowError):
        raise RequestError(
            f"{where}: departure {shown(text)} is neither a time of day such as 08:00 nor an ISO 8601 date and time"
        ) from None
    if not FIRST <= when <= LAST:
        raise RequestError(f"{where}: departure {shown(text)} is not between {FIRST} and {LAST}")
    return when


class PlaceFinder:
    """Segments by what people write: an id, or a longitude and latitude near one."""

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        open_ = np.ones(len(network), dtype=bool)
        open_[list(network.closed)] = False
        self.open = np.flatnonzero(open_)
        coordinates, owner = shapely.get_coordinates(network.geometry[self.open], return_index=True)
        lines = np.atleast_1d(np.asarray(shapely.linestrings(network.to_metres(coordinates), indices=owner)))
        self.tree = shapely.STRtree(list(lines))

    def __call__(self, text: str, where: str) -> int:
        """Segment index. Raises RequestError, its sentence starting with `where`."""
        network = self.network
        if re.fullmatch(r"\s*-?[0-9]+\s*", text):
            index = network.index_of.get(int(text)) if len(text) < 40 else None
            if index is None:
                raise RequestError(f"{where}: segment {shown(text.strip())} is not in road network {network.name!r}")
            return index
        match = PAIR.match(text)
        try:
            lon, lat = (float(part) for part in match.groups()) if match else (np.nan, np.nan)
        except ValueError:
            lon, lat = np.nan, np.nan
        if not (abs(lon) <= 180 and abs(lat) <= 90):
            raise RequestError(
                f"{where}: {shown(text)} is neither a segment id nor a longitude (-180 to 180) and latitude (-90 to 90)"
            )
        segment, metres = self._nearest(lon, lat)
        if metres > NEAR_M:
            away = f"{metres / 1000:.1f} km away" if np.isfinite(metres) else "nowhere"
            turned = abs(lon) <= 90 and self._nearest(lat, lon)[1] <= NEAR_M
            hint = " (longitude comes first: the two seem to be exchanged)" if turned else ""
            raise RequestError(
                f"{where}: no segment lies within {NEAR_M:.0f} m of {lon}, {lat}: the nearest is {away}{hint}"
            )
        return segment

    def _nearest(self, lon: float, lat: float) -> tuple[int, float]:
        """The open segment nearest to a place, and how many metres away it is: infinitely many if there is none."""
        point = shapely.Point(self.network.to_metres(np.array([[lon, lat]]))[0])
        found, distance = self.tree.query_nearest(point, return_distance=True, all_matches=False)
        return (int(self.open[found[0]]), float(distance[0])) if len(found) else (-1, np.inf)


def read_requests(
    path: Path,
    network: RoadNetwork,
    *,
    depart: np.datetime64 | None = None,
    on_error: Literal["fail", "skip"] = "fail",
) -> tuple[Requests, list[str]]:
    """Requests of an OD file, and a sentence for each line that was skipped.

    `origin` and `destination` hold a segment id or a quoted "lon,lat" pair (also "lon lat"); instead of them there
    may be the four columns `origin_lon, origin_lat, destination_lon, destination_lat`. `depart` is optional;
    `trip_id` too. `depart` as an argument holds where the file has none; without either it is 08:00.

    Raises RequestError with file and line.
    """
    columns, lines = _table(path)
    quads = ("origin_lon", "origin_lat", "destination_lon", "destination_lat")
    by_pairs = set(quads) <= set(columns)
    if not by_pairs and not {"origin", "destination"} <= set(columns):
        parted = ", parted by semicolons instead of commas" if any(";" in name for name in columns) else ""
        raise RequestError(
            f"{path}: needs the columns origin,destination (or {','.join(quads)}); "
            f"it has {shown(','.join(columns))}{parted}"
        )
    if not lines:
        raise RequestError(f"{path}: holds no requests, only a header")
    find = PlaceFinder(network)
    usual = np.datetime64(f"{FIRST_DAY}T08:00:00", "s") if depart is None else depart
    ends: list[list[int]] = []
    departs: list[np.datetime64] = []
    names: dict[str, int] = {}
    skipped: list[str] = []
    rows: list[int] = []
    for row_number, (number, cells) in enumerate(lines):
        where = f"{path}, line {number}"
        try:
            if len(cells) != len(columns):
                raise RequestError(f"{where}: has {len(cells)} fields, but the first line has {len(columns)}")
            row = dict(zip(columns, cells, strict=True))
            if by_pairs:
                texts = [f"{row[f'{end}_lon']},{row[f'{end}_lat']}" for end in ("origin", "destination")]
            else:
                texts = [row["origin"], row["destination"]]
            pair = [find(text, f"{where}, {end}") for text, end in zip(texts, ("origin", "destination"), strict=True)]
            when = parse_depart(row["depart"], where) if row.get("depart", "").strip() else usual
            unused = (str(k) for k in count(len(names)) if str(k) not in names)
            name = row.get("trip_id", "").strip() or next(unused)
            if name in names:
                raise RequestError(f"{where}: trip_id {shown(name)} is that of line {names[name]}")
        except RequestError as error:
            if on_error == "fail":
                raise
            skipped.append(str(error))
            continue
        ends.append(pair)
        rows.append(row_number)
        departs.append(when)
        names[name] = number
    if not ends:
        raise RequestError(f"{path}: none of its {len(lines)} requests can be used; the first: {skipped[0]}")
    table_of_ends = np.array(ends, dtype=np.int64)
    return (
        Requests(
            origin=table_of_ends[:, 0],
            destination=table_of_ends[:, 1],
            depart=np.array(departs, dtype="datetime64[s]"),
            request_id=np.array(list(names), dtype=object),
            number=np.array(rows, dtype=np.int64),
        ),
        skipped,
    )


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Column names, in lower case, and the cells of every line that is not blank, with its number."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = next((cells for cells in reader if cells), None)
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{path}: cannot be read as a CSV file: {because(error)}") from None
    if header is None:
        raise RequestError(f"{path}: is empty")
    columns = [name.strip().lower() for name in header]
    if len(set(columns)) < len(columns):
        raise RequestError(f"{path}: two columns have the same name: {shown(','.join(columns))}")
    return columns, lines
