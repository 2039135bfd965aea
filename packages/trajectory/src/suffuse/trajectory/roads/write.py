"""A road network as a file that other tools open."""

import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import osmnx as ox
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from suffuse.console import check_writable, replacing
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.network import WGS84, RoadNetwork
from suffuse.trajectory.roads.osmnx import to_osmnx


def roads_frame(network: RoadNetwork) -> gpd.GeoDataFrame:
    """One row a segment, in WGS 84.

    Columns: segment, from_node, to_node, length_m, highway, speed_kmh, lanes, oneway and, if known, source_ids.
    """
    columns = {
        "segment": network.segment_ids,
        "from_node": network.node_ids[network.from_node],
        "to_node": network.node_ids[network.to_node],
        "length_m": network.length_m,
        "highway": network.highway,
        "speed_kmh": network.speed_kmh,
        "lanes": network.lanes,
        "oneway": network.oneway,
    }
    if network.source_ids is not None:
        columns["source_ids"] = network.source_ids
    frame = gpd.GeoDataFrame(columns, geometry=network.geometry, crs=WGS84)
    frame.attrs = {"suffuse": {"name": network.name, "attribution": network.attribution, "mode": network.mode}}
    return frame


def write_roads(network: RoadNetwork, path: Path) -> None:
    """Write every segment with its geometry; the suffix says how, and the file appears whole or not at all.

    `.geojson` and `.graphml` (an OSMnx graph) are in WGS 84, `.gpkg` (layers nodes and edges) and `.parquet`
    (GeoParquet) in the CRS the network came in. Columns: see `roads_frame`. `load_city` reads each of them again;
    `.graphml` exactly. Raises `RoadNetworkError` for another suffix, or a path that cannot be written.
    """
    writer = _WRITERS[check_roads_suffix(path)]
    with replacing(path, error=RoadNetworkError, also=(DataSourceError, DataLayerError)) as temporary:
        writer(network, temporary)


def check_roads_suffix(path: Path) -> str:
    """The suffix of a path that roads can be written to. Raises RoadNetworkError for any other path."""
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise RoadNetworkError(f"{path}: unknown suffix {path.suffix!r}; roads are written as {', '.join(_WRITERS)}")
    check_writable(path, error=RoadNetworkError)
    return suffix


def _write_parquet(network: RoadNetwork, path: Path) -> None:
    roads_frame(network).to_crs(network.crs).to_parquet(path, compression="zstd")


def _write_geojson(network: RoadNetwork, path: Path) -> None:
    """RFC 7946: longitude and latitude, to the centimetre; name, attribution and mode are members of the collection."""
    frame = roads_frame(network).drop(columns="geometry")
    lines = json.loads(shapely.to_geojson(shapely.GeometryCollection(list(network.geometry))))["geometries"]
    with path.open("w", encoding="utf-8") as file:
        said = {"name": network.name, "attribution": network.attribution, "mode": network.mode}
        head = {"type": "FeatureCollection", **said}
        file.write(json.dumps(head)[:-1] + ', "features": [')
        for row, (properties, line) in enumerate(zip(frame.to_dict("records"), lines, strict=True)):
            line["coordinates"] = [[round(lon, 7), round(lat, 7)] for lon, lat in line["coordinates"]]
            feature = {"type": "Feature", "properties": properties, "geometry": line}
            file.write((",\n" if row else "\n") + json.dumps(feature))
        file.write("\n]}\n")


def _write_gpkg(network: RoadNetwork, path: Path) -> None:
    """Layers `nodes` and `edges` in the CRS the network came in."""
    nodes = gpd.GeoDataFrame(
        {"node_id": network.node_ids}, geometry=shapely.points(network.node_lonlat), crs=WGS84
    ).to_crs(network.crs)
    said = {"NAME": network.name, "ATTRIBUTION": network.attribution, "MODE": network.mode}
    pyogrio.write_dataframe(nodes, path, layer="nodes", driver="GPKG")
    edges = roads_frame(network).to_crs(network.crs)
    pyogrio.write_dataframe(edges, path, layer="edges", driver="GPKG", append=True, layer_metadata=said)


def _write_graphml(network: RoadNetwork, path: Path) -> None:
    ox.save_graphml(to_osmnx(network), path)


_WRITERS: dict[str, Callable[[RoadNetwork, Path], None]] = {
    ".geojson": _write_geojson,
    ".graphml": _write_graphml,
    ".gpkg": _write_gpkg,
    ".parquet": _write_parquet,
}
