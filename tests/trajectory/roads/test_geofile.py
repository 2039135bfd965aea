"""Tables of lines from other hands: streets drawn once, no nodes, other CRSs, and what cannot be used."""

import json
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import osmnx as ox
import pandas as pd
import pyogrio
import pytest
import shapely

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.osmnx import to_osmnx

A, B, C = (-71.25, -29.9), (-71.24, -29.9), (-71.24, -29.89)
STREETS = [shapely.LineString([A, (-71.245, -29.901), B]), shapely.LineString([B, C]), shapely.LineString([C, A])]

with np.errstate(invalid="ignore"):
    NOWHERE = shapely.from_wkt("LINESTRING(-71.25 NaN, -71 -29)")


def frame(**columns: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=STREETS, crs="EPSG:4326")


def ends(network: RoadNetwork) -> list[tuple[int, int]]:
    u, v = network.node_ids[network.from_node], network.node_ids[network.to_node]
    return list(zip(u.tolist(), v.tolist(), strict=True))


def test_streets_without_nodes_or_directions_are_two_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame(highway=["primary", "service", "service"], lanes=["4", None, "2"]).to_file(tmp_path / "r.gpkg")
    network = read_roads(tmp_path / "r.gpkg")
    assert ends(network) == [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)]
    assert network.lanes.tolist() == [2, 2, 1, 1, 1, 1]
    assert network.node_lonlat.tolist() == [list(A), list(B), list(C)]
    assert list(network.geometry[1].coords) == [B, (-71.245, -29.901), A]
    assert network.segment_ids.tolist() == [0, 1, 2, 3, 4, 5]
    assert "every street is taken to be two-way" in caplog.text


@pytest.mark.parametrize(
    "oneway", [[True, False, "-1"], ["yes", "no", "reverse"], ["F", "B", "T"], [1, 0, -1]], ids=str
)
def test_one_way_streets_in_any_spelling(tmp_path: Path, oneway: list[object]) -> None:
    table = frame(oneway=pd.array([str(value) for value in oneway]), lanes=[3, 3, 3], edge_id=[10, 11, 12])
    table.to_parquet(tmp_path / "r.parquet")
    network = read_roads(tmp_path / "r.parquet")
    assert ends(network) == [(0, 1), (1, 2), (2, 1), (0, 2)]
    assert network.lanes.tolist() == [3, 1.5, 1.5, 3]
    assert network.oneway.tolist() == [True, False, False, True]


def test_ids_stay_where_every_street_is_one_way(tmp_path: Path) -> None:
    frame(oneway=[True] * 3, edge_id=[10, 12, 11]).to_parquet(tmp_path / "r.parquet")
    assert read_roads(tmp_path / "r.parquet").segment_ids.tolist() == [10, 12, 11]


def test_a_table_with_both_directions_is_left_alone(tmp_path: Path) -> None:
    table = frame(u=[4, 5, 6], v=[5, 6, 4])
    back = table.assign(u=table["v"], v=table["u"], geometry=table.geometry.reverse())
    both = pd.concat([table, back.iloc[:2]], ignore_index=True)
    both.to_parquet(tmp_path / "r.parquet")
    network = read_roads(tmp_path / "r.parquet")
    assert ends(network) == [(4, 5), (5, 6), (6, 4), (5, 4), (6, 5)]
    assert network.oneway.tolist() == [False, False, True, False, False]


def test_lines_drawn_the_wrong_way_are_turned(tmp_path: Path) -> None:
    table = frame(from_node=[4, 5, 4], to_node=[5, 6, 6], segment=[1, 2, 3])
    table.to_parquet(tmp_path / "r.parquet")
    network = read_roads(tmp_path / "r.parquet")
    assert list(network.geometry[2].coords) == [A, C]
    assert ends(network) == [(4, 5), (5, 6), (4, 6)]


def test_ends_within_half_a_metre_are_one_node(tmp_path: Path) -> None:
    near, far = (B[0] + 3e-6, B[1]), (C[0] + 3e-5, C[1])
    lines = [STREETS[0], shapely.LineString([near, C]), shapely.LineString([far, A])]
    gpd.GeoDataFrame(geometry=lines, crs="EPSG:4326").to_file(tmp_path / "r.geojson")
    network = read_roads(tmp_path / "r.geojson")
    assert len(network.node_ids) == 4
    assert network.to_node[0] == network.from_node[2]


@pytest.mark.parametrize("directed", [True, False])
def test_geopackages_saved_by_osmnx(grid: RoadNetwork, tmp_path: Path, directed: bool) -> None:
    graph = to_osmnx(grid)
    for _, _, data in graph.edges(data=True):
        for name in ("segment", "from_node", "to_node", "length_m", "speed_kmh", "speed_kph", "source_ids"):
            data.pop(name, None)
        data |= {"lanes": ["2", "4"], "maxspeed": "30 mph", "reversed": False}
    if not directed:
        graph.add_edge(0, 8, **{**graph.edges[0, 1, 0], "oneway": True, "geometry": None, "length": 500.0, "osmid": 1})
        graph.edges[0, 8, 0]["geometry"] = shapely.LineString(grid.node_lonlat[[0, 8]])
    ox.save_graph_geopackage(graph, tmp_path / "town.gpkg", directed=directed)
    network = read_roads(tmp_path / "town.gpkg")
    expected = sorted(grid.node_ids[np.stack([grid.from_node, grid.to_node], axis=1)].tolist())
    assert sorted(map(list, ends(network))) == sorted(expected + ([] if directed else [[0, 8]]))
    assert set(network.lanes[~network.oneway]) == {1.0}
    assert network.speed_kmh == pytest.approx(48.28032)
    two_way = nx.DiGraph(ends(network)).subgraph(range(9))
    assert all(two_way.has_edge(v, u) for u, v in two_way.edges if (u, v) != (0, 8))


def test_projected_files_and_heights(tmp_path: Path) -> None:
    flat = frame(oneway=[False] * 3).to_crs("EPSG:32719")
    high = flat.set_geometry(shapely.force_3d(flat.geometry.to_numpy(), 7.0), crs=flat.crs)
    high.to_file(tmp_path / "r.gpkg", layer="streets")
    network = read_roads(tmp_path / "r.gpkg")
    assert network.crs == "EPSG:32719"
    assert not shapely.has_z(network.geometry).any()
    assert network.node_lonlat == pytest.approx(np.array([A, B, C]), abs=1e-9)


def test_single_multilinestrings_are_lines(tmp_path: Path) -> None:
    table = frame()
    table.geometry = [shapely.MultiLineString([line]) for line in STREETS]
    table.to_file(tmp_path / "r.gpkg")
    assert len(read_roads(tmp_path / "r.gpkg")) == 6


def save(table: pd.DataFrame, path: Path) -> Path:
    table.to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame().set_crs(None, allow_override=True), "has no crs"),
        (frame().to_crs("EPSG:32719").set_crs("EPSG:4326", allow_override=True), "of feature 1 are no degrees"),
        (frame().set_geometry([None, *STREETS[1:]], crs="EPSG:4326"), "geometry of feature 1 is missing"),
        (frame().set_geometry([*STREETS[:2], shapely.Point(A)], crs="EPSG:4326"), "geometry of feature 3 is a Point"),
        (frame().set_geometry([*STREETS[:2], shapely.LineString()], crs="EPSG:4326"), "geometry of feature 3 is empty"),
        (
            frame().set_geometry([shapely.MultiLineString(STREETS[:2])] * 3, crs="EPSG:4326"),
            "geometry of feature 1 is a MultiLineString",
        ),
        (frame(u=[1, 2, None], v=[2, 3, 1]), "column 'u', record 3: .nan. is no whole number"),
        (frame(length=[1, "far", 3]).astype({"length": str}), "column 'length', record 2: 'far' is no number"),
        (frame(segment=[1, 1, 2]), "segment id 1 occurs twice"),
        (frame().iloc[:0], "has no road segments"),
        (pd.DataFrame({"u": [1]}), "is not a file of roads that can be read"),
        (
            frame().set_geometry([NOWHERE, *STREETS[1:]], crs="EPSG:4326"),
            "of feature 1 are not finite",
        ),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, table: pd.DataFrame, message: str) -> None:
    path = save(table, tmp_path / "r.parquet")
    with pytest.raises(RoadNetworkError, match=rf"r\.parquet: .*{message}"):
        read_roads(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[1, 2]", "must be a GeoJSON FeatureCollection"),
        ('{"type": "Feature"}', "must be a GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": []}', "has no"),
        ('{"type": "FeatureCollection", "features": 3}', "r.geojson: "),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_broken_geojson_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.geojson").write_text(text)
    with pytest.raises(RoadNetworkError, match=message):
        read_roads(tmp_path / "r.geojson")


def test_geojson_coordinates_out_of_range(tmp_path: Path) -> None:
    line = {"type": "LineString", "coordinates": [[282000, 6690000], [282100, 6690000]]}
    feature = {"type": "Feature", "properties": {}, "geometry": line}
    (tmp_path / "r.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(RoadNetworkError, match=r"coordinates \(282000.0, 6690000.0\) of feature 1 are no degrees"):
        read_roads(tmp_path / "r.geojson")


def test_layers_without_geometry_or_crs_for_nodes(tmp_path: Path) -> None:
    path = tmp_path / "r.gpkg"
    pyogrio.write_dataframe(pd.DataFrame({"a": [1]}), path, layer="numbers")
    with pytest.raises(RoadNetworkError, match="has no layer with a geometry"):
        read_roads(path)
    path.unlink()
    points = gpd.GeoDataFrame({"osmid": [1, 2]}, geometry=[shapely.Point(A), shapely.Point(B)], crs="EPSG:4326")
    pyogrio.write_dataframe(frame(u=[1, 2, 9], v=[2, 1, 1]), path, layer="edges")
    pyogrio.write_dataframe(points, path, layer="nodes", append=True)
    with pytest.raises(RoadNetworkError, match="start node 9 of segment 2 is not among the nodes"):
        read_roads(path)
