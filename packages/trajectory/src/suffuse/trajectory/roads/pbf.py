"""Roads from an OpenStreetMap extract (`.osm.pbf`), read with pyrosm (extra `pbf`)."""

from pathlib import Path

from suffuse.console import because
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.access import TAGS
from suffuse.trajectory.roads.modes import TRAVELLERS, checked_mode
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.osmnx import OSM_ATTRIBUTION, from_osmnx

KINDS = {"drive": ("driving", "driving"), "bike": ("all", "cycling"), "walk": ("all", "walking")}
"""pyrosm's names, by mode: of the ways to read, and of who the one-way rules are for."""


def read_pbf(path: Path, mode: str | None = None) -> RoadNetwork:
    """The streets that cars may drive, or the ways that another mode may use, with OpenStreetMap's one-way rules.

    For cars pyrosm chooses the ways: no service roads, no tracks. For others it reads all of them, and their tags
    choose (`access`): so walkers may use a cycleway where they are let, and cyclists push on a footway. Says how to get
    pyrosm if it is missing.
    """
    ways, direction = KINDS[checked_mode(mode or "drive")]
    try:
        import pyrosm
    except ImportError as error:
        raise RoadNetworkError(f"{path}: .osm.pbf files need pyrosm: pip install 'suffuse-trajectory[pbf]'") from error
    if not path.is_file():
        raise RoadNetworkError(f"{path}: no such file")
    try:
        osm = pyrosm.OSM(str(path))
        extra = None if ways == "driving" else list(TAGS)
        nodes, edges = osm.get_network(network_type=ways, extra_attributes=extra, nodes=True) or (None, None)
        graph = None
        if edges is not None:
            graph = osm.to_graph(nodes, edges, graph_type="networkx", retain_all=True, network_type=direction)
    except Exception as error:  # pyrosm lets whatever its decoder meets through, of any type
        raise RoadNetworkError(f"{path}: is not an .osm.pbf file that can be read: {because(error)}") from error
    if graph is None:
        raise RoadNetworkError(f"{path}: has no ways that {TRAVELLERS[mode or 'drive']} may use")
    graph.graph.setdefault("attribution", OSM_ATTRIBUTION)
    own = mode if ways == "all" else None
    return from_osmnx(graph, source=str(path), name=path.name.split(".")[0], mode=own)
