"""Roads from GIS files: GeoPackage, GeoParquet, GeoJSON, and what else GDAL reads as a table of LineStrings."""

import json
import logging
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow
import pyogrio
import shapely
from numpy import ndarray
from shapely.errors import GEOSException

from suffuse.console import because
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.access import as_met, said_mode, tags_of_table
from suffuse.trajectory.roads.assemble import (
    assemble,
    check_lonlat,
    lonlat_transformer,
    split_lanes,
    transform_lines,
)
from suffuse.trajectory.roads.attributes import is_true
from suffuse.trajectory.roads.columns import (
    find_column,
    flags,
    lane_counts,
    need_column,
    optional_numbers,
    speeds,
    texts,
    whole_numbers,
)
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.snap import snap_ends
from suffuse.trajectory.roads.transitions import reverse_partners

logger = logging.getLogger(__name__)

SUFFIXES = (".gpkg", ".parquet", ".geoparquet", ".geojson", ".json", ".fgb", ".shp")

_ROUND = {"roundabout", "circular"}
_AGAINST = {"-1", "reverse", "t"}
_ALONG = {"f"}
_TWO_WAY = {"no", "false", "0", "0.0", "b"}


def read_geofile(path: Path, mode: str | None = None) -> RoadNetwork:
    """A network from a file of LineStrings with a CRS, one feature a segment or, in files not written here, a street.

    Columns are found by the names in `columns.ALIASES`. Start and end nodes may be given (`u`, `v`; the layer `nodes`
    of a GeoPackage, as OSMnx writes it, then places them); otherwise ends within half a metre of each other are a node.
    A file with a column `segment` holds one feature a direction, as `write_roads` makes it. In any other, a street that
    is not `oneway` (nor a roundabout, `junction`) and has no counterpart in the other direction gets one, and `lanes`
    counts both directions. With `mode` the segments are those that it may use, by the columns named as `access.TAGS`.
    Raises `RoadNetworkError` naming the file and the field: no geometry, no CRS, no LineString, coordinates out of
    range.
    """
    edges, nodes, said = _read_layers(path)
    source = str(path)
    if {"trip_id", "segments"} <= set(edges.columns):
        raise RoadNetworkError(f"{source}: holds trips, not the roads they are on")
    if edges.crs is None:
        raise RoadNetworkError(f"{source}: has no crs, so nobody can say where its coordinates are")
    transformer, crs = lonlat_transformer(edges.crs, source=source)
    edges = edges.reset_index(drop=True)
    given_u, given_v = find_column(edges, "from_node"), find_column(edges, "to_node")
    drawn = _linestrings(edges, source)
    lines = transform_lines(drawn, transformer)
    _check_drawn(lines, source)
    if given_u is None or given_v is None:
        tail, head, lonlat = snap_ends(lines)
        node_ids = np.arange(len(lonlat))
    else:
        tail, head = whole_numbers(given_u, source), whole_numbers(given_v, source)
        node_ids, lonlat = _node_places(tail, head, lines) if nodes is None else _node_layer(nodes, source)
    segment = find_column(edges, "segment")
    ids = None if segment is None else whole_numbers(segment, source)
    length = optional_numbers(edges, "length_m", source)
    lanes, two_way = lane_counts(edges), None
    row = np.arange(len(edges))
    ours = "segment" in edges.columns
    if not ours:
        row, backward, two_way = _directions(edges, tail, head, length, source)
        lanes = split_lanes(lanes[row], two_way)
        tail, head = np.where(backward, head[row], tail[row]), np.where(backward, tail[row], head[row])
        lines = np.where(backward, shapely.reverse(lines[row]), lines[row])
        ids = _ids_for_both(ids, row)
    highway = find_column(edges, "highway")
    meets = said_mode(said.get("mode"), source) if ours else None
    names = texts(edges, "source_ids")
    link = flags(edges, "is_link")
    network = assemble(
        source=source,
        name=str(said.get("name", path.stem)),
        segment_ids=ids,
        tail=tail,
        head=head,
        node_ids=node_ids,
        node_lonlat=lonlat,
        lines=lines,
        length_m=None if length is None else length[row],
        highway=None if highway is None else highway.to_numpy(dtype=object)[row],
        speed_kmh=speeds(edges)[row],
        is_link=None if link is None else link[row],
        lanes=lanes,
        crs=crs,
        source_ids=None if names is None else names[row],
        attribution=str(said.get("attribution", "")),
        mode=meets or "drive",
    )
    return as_met(network, mode, tags_of_table(edges, row), said=meets)


def _read_layers(path: Path) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame | None, dict[str, Any]]:
    """The table of edges, the table of nodes if the file has one, and what the file says of itself."""
    if not path.is_file():
        raise RoadNetworkError(f"{path}: no such file")
    try:
        if path.suffix.lower() in {".parquet", ".geoparquet"}:
            edges = gpd.read_parquet(path)
            text = edges.select_dtypes("string").columns
            edges[text] = edges[text].astype(object)  # decodes every string, so that broken ones are found here
            said = edges.attrs.get("suffuse")
            return edges, None, said if isinstance(said, dict) else {}
        said = _json_members(path) if path.suffix.lower() in {".geojson", ".json"} else {}
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if not layers:
            raise RoadNetworkError(f"{path}: has no layer with a geometry")
        layer = next((name for name in ("edges", "roads") if name in layers), layers[0])
        edges = pyogrio.read_dataframe(path, layer=layer)
        nodes = pyogrio.read_dataframe(path, layer="nodes") if {"nodes", "edges"} <= set(layers) else None
        said = said or {
            key.lower(): value for key, value in (pyogrio.read_info(path, layer=layer)["layer_metadata"] or {}).items()
        }
    except RoadNetworkError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, pyarrow.ArrowException, GEOSException) as error:
        raise RoadNetworkError(f"{path}: is not a file of roads that can be read: {because(error)}") from error
    if not isinstance(edges, gpd.GeoDataFrame):
        raise RoadNetworkError(f"{path}: has no geometry")
    return edges, nodes, said


def _json_members(path: Path) -> dict[str, Any]:
    """Name, attribution and mode from the top of a GeoJSON FeatureCollection."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RoadNetworkError(f"{path}: is not JSON that can be read: {because(error)}") from error
    if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
        raise RoadNetworkError(f"{path}: must be a GeoJSON FeatureCollection")
    return {key: content[key] for key in ("name", "attribution", "mode") if isinstance(content.get(key), str)}


def _linestrings(edges: gpd.GeoDataFrame, source: str) -> ndarray:
    """The geometries, each a LineString; a MultiLineString of one part is that part."""
    lines: ndarray = edges.geometry.to_numpy(dtype=object).copy()
    single = (shapely.get_type_id(lines) == shapely.GeometryType.MULTILINESTRING) & (
        shapely.get_num_geometries(lines) == 1
    )
    lines[single] = shapely.get_geometry(lines[single], 0)
    kind = shapely.get_type_id(lines)
    if bad := np.flatnonzero((kind != shapely.GeometryType.LINESTRING) | shapely.is_empty(lines)).tolist():
        what = (
            "missing"
            if lines[bad[0]] is None
            else f"{'empty' if lines[bad[0]].is_empty else 'a ' + lines[bad[0]].geom_type}"
        )
        raise RoadNetworkError(f"{source}: geometry of feature {bad[0] + 1} is {what}, but must be a LineString")
    if len(lines) == 0:
        raise RoadNetworkError(f"{source}: has no road segments")
    return lines


def _check_drawn(lines: ndarray, source: str) -> None:
    coordinates, owner = shapely.get_coordinates(lines, return_index=True)
    check_lonlat(coordinates, source=source, names=owner + 1, what="feature")


def _node_places(tail: ndarray, head: ndarray, lines: ndarray) -> tuple[ndarray, ndarray]:
    """Node ids, and where they are: where the first line that leaves the node starts, else the first into it ends."""
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(lines, index)) for index in (0, -1)])
    node_ids, first = np.unique(np.concatenate([tail, head]), return_index=True)
    return node_ids, ends[first]


def _node_layer(nodes: gpd.GeoDataFrame, source: str) -> tuple[ndarray, ndarray]:
    """Node ids and positions from the layer `nodes`."""
    source = f"{source}, layer nodes"
    if nodes.crs is None:
        raise RoadNetworkError(f"{source}: has no crs")
    ids = whole_numbers(need_column(nodes, "node", source), source)
    points = nodes.geometry.to_numpy(dtype=object)
    if bad := np.flatnonzero(
        (shapely.get_type_id(points) != shapely.GeometryType.POINT) | shapely.is_empty(points)
    ).tolist():
        raise RoadNetworkError(f"{source}: geometry of node {ids[bad[0]]} must be a Point")
    transformer, _ = lonlat_transformer(nodes.crs, source=source)
    return ids, shapely.get_coordinates(transform_lines(points, transformer))


def _directions(
    edges: gpd.GeoDataFrame, tail: ndarray, head: ndarray, length: ndarray | None, source: str
) -> tuple[ndarray, ndarray, ndarray]:
    """Row, whether drawn backwards, and whether the street is two-way, of every direction that may be driven."""
    column = find_column(edges, "oneway")
    _, dense = np.unique(np.concatenate([tail, head]), return_inverse=True)
    from_node, to_node = dense.reshape(2, -1)
    alike = np.zeros(len(edges)) if length is None else np.nan_to_num(length)
    partner = reverse_partners(from_node, to_node, alike)
    around = np.zeros(len(edges), dtype=bool)
    if "junction" in edges.columns:
        around = edges["junction"].astype(str).str.strip().str.lower().isin(_ROUND).to_numpy()
    if column is None:
        against = np.zeros(len(edges), dtype=bool)
        oneway = around
        if (partner >= 0).any():
            oneway = partner < 0
        else:
            logger.warning("%s: says nothing of one-way streets; every street is taken to be two-way", source)
    else:
        text = column.astype(str).str.strip().str.lower()
        against = text.isin(_AGAINST).to_numpy()
        along = text.isin(_ALONG).to_numpy() | np.array([is_true(value) for value in column], dtype=bool)
        oneway = along | against | (around & ~text.isin(_TWO_WAY).to_numpy())
    forward = np.flatnonzero(~against)
    mirrored = np.flatnonzero(against | (~oneway & (partner < 0) & (tail != head)))
    row = np.concatenate([forward, mirrored])
    backward = np.arange(len(row)) >= len(forward)
    order = np.lexsort((backward, row))
    return row[order], backward[order], ~oneway[row[order]]


def _ids_for_both(ids: ndarray | None, row: ndarray) -> ndarray | None:
    """Ids of directed segments: the file's own where it has one a direction, else new ones counted from 0."""
    return ids if ids is not None and len(np.unique(row)) == len(row) else None
