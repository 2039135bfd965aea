"""Roads from an OpenStreetMap extract (`.osm.pbf`), read with pyrosm (extra `pbf`)."""

from pathlib import Path

from suffuse.console import because
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.osmnx import OSM_ATTRIBUTION, from_osmnx


def read_pbf(path: Path) -> RoadNetwork:
    """The streets that cars may drive, with OpenStreetMap's one-way rules; says how to get pyrosm if it is missing."""
    try:
        import pyrosm
    except ImportError as error:
        raise RoadNetworkError(f"{path}: .osm.pbf files need pyrosm: pip install 'suffuse-trajectory[pbf]'") from error
    if not path.is_file():
        raise RoadNetworkError(f"{path}: no such file")
    try:
        osm = pyrosm.OSM(str(path))
        nodes, edges = osm.get_network(network_type="driving", nodes=True) or (None, None)
        graph = None if edges is None else osm.to_graph(nodes, edges, graph_type="networkx", retain_all=True)
    except Exception as error:  # pyrosm lets whatever its decoder meets through, of any type
        raise RoadNetworkError(f"{path}: is not an .osm.pbf file that can be read: {because(error)}") from error
    if graph is None:
        raise RoadNetworkError(f"{path}: has no streets that cars may drive")
    graph.graph.setdefault("attribution", OSM_ATTRIBUTION)
    return from_osmnx(graph, source=str(path), name=path.name.split(".")[0])
