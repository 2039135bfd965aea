"""Roads from a SUMO network (`.net.xml`, gzipped or not), read with sumolib (extra `sumo`)."""

import logging
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax import SAXException

import numpy as np
import shapely
from pyproj.exceptions import ProjError

from suffuse.console import because
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.assemble import assemble, lonlat_transformer, transform_lines
from suffuse.trajectory.roads.modes import TRAVELLERS, checked_mode, for_mode, rules_by_class
from suffuse.trajectory.roads.network import RoadNetwork

logger = logging.getLogger(__name__)


VEHICLE_CLASSES = {"drive": "passenger", "bike": "bicycle", "walk": "pedestrian"}
"""SUMO's names of who `allow` and `disallow` are for, by mode."""


def read_sumo(path: Path, mode: str | None = None) -> RoadNetwork:
    """The edges that a mode may use (cars by default), junction interiors left out; `source_ids` are SUMO's edge ids.

    Segments are numbered in the order of the edge ids, nodes in that of the junction ids. Lines and lengths run from
    the middle of one junction to that of the next, not from stop line to stop line as SUMO's do, so that the segments
    of a trip add up. Speed is that of the fastest lane, lanes are those open to the mode. Legal transitions follow from
    the nodes as everywhere in this package: turns that SUMO has no connection for become legal; how many do is logged.
    Who may use a lane is what its `allow` and `disallow` say, whatever its class; speeds of walkers and cyclists are
    those of `modes`, and walkers use an edge both ways.
    Raises `RoadNetworkError` if the network has no geographic projection, and says how to get sumolib if it is missing.
    """
    mode = checked_mode(mode or "drive")
    who = VEHICLE_CLASSES[mode]
    try:
        import sumolib
    except ImportError as error:
        raise RoadNetworkError(f"{path}: SUMO networks need sumolib: pip install 'suffuse-trajectory[sumo]'") from error
    if not path.is_file():
        raise RoadNetworkError(f"{path}: no such file")
    try:
        net = sumolib.net.readNet(str(path), withInternal=False, withPrograms=False)
        edges = sorted((edge for edge in net.getEdges(False) if edge.allows(who)), key=lambda edge: edge.getID())
        lines = [np.array(edge.getShape(includeJunctions=True), dtype=np.float64)[:, :2] for edge in edges]
        junctions = sorted({node for edge in edges for node in (edge.getFromNode(), edge.getToNode())}, key=_id)
        places = np.array([node.getCoord() for node in junctions], dtype=np.float64).reshape(-1, 2)
        projected = net.hasGeoProj()
        offset = np.array(net.getLocationOffset(), dtype=np.float64) if projected else np.zeros(2)
        crs = net.getGeoProj().crs if projected else None
    except (
        SAXException, OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError, ProjError,
    ) as error:  # fmt: skip
        raise RoadNetworkError(f"{path}: is not a SUMO network that can be read: {because(error)}") from error
    if not edges:
        raise RoadNetworkError(f"{path}: has no edge that {TRAVELLERS[mode]} may use")
    if not projected:
        raise RoadNetworkError(f"{path}: has no geographic projection (projParameter of location), so no crs")
    transformer, crs = lonlat_transformer(crs, source=str(path))
    row_of = {node: row for row, node in enumerate(junctions)}
    tail, head = (np.array([row_of[end(edge)] for edge in edges]) for end in (_from, _to))
    network = assemble(
        source=str(path),
        name=path.name.split(".")[0],
        tail=tail,
        head=head,
        node_ids=np.arange(len(junctions)),
        node_lonlat=shapely.get_coordinates(transform_lines(np.asarray(shapely.points(places - offset)), transformer)),
        lines=transform_lines(
            np.array([shapely.LineString(line - offset) for line in lines], dtype=object), transformer
        ),
        highway=np.array([edge.getType().rpartition("highway.")[2].partition("|")[0] for edge in edges], dtype=object),
        speed_kmh=np.array([edge.getSpeed() * 3.6 for edge in edges], dtype=np.float64),
        lanes=np.array([sum(lane.allows(who) for lane in edge.getLanes()) for edge in edges], dtype=np.float64),
        crs=crs,
        source_ids=np.array([edge.getID() for edge in edges], dtype=object),
    )
    if mode != "walk":
        _say_what_opens(network, edges, path)
    if mode == "drive":
        return network
    rules = rules_by_class(network, mode)
    return for_mode(network, mode, rules=replace(rules, open=np.ones(len(network), dtype=bool)))


def _say_what_opens(network: RoadNetwork, edges: list[Any], path: Path) -> None:
    rows, columns = network.successors.nonzero()
    extra = sum(edges[b] not in edges[a].getOutgoing() for a, b in zip(rows.tolist(), columns.tolist(), strict=True))
    if extra:
        logger.warning("%s: %d turns are legal here that SUMO has no connection for", path, extra)


def _id(node: Any) -> str:
    return str(node.getID())


def _from(edge: Any) -> Any:
    return edge.getFromNode()


def _to(edge: Any) -> Any:
    return edge.getToNode()
