"""OSMnx graphs, in memory and as GraphML files, to road networks and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np
import osmnx as ox
import shapely
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.console import because
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.access import as_met, said_mode, tags_of_edges
from suffuse.trajectory.roads.assemble import assemble, lonlat_transformer, split_lanes, transform_lines
from suffuse.trajectory.roads.attributes import as_list, is_true, lane_count, speed_in_kmh
from suffuse.trajectory.roads.network import WGS84, RoadNetwork

OSM_ATTRIBUTION = "(c) OpenStreetMap contributors, ODbL 1.0"

if TYPE_CHECKING:
    AnyGraph = nx.Graph[Any]
    Graph = nx.MultiDiGraph[Any]
else:
    AnyGraph, Graph = nx.Graph, nx.MultiDiGraph  # have no type arguments when run

_Edge = tuple[Any, Any, Any, dict[str, Any]]

_TEXT_EDGE_DTYPES = dict.fromkeys(("length", "oneway", "osmid", "reversed", "speed_kph", "travel_time"), str)
_TEXT_EDGE_DTYPES |= dict.fromkeys(("bearing", "grade", "grade_abs"), str)
_TEXT_NODE_DTYPES = dict.fromkeys(("osmid", "elevation", "elevation_res", "street_count", "x", "y"), str)
_TEXT_GRAPH_DTYPES = dict.fromkeys(("consolidated", "simplified"), str)


def read_graphml(path: Path, mode: str | None = None) -> RoadNetwork:
    """A network from a GraphML file saved by OSMnx (`ox.save_graphml`) or by `write_roads`, as `mode` meets it.

    Raises `RoadNetworkError` naming the file and the field, for the reasons `from_osmnx` gives or if it is no GraphML.
    """
    try:
        graph = ox.load_graphml(
            path, node_dtypes=_TEXT_NODE_DTYPES, edge_dtypes=_TEXT_EDGE_DTYPES, graph_dtypes=_TEXT_GRAPH_DTYPES
        )
    except FileNotFoundError as error:
        raise RoadNetworkError(f"{path}: no such file") from error
    except (ParseError, nx.NetworkXException, shapely.errors.GEOSException) as error:
        raise RoadNetworkError(f"{path}: is not GraphML that can be read: {because(error)}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RoadNetworkError(f"{path}: is not GraphML as OSMnx saves it: {because(error)}") from error
    return from_osmnx(graph, source=str(path), name=path.stem, mode=mode)


def from_osmnx(graph: AnyGraph, *, source: str = "graph", name: str = "graph", mode: str | None = None) -> RoadNetwork:
    """A network from an OSMnx graph, one segment an edge, simplified or not, in whatever CRS it is.

    Segments are in the order of (u, v, key) and named 0, 1, 2, ... in it; edges that all have a whole number `segment`,
    as `to_osmnx` gives them, are named and ordered by that. Speed: `speed_kmh`, else `speed_kph`, else `maxspeed` (mph
    too), else the class's default. `lanes` of a two-way street counts both directions, as in OpenStreetMap, and is
    shared between them, unless the edges have `segment`. An edge without `geometry` is a straight line. `source` names
    the graph in messages. With `mode` the edges are those that it may use, by the tags that they keep (`access.TAGS`);
    without, all of them. Raises `RoadNetworkError` for a graph without edges, `crs`, or a node's `x` or `y`, or
    undirected.
    """
    if not graph.is_directed():
        raise RoadNetworkError(f"{source}: is an undirected graph, so one-way streets are lost; save the directed one")
    if graph.number_of_edges() == 0:
        raise RoadNetworkError(f"{source}: has no road segments")
    if not graph.graph.get("crs"):
        raise RoadNetworkError(f"{source}: has no crs, so nobody can say where its coordinates are")
    transformer, crs = lonlat_transformer(graph.graph["crs"], source=source)
    crs = str(graph.graph.get("source_crs", crs))
    row_of, node_ids = _node_names(list(graph.nodes))
    points = np.asarray(shapely.points(_node_places(graph, source)))
    edges: list[_Edge] = list(nx.MultiDiGraph(graph).edges(keys=True, data=True))
    segment_ids, edges = _in_order(edges, row_of, source)
    data = [attributes for *_, attributes in edges]
    tail, head = (np.array([row_of[edge[end]] for edge in edges]) for end in (0, 1))
    lanes = np.array([lane_count(edge.get("lanes")) for edge in data])
    if segment_ids is None:
        between = set(zip(tail.tolist(), head.tolist(), strict=True))
        lanes = split_lanes(
            lanes,
            np.array(
                [
                    not is_true(edge["oneway"]) if "oneway" in edge else (v, u) in between
                    for edge, u, v in zip(data, tail.tolist(), head.tolist(), strict=True)
                ]
            ),
        )
    ours = "source_crs" in graph.graph
    said = said_mode(graph.graph.get("mode"), source) if ours else None
    made_by_osmnx = "osmnx" in str(graph.graph.get("created_with", "")).lower()
    network = assemble(
        source=source,
        name=str(graph.graph.get("name", name)) if ours else name,
        segment_ids=segment_ids,
        tail=node_ids[tail],
        head=node_ids[head],
        node_ids=node_ids,
        node_lonlat=shapely.get_coordinates(transform_lines(points, transformer)),
        lines=transform_lines(_lines(data, source), transformer),
        length_m=np.array([_length(edge, source) for edge in data]),
        highway=np.array([str(edge.get("highway", "")) for edge in data], dtype=object),
        speed_kmh=np.array([_speed(edge) for edge in data]),
        lanes=lanes,
        crs=crs,
        source_ids=_source_ids(data),
        attribution=str(graph.graph.get("attribution", OSM_ATTRIBUTION if made_by_osmnx else "")),
        mode=said or "drive",
    )
    return as_met(network, mode, tags_of_edges(data), said=said)


def to_osmnx(network: RoadNetwork) -> Graph:
    """The network as an OSMnx graph in WGS 84: nodes with `x` and `y`, edges with what OSMnx's functions use (`osmid`,
    `highway`, `lanes`, `oneway`, `length`, `speed_kph`, `geometry`) and our own names (`segment`, `from_node`,
    `to_node`, `length_m`, `speed_kmh`, `source_ids`). `lanes` are those of the edge's own direction. `from_osmnx` makes
    the same network of it again, bit for bit if segment ids ascend.
    """
    said: dict[str, Any] = {
        "crs": WGS84,
        "source_crs": network.crs,
        "name": network.name,
        "attribution": network.attribution,
        "mode": network.mode,
    }
    graph: Graph = nx.MultiDiGraph()
    graph.graph.update(said, simplified=True)
    for node, (lon, lat) in zip(network.node_ids.tolist(), network.node_lonlat.tolist(), strict=True):
        graph.add_node(node, x=lon, y=lat)
    ends = network.node_ids[np.stack([network.from_node, network.to_node], axis=1)].tolist()
    for row, (u, v) in enumerate(ends):
        length, speed = float(network.length_m[row]), float(network.speed_kmh[row])
        edge: dict[str, Any] = {
            "segment": int(network.segment_ids[row]),
            "from_node": u,
            "to_node": v,
            "length_m": length,
            "length": length,
            "highway": str(network.highway[row]),
            "speed_kmh": speed,
            "speed_kph": speed,
            "lanes": float(network.lanes[row]),
            "oneway": bool(network.oneway[row]),
            "geometry": network.geometry[row],
        }
        if network.source_ids is not None:
            edge["source_ids"] = str(network.source_ids[row])
            numbers = [int(part) for part in edge["source_ids"].split() if part.isdecimal()]
            edge["osmid"] = numbers[0] if len(numbers) == 1 else numbers
        graph.add_edge(u, v, **edge)
    return graph


def _node_names(nodes: list[Any]) -> tuple[dict[Any, int], Int[ndarray, " n"]]:
    """The row of each node, and its id: the node itself if all are whole numbers, else its row."""
    row_of = {node: row for row, node in enumerate(nodes)}
    try:
        ids = np.array([int(str(node)) for node in nodes], dtype=np.int64)
    except (ValueError, OverflowError):
        ids = np.arange(len(nodes), dtype=np.int64)
    return row_of, ids if len(np.unique(ids)) == len(ids) else np.arange(len(nodes), dtype=np.int64)


def _node_places(graph: AnyGraph, source: str) -> Float[ndarray, "n 2"]:
    """x and y of each node, in the graph's CRS."""
    places = []
    for node, data in graph.nodes(data=True):
        for axis in ("x", "y"):
            try:
                places.append(float(data[axis]))
            except KeyError as error:
                raise RoadNetworkError(f"{source}: node {node} has no {axis}") from error
            except (ValueError, TypeError) as error:
                raise RoadNetworkError(
                    f"{source}: {axis} of node {node} is {str(data[axis])[:40]!r}, no number"
                ) from error
    return np.array(places).reshape(-1, 2)


def _in_order(edges: list[_Edge], row_of: dict[Any, int], source: str) -> tuple[ndarray | None, list[_Edge]]:
    """Edges by `segment` and these as ids; or None and edges by (u, v, key), as numbers if they all are."""
    if all("segment" in data for *_, data in edges):
        try:
            ids = np.array([int(str(data["segment"])) for *_, data in edges], dtype=np.int64)
        except (ValueError, OverflowError) as error:
            raise RoadNetworkError(
                f"{source}: attribute segment of an edge is no whole number: {because(error)}"
            ) from error
        order = np.argsort(ids, kind="stable")
        return ids[order], [edges[row] for row in order]
    by_number = all(str(node).lstrip("-").isdecimal() for node in row_of)

    def place(edge: _Edge) -> tuple[Any, Any, tuple[int, int, str]]:
        u, v, key, _ = edge
        text = str(key)
        number = (0, int(text), "") if text.isdecimal() else (1, 0, text)
        return (int(str(u)), int(str(v)), number) if by_number else (str(u), str(v), number)

    return None, sorted(edges, key=place)


def _lines(data: list[dict[str, Any]], source: str) -> ndarray:
    lines = np.full(len(data), None, dtype=object)
    for row, edge in enumerate(data):
        line = edge.get("geometry")
        if line is not None and not isinstance(line, shapely.Geometry):
            raise RoadNetworkError(f"{source}: geometry of edge {row} is a {type(line).__name__}, not a LineString")
        lines[row] = line
    return lines


def _length(edge: dict[str, Any], source: str) -> float:
    text = edge.get("length_m", edge.get("length", "nan"))
    try:
        return float(text)
    except (ValueError, TypeError) as error:
        raise RoadNetworkError(f"{source}: length of an edge is {str(text)[:60]!r}, no number") from error


def _speed(edge: dict[str, Any]) -> float:
    said = (speed_in_kmh(edge[name]) for name in ("speed_kmh", "speed_kph", "maxspeed") if name in edge)
    return next((speed for speed in said if np.isfinite(speed)), np.nan)


def _source_ids(data: list[dict[str, Any]]) -> ndarray | None:
    """What `to_osmnx` wrote, else the OSM ids, several joined by a space; None if no edge has any."""
    if not any("source_ids" in edge or "osmid" in edge for edge in data):
        return None
    texts = [
        str(edge["source_ids"]) if "source_ids" in edge else " ".join(str(part) for part in as_list(edge.get("osmid")))
        for edge in data
    ]
    return np.array(texts, dtype=object)
