"""A road network as a file that other tools open."""

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.atomic import replacing
from suffuse.trajectory.roads.network import WGS84, RoadNetwork


def roads_frame(network: RoadNetwork) -> gpd.GeoDataFrame:
    """One row a segment, in WGS 84: segment, from_node, to_node, length_m, highway, speed_kmh, lanes, oneway, source_ids."""
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
    frame.attrs = {"suffuse": {"name": network.name, "attribution": network.attribution}}
    return frame


def write_roads(network: RoadNetwork, path: Path) -> None:
    """Write every segment with its geometry; the suffix says how, and the file appears whole or not at all."""
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise RoadNetworkError(f"{path}: unknown suffix {path.suffix!r}; roads are written as {', '.join(_WRITERS)}")
    with replacing(path) as temporary:
        _WRITERS[suffix](network, temporary)


def _write_parquet(network: RoadNetwork, path: Path) -> None:
    roads_frame(network).to_crs(network.crs).to_parquet(path, compression="zstd")


_WRITERS: dict[str, Callable[[RoadNetwork, Path], None]] = {".parquet": _write_parquet}
