"""Traces from GeoJSON: lines with times, or points."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from suffuse.console import because, shown
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching.points import Points, on_earth
from suffuse.trajectory.trips.parse import parse_times

TIMES = ("times", "coordTimes")
NAMES = ("trip_id", "id", "name")


def points_from_geojson(path: Path) -> Points:
    """The traces of a FeatureCollection: a LineString or MultiLineString each, or Points with the same `trip_id`.

    Times are the property `times` or `coordTimes` of a line, a list as long as its positions (nested as they are), and
    `time` of a point: ISO 8601 or Unix seconds. Without `trip_id`, `id` or `name` a line is named by its place in the
    file, and points without are one trace.

    Raises:
        TripError: if the file is no GeoJSON, or has no such features.

    """
    features = _features(path)
    kinds = {_geometry(feature).get("type") for feature in features}
    if kinds <= {"LineString", "MultiLineString"} and kinds:
        return _from_lines(path, features)
    if kinds == {"Point"}:
        return _from_points(path, features)
    said = ", ".join(sorted(shown(kind) for kind in kinds)) or "none"
    raise TripError(f"{path}: its features must all be LineStrings, or all be Points, but there are: {said}")


def _features(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise TripError(f"{path}: cannot be read as GeoJSON: {because(error)}") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise TripError(f"{path}: must be a GeoJSON FeatureCollection")
    if not features:
        raise TripError(f"{path}: holds no features")
    return features


def _from_lines(path: Path, features: list[dict[str, Any]]) -> Points:
    lines, times, names, broken = list[np.ndarray](), list[np.ndarray](), list[str](), dict[int, str]()
    for row, feature in enumerate(features):
        said, geometry = _properties(feature), _geometry(feature)
        nested = geometry["type"] == "MultiLineString"
        line = _positions(_flat(geometry.get("coordinates")) if nested else geometry.get("coordinates"))
        given = next((said[name] for name in TIMES if said.get(name) is not None), None)
        stamps = None if given is None else _stamps(_flat(given) if nested else given)
        if line is None:
            broken[row] = "coordinates are no list of [lon, lat]"
        elif not on_earth(line).all():
            lon, lat = line[~on_earth(line)][0].tolist()
            broken[row] = f"position {lat}, {lon} is no latitude and longitude"
        elif given is not None and (stamps is None or np.isnan(stamps).any()):
            broken[row] = "times are not all ISO 8601 or Unix seconds"
        elif stamps is not None and len(stamps) != len(line):
            broken[row] = f"has {len(line)} positions, but {len(stamps)} times"
        line = np.empty((0, 2)) if row in broken or line is None else line
        lines.append(line)
        times.append(np.full(len(line), np.nan) if stamps is None or row in broken else stamps)
        names.append(next((str(said[name]) for name in NAMES if said.get(name) is not None), str(row)))
    return Points(
        source=str(path),
        unit="feature",
        record=np.arange(1, len(features) + 1),
        lonlat=np.concatenate(lines),
        time=np.concatenate(times),
        trip_id=np.array(names, dtype=object),
        start=np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int64),
        broken=broken,
    )


def _from_points(path: Path, features: list[dict[str, Any]]) -> Points:
    said = [_properties(feature) for feature in features]
    names = [
        str(next((some[name] for name in ("trip_id", "name") if some.get(name) is not None), path.stem))
        for some in said
    ]
    trace, ids = pd.factorize(np.array(names, dtype=object))
    order = np.argsort(trace, kind="stable")
    start = np.searchsorted(trace[order], np.arange(len(ids) + 1)).astype(np.int64)
    broken = dict[int, str]()
    lonlat = np.full((len(features), 2), np.nan)
    for at, feature in enumerate(features):
        position = _positions([_geometry(feature).get("coordinates")])
        if position is None or not on_earth(position).all():
            broken.setdefault(int(trace[at]), f"position of feature {at + 1} is no [lon, lat]")
        else:
            lonlat[at] = position[0]
    given = [some.get("time") for some in said]
    time = parse_times(pa.array(["" if value is None else str(value) for value in given], pa.large_string()))
    for at in np.flatnonzero(np.isnan(time)).tolist():
        if given[at] is not None:
            broken.setdefault(int(trace[at]), f"time {shown(given[at])} of feature {at + 1} is not ISO 8601")
    return Points(
        source=str(path),
        unit="feature",
        record=order[start[:-1]] + 1,
        lonlat=lonlat[order],
        time=time[order],
        trip_id=np.asarray(ids, dtype=object),
        start=start,
        broken=broken,
    )


def _geometry(feature: dict[str, Any]) -> dict[str, Any]:
    geometry = feature.get("geometry")
    return geometry if isinstance(geometry, dict) else {}


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _flat(parts: Any) -> Any:
    """The parts of a MultiLineString, or of its times, in a row."""
    if not isinstance(parts, list) or not all(isinstance(part, list) for part in parts):
        return None
    return [item for part in parts for item in part]


def _positions(coordinates: Any) -> np.ndarray | None:
    """Longitude and latitude of positions, heights dropped; None if they are none."""
    try:
        return np.array([(float(lon), float(lat)) for lon, lat, *_ in coordinates]).reshape(-1, 2)
    except (TypeError, ValueError):
        return None


def _stamps(times: Any) -> np.ndarray | None:
    if not isinstance(times, list):
        return None
    return parse_times(pa.array([str(value) for value in times], pa.large_string()))
