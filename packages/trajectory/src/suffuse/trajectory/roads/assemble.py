"""From the columns of any road file to a checked `RoadNetwork`: what every reader ends with.

Dimensions: s segments, n nodes.
"""

import logging
from typing import Any

import numpy as np
import pyproj
import shapely
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.attributes import classes_and_speeds
from suffuse.trajectory.roads.network import WGS84, RoadNetwork

logger = logging.getLogger(__name__)

MIN_LENGTH_M = 0.1
"""Segments given as 0 m long (two nodes on one spot) count as this long."""

MAX_LENGTH_M = 1e6
"""No segment is longer."""

LEAST_EXTENT_M = 10.0
"""A projected network smaller than this has degrees for coordinates."""

_GEOD = pyproj.Geod(ellps="WGS84")


def assemble(
    *,
    source: str,
    name: str,
    tail: Int[ndarray, " s"],
    head: Int[ndarray, " s"],
    node_ids: Int[ndarray, " n"],
    node_lonlat: Float[ndarray, "n 2"],
    lines: ndarray,
    segment_ids: Int[ndarray, " s"] | None = None,
    length_m: Float[ndarray, " s"] | None = None,
    highway: ndarray | None = None,
    speed_kmh: Float[ndarray, " s"] | None = None,
    is_link: ndarray | None = None,
    lanes: Float[ndarray, " s"] | None = None,
    crs: str = WGS84,
    source_ids: ndarray | None = None,
    attribution: str = "",
    mode: str = "drive",
) -> RoadNetwork:
    """Check the columns and fill what they leave open.

    `tail` and `head` are node *ids*. Lines are WGS 84 LineStrings; None means a straight line between the nodes.
    Lengths that are missing or NaN are measured along the line on the ellipsoid, speeds that are take their road
    class's default, lanes 1, segment ids the row. A line drawn from head to tail is turned round. Raises
    `RoadNetworkError` naming `source` (the file) and the field.
    """
    if len(tail) == 0:
        raise RoadNetworkError(f"{source}: has no road segments")
    if len(node_ids) == 0:
        raise RoadNetworkError(f"{source}: has no nodes for its {len(tail)} segments to lie between")
    if len(np.unique(node_ids)) != len(node_ids):
        raise RoadNetworkError(f"{source}: node id {_first_repeated(node_ids)} occurs twice")
    segment_ids = np.arange(len(tail), dtype=np.int64) if segment_ids is None else segment_ids
    if len(np.unique(segment_ids)) != len(segment_ids):
        raise RoadNetworkError(f"{source}: segment id {_first_repeated(segment_ids)} occurs twice")
    check_lonlat(node_lonlat, source=source, names=node_ids, what="node")
    _check_extent(node_lonlat, crs, source)
    from_node = _rows_of(tail, node_ids, source, segment_ids, "start node")
    to_node = _rows_of(head, node_ids, source, segment_ids, "end node")
    lines = _checked_lines(lines, node_lonlat[from_node], node_lonlat[to_node], source, segment_ids)
    classes, speed = classes_and_speeds(
        np.full(len(tail), None) if highway is None else highway,
        np.full(len(tail), np.nan) if speed_kmh is None else speed_kmh,
        is_link,
    )
    return RoadNetwork(
        name=name,
        segment_ids=segment_ids.astype(np.int64),
        from_node=from_node,
        to_node=to_node,
        node_ids=node_ids.astype(np.int64),
        node_lonlat=np.asarray(node_lonlat, dtype=np.float64),
        geometry=lines,
        length_m=_checked_lengths(length_m, lines, source, segment_ids),
        highway=classes,
        speed_kmh=speed,
        lanes=np.ones(len(tail)) if lanes is None else np.where(np.isfinite(lanes) & (lanes > 0), lanes, 1.0),
        crs=crs,
        source_ids=source_ids,
        attribution=attribution,
        mode=mode,
    )


def check_lonlat(lonlat: Float[ndarray, "k 2"], *, source: str, names: ndarray | list[Any], what: str) -> None:
    """Raise `RoadNetworkError` for the first point that is not finite or lies outside ±180, ±90 degrees."""
    finite = np.isfinite(lonlat).all(axis=1)
    inside = (np.abs(lonlat[:, 0]) <= 180) & (np.abs(lonlat[:, 1]) <= 90)
    if bad := np.flatnonzero(~finite | ~inside).tolist():
        x, y = lonlat[bad[0]]
        why = (
            "are not finite"
            if not finite[bad[0]]
            else "are no degrees of longitude and latitude: is it in a projected CRS that the file does not name?"
        )
        raise RoadNetworkError(f"{source}: coordinates ({x}, {y}) of {what} {names[bad[0]]} {why}")


def _check_extent(lonlat: Float[ndarray, "n 2"], crs: str, source: str) -> None:
    """Degrees that are said to be metres lie within a few metres of each other."""
    if crs == WGS84:
        return
    (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
    across = _GEOD.inv(west, south, east, north)[2]
    if across < LEAST_EXTENT_M:
        name = pyproj.CRS.from_user_input(crs).name
        raise RoadNetworkError(
            f"{source}: in its crs ({name}) all of its roads lie within {across:.2g} m: is it the right one?"
        )


def split_lanes(lanes: Float[ndarray, " s"], two_way: ndarray) -> Float[ndarray, " s"]:
    """Lanes in this direction from OpenStreetMap's `lanes`, which on a two-way street counts both; at least 1."""
    share = np.where(two_way, lanes / 2, lanes)
    return np.where(np.isfinite(share), np.maximum(share, 1.0), 1.0)


def lonlat_transformer(crs: Any, *, source: str) -> tuple[pyproj.Transformer | None, str]:
    """From a file's CRS to WGS 84 (None where it is that already), and the CRS as a string to keep."""
    try:
        parsed = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise RoadNetworkError(f"{source}: crs {str(crs)[:80]!r} is none that is known") from error
    authority = parsed.to_authority()
    kept = ":".join(authority) if authority else parsed.to_wkt()
    if parsed.equals(pyproj.CRS.from_user_input(WGS84), ignore_axis_order=True) or kept == "OGC:CRS84":
        return None, WGS84
    return pyproj.Transformer.from_crs(parsed, WGS84, always_xy=True), kept


def transform_lines(lines: ndarray, transformer: pyproj.Transformer | None) -> ndarray:
    """The lines in WGS 84; heights, where lines have them, are dropped."""
    flat: ndarray = shapely.force_2d(lines)
    if transformer is None:
        return flat

    def move(xy: ndarray) -> ndarray:
        return np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=1)

    moved: ndarray = shapely.transform(flat, move)
    return moved


def _first_repeated(values: ndarray) -> Any:
    unique, count = np.unique(values, return_counts=True)
    return unique[count > 1][0]


def _rows_of(wanted: ndarray, node_ids: ndarray, source: str, segment_ids: ndarray, what: str) -> Int[ndarray, " s"]:
    order = np.argsort(node_ids)
    place = np.minimum(np.searchsorted(node_ids, wanted, sorter=order), len(node_ids) - 1)
    rows = order[place]
    if bad := np.flatnonzero(node_ids[rows] != wanted).tolist():
        raise RoadNetworkError(
            f"{source}: {what} {wanted[bad[0]]} of segment {segment_ids[bad[0]]} is not among the nodes"
        )
    return rows.astype(np.int64)


def _checked_lines(
    lines: ndarray, start: Float[ndarray, "s 2"], end: Float[ndarray, "s 2"], source: str, segment_ids: ndarray
) -> ndarray:
    missing = shapely.is_missing(lines) | shapely.is_empty(lines)
    if missing.any():
        lines = lines.copy()
        lines[missing] = shapely.linestrings(np.stack([start[missing], end[missing]], axis=1))
        logger.info(
            "%s: %d segments have no geometry; straight lines are drawn between their nodes", source, missing.sum()
        )
    if bad := np.flatnonzero(shapely.get_type_id(lines) != shapely.GeometryType.LINESTRING).tolist():
        kind = lines[bad[0]].geom_type
        raise RoadNetworkError(f"{source}: geometry of segment {segment_ids[bad[0]]} is a {kind}, not a LineString")
    coordinates, owner = shapely.get_coordinates(lines, return_index=True)
    check_lonlat(coordinates, source=source, names=segment_ids[owner], what="the geometry of segment")
    first, last = (shapely.get_coordinates(shapely.get_point(lines, index)) for index in (0, -1))
    as_is = np.abs(first - start).sum(axis=1) + np.abs(last - end).sum(axis=1)
    turned = np.abs(first - end).sum(axis=1) + np.abs(last - start).sum(axis=1)
    drawn: ndarray = np.where(turned < as_is, shapely.reverse(lines), lines)
    return drawn


def _checked_lengths(
    length_m: Float[ndarray, " s"] | None, lines: ndarray, source: str, segment_ids: ndarray
) -> Float[ndarray, " s"]:
    length = np.full(len(lines), np.nan) if length_m is None else length_m.astype(np.float64)
    if bad := np.flatnonzero((length < 0) | (length > MAX_LENGTH_M)).tolist():
        raise RoadNetworkError(
            f"{source}: length_m of segment {segment_ids[bad[0]]} is {length[bad[0]]}, "
            f"but must be from 0 to {MAX_LENGTH_M:,.0f}"
        )
    unknown = np.flatnonzero(np.isnan(length))
    length[unknown] = [_GEOD.geometry_length(line) for line in lines[unknown]]
    return np.maximum(length, MIN_LENGTH_M)
