"""Who may use a way: the class's default, and the tags over it."""

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import osmnx as ox
import pandas as pd
import pytest
import shapely

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.access import may_use, rules_by_tags, tags_of_table
from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.roads.folder import read_folder
from suffuse.trajectory.roads.modes import MIXED_KMH, RIDE_KMH, STEPS_KMH, WALK_KMH, for_mode
from suffuse.trajectory.roads.network import MODES, RoadNetwork
from suffuse.trajectory.roads.osmnx import from_osmnx
from suffuse.trajectory.roads.write import write_roads


def said(**tags: str) -> dict[str, list[str]]:
    return {name.replace("__", ":"): value.split(";") for name, value in tags.items()}


@pytest.mark.parametrize(
    ("tags", "modes"),
    [
        (said(highway="residential"), "drive bike walk"),
        (said(highway="motorway_link"), "drive"),
        (said(highway="trunk"), "drive"),
        (said(highway="trunk", bicycle="yes", foot="designated"), "drive bike walk"),
        (said(highway="primary", motorroad="yes"), "drive"),
        (said(highway="footway"), "bike walk"),
        (said(highway="pedestrian", motor_vehicle="permissive"), "drive bike walk"),
        (said(highway="pedestrian", motor_vehicle="delivery", bicycle="no"), "walk"),
        (said(highway="steps"), "walk"),
        (said(highway="steps", bicycle="yes"), "bike walk"),
        (said(highway="cycleway"), "bike walk"),
        (said(highway="cycleway", foot="no"), "bike"),
        (said(highway="residential", access="private"), ""),
        (said(highway="residential", access="no", foot="yes"), "walk"),
        (said(highway="residential", access="no", vehicle="yes"), "drive bike"),
        (said(highway="service", access="private;delivery"), ""),
        (said(highway="footway", access="yes"), "bike walk"),
        (said(highway="track", motor_vehicle="agricultural"), "bike walk"),
        (said(highway="primary", bicycle="use_sidepath", sidewalk="separate"), "drive"),
        (said(highway="primary", sidewalk__both="separate", foot="yes"), "drive bike walk"),
        (said(highway="construction", foot="yes"), ""),
        (said(highway="footway;residential"), "bike walk"),
        (said(highway="residential", foot="yes;no"), "drive bike"),
        ({}, "drive bike walk"),
    ],
)
def test_tags_over_defaults(tags: dict[str, list[str]], modes: str) -> None:
    assert [mode for mode in MODES if may_use(mode, tags)] == modes.split()


def test_speeds_and_contraflow(make_network: Callable[..., RoadNetwork]) -> None:
    kinds = ["steps", "footway", "path", "residential", "residential", "living_street", "footway", "residential"]
    network = make_network([(row, row + 1) for row in range(8)], highway=kinds)
    tags = {
        "highway": kinds,
        "bicycle": [None, "yes", None, "dismount", None, np.nan, None, None],
        "oneway:bicycle": ["", "", "", "", "no", "", "", ""],
        "cycleway:left": [None] * 7 + ["opposite_lane"],
    }
    walk, bike = rules_by_tags(network, "walk", tags), rules_by_tags(network, "bike", tags)
    assert walk.speed_kmh.tolist() == [STEPS_KMH] + [WALK_KMH] * 7
    assert bike.speed_kmh.tolist() == [
        WALK_KMH, MIXED_KMH, MIXED_KMH, WALK_KMH, RIDE_KMH, 10, WALK_KMH, RIDE_KMH,
    ]  # fmt: skip
    assert walk.both_ways.all()
    assert np.flatnonzero(bike.both_ways).tolist() == [4, 7]
    assert not bike.open[0]
    drive = rules_by_tags(network, "drive", tags)
    assert drive.speed_kmh.tolist() == network.speed_kmh.tolist()
    assert not drive.both_ways.any()


def graph() -> nx.MultiDiGraph:
    """Three streets round a square, one of them one-way, and a path of steps across it."""
    made = nx.MultiDiGraph(crs="EPSG:4326", created_with="OSMnx 2")
    for node, (x, y) in enumerate([(0.0, 0.0), (0.001, 0.0), (0.001, 0.001), (0.0, 0.001)]):
        made.add_node(node, x=x, y=y)
    for u, v, tags in (
        (0, 1, {"highway": "motorway"}),
        (1, 2, {"highway": "residential", "oneway": True, "oneway:bicycle": "no", "maxspeed": "30"}),
        (2, 3, {"highway": ["footway", "path"], "oneway": False}),
        (3, 2, {"highway": ["footway", "path"], "oneway": False}),
        (3, 1, {"highway": "steps", "oneway": False}),
        (1, 3, {"highway": "steps", "oneway": False}),
        (0, 3, {"highway": "service", "access": "private"}),
    ):
        made.add_edge(u, v, **tags)
    return made


@pytest.mark.parametrize(
    ("mode", "ends", "speeds"),
    [
        (None, "01 03 12 13 23 31 32", None),
        ("drive", "01 12", None),
        ("bike", "12 23 32 21", [16, 4.8, 4.8, 16]),
        ("walk", "12 13 23 31 32 21", [4.8, 2.4, 4.8, 2.4, 4.8, 4.8]),
    ],
)
@pytest.mark.parametrize("saved", [False, True])
def test_graph_by_mode(tmp_path: Path, saved: bool, mode: str | None, ends: str, speeds: list[float] | None) -> None:
    if saved:
        ox.save_graphml(graph(), tmp_path / "town.graphml")
        network = read_roads(tmp_path / "town.graphml", mode)
    else:
        network = from_osmnx(graph(), mode=mode)
    places = network.node_ids[np.stack([network.from_node, network.to_node], axis=1)].tolist()
    assert [f"{u}{v}" for u, v in places] == ends.split()
    assert network.mode == (mode or "drive")
    if speeds is not None:
        assert network.speed_kmh.tolist() == speeds


def test_columns_of_a_table_are_tags() -> None:
    table = pd.DataFrame(
        {"fclass": ["steps", "service"], "Foot": ["no", "yes"], "oneway_bicycle": ["no", 1], "width": 3}
    )
    tags = tags_of_table(table, np.array([1, 0, 1]))
    assert {name: list(values) for name, values in tags.items()} == {
        "highway": ["service", "steps", "service"],
        "foot": ["yes", "no", "yes"],
        "oneway:bicycle": [1, "no", 1],
    }


GEOJSON = """{"type": "FeatureCollection", "features": [
{"type": "Feature", "properties": {"highway": "residential", "oneway": "yes", "bicycle": "no"},
 "geometry": {"type": "LineString", "coordinates": [[0, 0], [0.001, 0]]}},
{"type": "Feature", "properties": {"highway": "unclassified", "junction": "roundabout"},
 "geometry": {"type": "LineString", "coordinates": [[0.001, 0], [0.001, 0.001]]}},
{"type": "Feature", "properties": {"highway": "path"},
 "geometry": {"type": "LineString", "coordinates": [[0.001, 0.001], [0, 0]]}}]}"""


@pytest.mark.parametrize(("mode", "segments"), [(None, 4), ("drive", 2), ("bike", 3), ("walk", 6)])
def test_geojson_by_mode(tmp_path: Path, mode: str | None, segments: int) -> None:
    (tmp_path / "town.geojson").write_text(GEOJSON)
    assert len(read_roads(tmp_path / "town.geojson", mode)) == segments


@pytest.mark.parametrize("suffix", ["geojson", "graphml", "gpkg", "parquet"])
@pytest.mark.parametrize("mode", MODES)
def test_files_keep_the_mode(
    grid: RoadNetwork, differences: Callable[..., list[str]], tmp_path: Path, suffix: str, mode: str
) -> None:
    made = grid if mode == "drive" else for_mode(grid, mode)
    path = tmp_path / f"town.{suffix}"
    write_roads(made, path)
    again = read_roads(path)
    assert again.mode == mode
    assert not differences(made, again, degrees=1e-6)
    same = read_roads(path, mode)
    assert not differences(again, same)
    if mode != "drive":
        with pytest.raises(RoadNetworkError, match="has lost what"):
            read_roads(path, "drive")


def test_what_says_its_mode_is_not_filtered_again(make_network: Callable[..., RoadNetwork], tmp_path: Path) -> None:
    """A network for cars with a footway in it, which somebody wanted there."""
    network = make_network([(0, 1), (1, 0)], highway=["footway", "residential"])
    write_roads(network, tmp_path / "town.parquet")
    assert len(read_roads(tmp_path / "town.parquet", "drive")) == 2
    write_roads(network, tmp_path / "roads.parquet")
    (tmp_path / "city.json").write_text('{"name": "here", "mode": "walk"}')
    assert (read_folder(tmp_path).mode, len(read_folder(tmp_path, "walk"))) == ("walk", 2)
    with pytest.raises(RoadNetworkError, match="'here' is for walkers"):
        read_folder(tmp_path, "bike")
    (tmp_path / "city.json").write_text('{"mode": "sail"}')
    with pytest.raises(RoadNetworkError, match=r"city\.json: mode is 'sail', but must be one of drive, bike, walk"):
        read_folder(tmp_path)


def test_tables_by_mode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "nodes.csv").write_text("node_id,lon,lat\n0,0,0\n1,0.001,0\n")
    (tmp_path / "edges.csv").write_text("edge_id,u,v,road_class\n0,0,1,residential\n1,1,0,cycleway\n2,1,0,trunk\n")
    assert [len(read_folder(tmp_path, mode)) for mode in (None, "drive", "bike", "walk")] == [3, 2, 2, 2]
    (tmp_path / "edges.csv").write_text("edge_id,u,v\n0,0,1\n")
    assert len(read_folder(tmp_path, "walk")) == 2
    assert "says nothing of road classes; all of its 1 segments are taken to be open to walkers" in caplog.text


def test_hoser_by_mode(tmp_path: Path) -> None:
    (tmp_path / "roadmap.geo").write_text(
        'geo_id,coordinates,highway\n5,"[[0, 0], [0.001, 0]]",residential\n6,"[[0.001, 0], [0.001, 0.001]]",motorway\n'
    )
    (tmp_path / "roadmap.rel").write_text("origin_id,destination_id\n5,6\n")
    walk = read_folder(tmp_path, "walk")
    assert walk.segment_ids.tolist() == [5, 7]
    assert shapely.equals_exact(walk.geometry[1], shapely.reverse(walk.geometry[0]), 0)
