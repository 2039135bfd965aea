"""OSMnx graphs as people have them: simplified or not, projected or not, as text or as Python values."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import osmnx as ox
import pyproj
import pytest
import shapely

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.roads.osmnx import OSM_ATTRIBUTION, from_osmnx, read_graphml


@pytest.fixture
def graph() -> nx.MultiDiGraph:
    """A simplified graph: a two-way street 30 - 10 in two OSM ways, a one-way street round it, a slip road beside."""
    graph = nx.MultiDiGraph(crs="epsg:4326", created_with="OSMnx 2.0.6", simplified=True)
    graph.add_node(30, x=-71.25, y=-29.9, street_count=3)
    graph.add_node(10, x=-71.24, y=-29.9, street_count=3)
    graph.add_node(20, x=-71.245, y=-29.895, street_count=2)
    bent = shapely.LineString([(-71.25, -29.9), (-71.245, -29.901), (-71.24, -29.9)])
    both: dict[str, Any] = {
        "osmid": [7, 8],
        "highway": ["secondary", "residential"],
        "lanes": ["4", "2"],
        "maxspeed": ["30 mph", "50"],
        "oneway": False,
        "length": 1000.5,
    }
    graph.add_edge(30, 10, **both, reversed=False, geometry=bent)
    graph.add_edge(10, 30, **both, reversed=True, geometry=bent.reverse())
    graph.add_edge(10, 20, osmid=9, highway="tertiary", oneway=True, length=700.0, lanes="3", speed_kph=44.5)
    graph.add_edge(20, 30, osmid=9, highway="tertiary", oneway=True, length=700.0)
    graph.add_edge(30, 10, osmid=11, highway="motorway_link", oneway=True, length=960.0, maxspeed="none")
    return graph


def expect(network: Any) -> None:
    assert network.segment_ids.tolist() == [0, 1, 2, 3, 4]
    ends = np.stack([network.node_ids[network.from_node], network.node_ids[network.to_node]], axis=1)
    assert ends.tolist() == [[10, 20], [10, 30], [20, 30], [30, 10], [30, 10]]
    assert network.length_m.tolist() == [700, 1000.5, 700, 1000.5, 960]
    assert network.highway.tolist() == ["tertiary", "secondary", "tertiary", "secondary", "motorway"]
    assert network.speed_kmh == pytest.approx([44.5, 48.28032, 45, 48.28032, 60])
    assert network.lanes.tolist() == [3, 1, 1, 1, 1]
    assert network.source_ids.tolist() == ["9", "7 8", "9", "7 8", "11"]
    assert network.reverse.tolist() == [-1, 3, -1, 1, -1]
    assert shapely.get_num_points(network.geometry).tolist() == [2, 3, 2, 3, 2]
    assert network.attribution == OSM_ATTRIBUTION


def test_a_graph_in_memory(graph: nx.MultiDiGraph) -> None:
    network = from_osmnx(graph)
    expect(network)
    assert network.node_ids.tolist() == [30, 10, 20]
    assert network.crs == "EPSG:4326"
    assert list(network.geometry[3].coords)[1] == (-71.245, -29.901)


def test_a_graph_saved_by_osmnx(graph: nx.MultiDiGraph, tmp_path: Path) -> None:
    ox.save_graphml(graph, tmp_path / "town.graphml")
    network = read_graphml(tmp_path / "town.graphml")
    expect(network)
    assert network.name == "town"


def test_a_projected_graph_lies_where_it_did(graph: nx.MultiDiGraph) -> None:
    projected = ox.project_graph(graph, to_crs="EPSG:32719")
    network = from_osmnx(projected)
    expect(network)
    assert network.crs == "EPSG:32719"
    original = from_osmnx(graph)
    assert np.abs(network.node_lonlat - original.node_lonlat).max() < 1e-9
    assert shapely.equals_exact(network.geometry, original.geometry, 1e-9).all()


def test_missing_lengths_are_measured_and_text_flags_understood(graph: nx.MultiDiGraph, tmp_path: Path) -> None:
    for *_, data in graph.edges(data=True):
        data["oneway"] = "yes" if data["oneway"] else "no"
        del data["length"]
    ox.save_graphml(graph, tmp_path / "town.graphml")
    network = read_graphml(tmp_path / "town.graphml")
    assert network.lanes.tolist() == [3, 1, 1, 1, 1]
    geod = pyproj.Geod(ellps="WGS84")
    assert network.length_m[0] == pytest.approx(geod.inv(-71.24, -29.9, -71.245, -29.895)[2])
    assert network.length_m[4] < network.length_m[3]


def test_nodes_need_no_numbers(graph: nx.MultiDiGraph) -> None:
    named = nx.relabel_nodes(graph, {30: "c", 10: "a", 20: "b"})
    network = from_osmnx(named)
    assert network.node_ids.tolist() == [0, 1, 2]
    assert network.from_node.tolist() == [1, 1, 2, 0, 0]


def without(graph: nx.MultiDiGraph, what: str) -> nx.MultiDiGraph:
    if what == "crs":
        del graph.graph["crs"]
    elif what in {"x", "y"}:
        del graph.nodes[20][what]
    elif what == "edges":
        graph.remove_edges_from(list(graph.edges(keys=True)))
    return graph


@pytest.mark.parametrize(
    ("what", "message"),
    [("crs", "has no crs"), ("x", "node 20 has no x"), ("y", "node 20 has no y"), ("edges", "has no road segments")],
)
def test_what_is_missing_is_named(graph: nx.MultiDiGraph, tmp_path: Path, what: str, message: str) -> None:
    broken = without(graph, what)
    with pytest.raises(RoadNetworkError, match=message):
        from_osmnx(broken)
    ox.save_graphml(broken, tmp_path / "town.graphml")
    with pytest.raises(RoadNetworkError, match=rf"town\.graphml: .*{message}"):
        read_graphml(tmp_path / "town.graphml")


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("geometry", shapely.Point(0, 0), "geometry of segment 0 is a Point"),
        ("geometry", "LINESTRING", "geometry of edge 0 is a str"),
        ("length", -3.0, "length_m of segment 0 is -3.0"),
        ("length", "far", "length of an edge is 'far'"),
        ("geometry", shapely.LineString([(282000, 6690000), (282100, 6690000)]), "are no degrees"),
    ],
)
def test_edges_that_cannot_be_used_are_named(
    graph: nx.MultiDiGraph, attribute: str, value: object, message: str
) -> None:
    graph.edges[10, 20, 0][attribute] = value
    with pytest.raises(RoadNetworkError, match=message):
        from_osmnx(graph)


def test_nowhere_in_a_file(graph: nx.MultiDiGraph, tmp_path: Path) -> None:
    ox.save_graphml(graph, tmp_path / "town.graphml")
    text = (tmp_path / "town.graphml").read_text()
    (tmp_path / "town.graphml").write_text(text.replace("-71.245 -29.901", "-71.245 NaN"))
    with pytest.raises(
        RoadNetworkError, match=r"town\.graphml: coordinates \(-71.245, nan\) of the geometry of segment"
    ):
        read_roads(tmp_path / "town.graphml")


def test_wrong_crs_undirected_and_infinite_coordinates(graph: nx.MultiDiGraph) -> None:
    with pytest.raises(RoadNetworkError, match="undirected"):
        from_osmnx(ox.convert.to_undirected(graph))
    graph.nodes[20]["x"] = float("nan")
    with pytest.raises(RoadNetworkError, match="node 20 are not finite"):
        from_osmnx(graph)
    graph.nodes[20]["x"] = "east"
    with pytest.raises(RoadNetworkError, match="x of node 20 is 'east'"):
        from_osmnx(graph)
    graph.graph["crs"] = "the moon"
    with pytest.raises(RoadNetworkError, match="crs 'the moon' is none that is known"):
        from_osmnx(graph)
