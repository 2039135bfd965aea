"""Trips as files that other tools open: GeoJSON, GPX, GeoParquet, CSV, SUMO routes.

All times in files are UTC and whole seconds. Dimensions: k trips, m segments of all trips together.
"""

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import gpxpy.gpx
import numpy as np
from numpy import ndarray

from suffuse.console import check_writable, replacing
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.frame import corner_times, depart_and_arrive, entry_times, to_geodataframe, trip_points
from suffuse.trajectory.trips.table import Trips

FORBIDDEN = re.compile(r"""[\s|\\'";,<>&]""")
"""Characters that SUMO takes in no vehicle id."""

_SUMO = {
    "drive": ("vehicle", "", "route"),
    "bike": ("vehicle", ' type="bicycle"', "route"),
    "walk": ("person", "", "walk"),
}
"""Element, its attributes, and the element of the edges that SUMO has for who travels, by mode."""

_LAST_M = -0.1
"""SUMO counts positions below 0 from the end of an edge."""


def write_trips(trips: Trips, network: RoadNetwork, path: str | Path) -> None:
    """Write trips to a file; the suffix says how, and the file appears whole or not at all.

    `.geojson`: a LineString in lon/lat for each trip with `trip_id`, `segments` (ids), `times` (at the entry of each
    segment), `origin`, `destination`, `depart`, `arrive`. `.parquet`: GeoParquet in the CRS the network came in,
    columns as in `to_geodataframe`. `.csv`: HOSER's `rid_list` and `time_list`, and the same properties. `.gpx`: a
    track for each trip with a time at every corner. `.rou.xml`: SUMO vehicles with routes (bicycles on a network of
    mode `bike`; on one of mode `walk`, persons with walks) by the network's source ids, where each segment has its own,
    else by segment ids; a trip id that SUMO does not accept is changed, and kept as the parameter `trip_id`.
    `read_trips` reads the first three again as they were, and GPX by map matching.

    Raises:
        TripError: for another suffix, or a path that cannot be written.

    """
    path = Path(path)
    writer = _WRITERS[check_suffix(path)]
    with replacing(path, error=TripError) as temporary:
        writer(trips, network, temporary)


def check_suffix(path: Path) -> str:
    """The suffix of a path that trips can be written to. Raises TripError for any other, before any work is done."""
    suffix = suffix_of(path)
    if suffix is None:
        raise TripError(f"{path}: unknown suffix {path.suffix!r}; trips are written as {', '.join(_WRITERS)}")
    check_writable(path, error=TripError)
    return suffix


def suffix_of(path: Path) -> str | None:
    """The suffix of a trips file that a path has, None for any other."""
    return next((known for known in _WRITERS if path.name.lower().endswith(known)), None)


def _write_geojson(trips: Trips, network: RoadNetwork, path: Path) -> None:
    """RFC 7946; the attribution is a member of the collection."""
    ids = network.segment_ids[trips.segment].tolist()
    times = _iso(entry_times(trips))
    depart, arrive = (_iso(moment) for moment in depart_and_arrive(trips))
    points, owner = trip_points(trips, network)[:2]
    corners = np.round(points, 7).tolist()
    bounds = np.searchsorted(owner, np.arange(len(trips) + 1)).tolist()
    with path.open("w", encoding="utf-8") as file:
        head = {"type": "FeatureCollection", "name": network.name, "attribution": network.attribution}
        file.write(json.dumps(head)[:-1] + ', "features": [')
        for row, (first, last) in enumerate(pairwise(trips.start.tolist())):
            properties = {
                "trip_id": trips.trip_id[row],
                "origin": ids[first],
                "destination": ids[last - 1],
                "depart": depart[row],
                "arrive": arrive[row],
                "segments": ids[first:last],
                "times": times[first:last],
            }
            line = {"type": "LineString", "coordinates": corners[bounds[row] : bounds[row + 1]]}
            feature = {"type": "Feature", "properties": properties, "geometry": line}
            file.write((",\n" if row else "\n") + json.dumps(feature))
        file.write("\n]}\n")


def _write_parquet(trips: Trips, network: RoadNetwork, path: Path) -> None:
    to_geodataframe(trips, network).to_crs(network.crs).to_parquet(path, compression="zstd")


def _write_csv(trips: Trips, network: RoadNetwork, path: Path) -> None:
    ids = network.segment_ids[trips.segment].tolist()
    times = _iso(entry_times(trips))
    depart, arrive = (_iso(moment) for moment in depart_and_arrive(trips))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trip_id", "rid_list", "time_list", "origin", "destination", "depart", "arrive"])
        for row, (first, last) in enumerate(pairwise(trips.start.tolist())):
            route = ",".join(map(str, ids[first:last]))
            ends = ids[first], ids[last - 1], depart[row], arrive[row]
            writer.writerow([trips.trip_id[row], route, ",".join(times[first:last]), *ends])


def _write_gpx(trips: Trips, network: RoadNetwork, path: Path) -> None:
    points, owner, row, share = trip_points(trips, network)
    seconds = np.rint(corner_times(trips, row, share)).astype(np.int64)
    moments = (trips.depart[owner] + seconds.astype("timedelta64[s]")).tolist()
    document = gpxpy.gpx.GPX()
    document.creator, document.copyright_author = "suffuse-trajectory", network.attribution or None
    corners = points.tolist()
    for trip, (first, last) in enumerate(pairwise(np.searchsorted(owner, np.arange(len(trips) + 1)).tolist())):
        track = gpxpy.gpx.GPXTrack(name=str(trips.trip_id[trip]))
        track.segments.append(
            gpxpy.gpx.GPXTrackSegment(
                [
                    gpxpy.gpx.GPXTrackPoint(round(lat, 7), round(lon, 7), time=moment.replace(tzinfo=UTC))
                    for (lon, lat), moment in zip(corners[first:last], moments[first:last], strict=True)
                ]
            )
        )
        document.tracks.append(track)
    path.write_text(document.to_xml(), encoding="utf-8")


def _write_sumo(trips: Trips, network: RoadNetwork, path: Path) -> None:
    """Who travels in order of departure, in seconds from midnight UTC of the first day, as SUMO wants them."""
    names = edge_names(network)
    routes = names[trips.segment].tolist()
    back = against_its_edge(network, names)
    kind, attributes, route = _SUMO[network.mode]
    midnight = trips.depart.min().astype("datetime64[D]") if len(trips) else np.datetime64(0, "D")
    seconds = (trips.depart - midnight).astype("timedelta64[s]").astype(np.int64)
    vehicles = vehicle_names(trips.trip_id)
    with path.open("w", encoding="utf-8") as file:
        said = f"depart counts from {midnight}T00:00:00Z. {network.attribution}".replace("--", "-")
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {escape(said)} -->\n<routes>\n')
        if network.mode == "bike":
            file.write('    <vType id="bicycle" vClass="bicycle"/>\n')
        for row in np.argsort(seconds, kind="stable").tolist():
            edges = " ".join(routes[trips.start[row] : trips.start[row + 1]])
            begin = end = ""
            if kind == "person":
                begin = f' departPos="{_LAST_M if back[trips.origin[row]] else 0}"'
                end = f' arrivalPos="{0 if back[trips.destination[row]] else _LAST_M}"'
            file.write(f'    <{kind} id={quoteattr(vehicles[row])}{attributes} depart="{seconds[row]}.00"{begin}>\n')
            file.write(f"        <{route} edges={quoteattr(edges)}{end}/>\n")
            if vehicles[row] != (name := str(trips.trip_id[row])):
                file.write(f'        <param key="trip_id" value={quoteattr(name)}/>\n')
            file.write(f"    </{kind}>\n")
        file.write("</routes>\n")


def edge_names(network: RoadNetwork) -> ndarray:
    """SUMO's name of each segment: the source's if each has its own, else the segment id.

    Walkers go both ways on one edge, so there a segment may share its name with its reverse.
    """
    names = network.source_ids
    if names is not None:
        alone = ~against_its_edge(network, names)
        if len(set(names[alone].tolist())) == alone.sum():
            return names
    plain: ndarray = network.segment_ids.astype(str).astype(object)
    return plain


def against_its_edge(network: RoadNetwork, names: ndarray) -> ndarray:
    """Where a segment is the way back on the edges of another one, which has the same names: for walkers only."""
    if network.mode != "walk":
        return np.zeros(len(network), dtype=bool)
    back = network.reverse
    turned = np.array([" ".join(name.split()[::-1]) for name in names], dtype=object)
    found: ndarray = (back >= 0) & (back < np.arange(len(network))) & (turned[back] == names)
    return found


def vehicle_names(trip_id: ndarray) -> list[str]:
    """Names that SUMO accepts, each once: what it forbids in one is an underscore, and a number parts those alike."""
    names = dict[str, None]()
    for given in trip_id.tolist():
        plain = name = FORBIDDEN.sub("_", str(given)) or "_"
        number = 1
        while name in names:
            number += 1
            name = f"{plain}_{number}"
        names[name] = None
    return list(names)


def _iso(moments: ndarray) -> list[str]:
    """ISO 8601 with a trailing Z."""
    return [f"{moment}Z" for moment in np.datetime_as_string(moments, unit="s").tolist()]


_WRITERS: dict[str, Callable[[Trips, RoadNetwork, Path], None]] = {
    ".geojson": _write_geojson,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".gpx": _write_gpx,
    ".rou.xml": _write_sumo,
}
