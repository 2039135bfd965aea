"""City folders: two tables, a shipped parquet file, or HOSER's roadmap."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.write import write_roads

NODES = "node_id,lon,lat\n5,-122.4,37.8\n6,-122.399,37.8\n7,-122.398,37.8\n"
EDGES = (
    "edge_id,u,v,length_m,road_class,is_link,car_speed_kmh,wkt\n"
    '40,5,6,90.5,residential,0,30,"LINESTRING(-122.4 37.8,-122.3995 37.8001,-122.399 37.8)"\n'
    '41,6,5,90.5,residential,0,30,"LINESTRING(-122.399 37.8,-122.3995 37.8001,-122.4 37.8)"\n'
    "42,6,7,,motorway,1,,\n"
    "43,7,6,88,motorway,1,80,\n"
)


def write(folder: Path, nodes: str = NODES, edges: str = EDGES) -> Path:
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return folder


def test_two_tables(tmp_path: Path) -> None:
    network = read_roads(write(tmp_path))
    assert network.segment_ids.tolist() == [40, 41, 42, 43]
    assert network.node_ids[network.from_node].tolist() == [5, 6, 6, 7]
    assert network.highway.tolist() == ["residential", "residential", "motorway", "motorway"]
    assert network.speed_kmh.tolist() == [30, 30, 60, 80]
    expected = pyproj.Geod(ellps="WGS84").inv(-122.399, 37.8, -122.398, 37.8)[2]
    assert network.length_m == pytest.approx([90.5, 90.5, expected, 88])
    assert list(network.geometry[2].coords) == [(-122.399, 37.8), (-122.398, 37.8)]
    assert network.reverse.tolist() == [1, 0, 3, 2]
    assert network.name == tmp_path.name


def test_gzip_other_column_names_and_city_json(tmp_path: Path) -> None:
    nodes = NODES.replace("node_id,lon,lat", "osmid,X,Y")
    edges = "from,to,lanes,highway,maxspeed,osm_id\n5,6,2,primary,30 mph,99\n6,5,,trunk_link,,\n"
    (tmp_path / "nodes.csv.gz").write_bytes(gzip.compress(nodes.encode()))
    (tmp_path / "edges.csv.gz").write_bytes(gzip.compress(edges.encode()))
    (tmp_path / "city.json").write_text(json.dumps({"name": "Frisco", "attribution": "(c) me"}))
    network = read_roads(tmp_path)
    assert network.segment_ids.tolist() == [0, 1]
    assert network.speed_kmh == pytest.approx([48.28032, 48])
    assert network.lanes.tolist() == [2, 1]
    assert network.source_ids is not None
    assert network.source_ids.tolist() == ["99", ""]
    assert (network.name, network.attribution) == ("Frisco", "(c) me")


def test_the_shipped_layout(grid: RoadNetwork, differences: Callable[..., list[str]], tmp_path: Path) -> None:
    write_roads(grid, tmp_path / "roads.parquet")
    (tmp_path / "city.json").write_text('{"name": "small"}')
    assert differences(read_roads(tmp_path), grid) == []


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (NODES, EDGES.replace("40,5,6", "40,5,66"), "end node 66 of segment 40 is not among the nodes"),
        (NODES, EDGES.replace("41,6", "40,6"), "segment id 40 occurs twice"),
        (NODES.replace("6,", "5,"), EDGES, "node id 5 occurs twice"),
        (NODES, EDGES.replace(",u,", ",start,"), "has no column 'from_node'"),
        (NODES.replace("lon", "east"), EDGES, "nodes.csv: has no column 'lon'"),
        (NODES.replace("37.8\n6", "nan\n6"), EDGES, r"coordinates \(-122.4, nan\) of node 5 are not finite"),
        (NODES.replace("-122.4,", "551000,"), EDGES, "of node 5 are no degrees"),
        (NODES.replace("-122.4,", "west,"), EDGES, "column 'lon', record 1: 'west' is no number"),
        (NODES, EDGES.replace("90.5", "-1"), "length_m of segment 40 is -1.0"),
        (NODES, EDGES.replace("42,6,7", "42,6.5,7"), "column 'u', record 3: .*6.5.* is no whole number"),
        (NODES, EDGES.replace("LINESTRING(-122.399", "LINESTRONG(-122.399"), "column 'wkt', record 2: 'LINESTRONG"),
        (NODES, EDGES.replace("LINESTRING(-122.399 37.8,-122.3995 37.8001,-122.4 37.8)", "POINT(1 2)"), "is a Point"),
        (NODES, EDGES.replace("-122.3995 37.8001", "-122.3995 NaN"), "the geometry of segment 40 are not finite"),
        (NODES, EDGES.split("\n")[0], "has no road segments"),
        (NODES, "", "edges.csv: is not a CSV file that can be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, nodes: str, edges: str, message: str) -> None:
    folder = write(tmp_path, nodes, edges)
    with pytest.raises(RoadNetworkError, match=message):
        read_roads(folder)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RoadNetworkError, match=r"holds no road network; a city folder has roads\.parquet"):
        read_roads(tmp_path)
    write(tmp_path)
    (tmp_path / "nodes.csv").unlink()
    with pytest.raises(RoadNetworkError, match=r"has edges\.csv but no nodes\.csv"):
        read_roads(tmp_path)
    write(tmp_path)
    (tmp_path / "city.json").write_text("[1]")
    with pytest.raises(RoadNetworkError, match="holds no JSON object, but a list"):
        read_roads(tmp_path)
    (tmp_path / "city.json").write_text("{")
    with pytest.raises(RoadNetworkError, match="cannot be read as JSON"):
        read_roads(tmp_path)


def write_hoser(network: RoadNetwork, folder: Path, banned: tuple[int, int] | None = None) -> Path:
    """The network in HOSER's format, with every legal transition but one as relation."""
    rows = ["geo_id,type,coordinates,length,highway"]
    for row in range(len(network)):
        points = json.dumps([list(point) for point in network.geometry[row].coords])
        name, length = network.segment_ids[row], network.length_m[row]
        rows.append(f"{name},LineString,\"{points}\",{float(length)!r},\"['{network.highway[row]}', 'x']\"")
    (folder / "roadmap.geo").write_text("\n".join(rows))
    pairs = zip(*(index.tolist() for index in network.successors.nonzero()), strict=True)
    rel = [f"{i},geo,{a},{b}" for i, (a, b) in enumerate(pairs) if (a, b) != banned]
    (folder / "roadmap.rel").write_text("\n".join(["rel_id,type,origin_id,destination_id", *rel]))
    return folder


def test_hoser_roadmaps(grid: RoadNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for place in (write_hoser(grid, tmp_path), tmp_path / "roadmap.geo"):
        network = read_roads(place)
        assert network.segment_ids.tolist() == grid.segment_ids.tolist()
        assert np.array_equal(network.successors.toarray(), grid.successors.toarray())
        assert len(network.node_ids) == 9
        assert network.highway.tolist() == grid.highway.tolist()
        assert network.length_m == pytest.approx(grid.length_m, rel=1e-15)
        assert np.array_equal(network.reverse, grid.reverse)
    assert caplog.records == []


def test_a_turn_that_hoser_bans_is_logged(grid: RoadNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = tuple(int(index[0]) for index in grid.successors.nonzero())
    read_roads(write_hoser(grid, tmp_path, banned=(first[0], first[1])))
    assert "1 turns at shared nodes are legal here that the relations do not list" in caplog.text


def test_relations_join_ends_that_lie_apart(tmp_path: Path) -> None:
    geo = 'geo_id,coordinates,length\n1,"[[0,0],[0.001,0]]",111\n2,"[[0.0011,0],[0.002,0]]",100\n'
    (tmp_path / "roadmap.geo").write_text(geo)
    (tmp_path / "roadmap.rel").write_text("origin_id,destination_id\n1,2\n")
    network = read_roads(tmp_path)
    assert network.to_node[0] == network.from_node[1]
    assert len(network.node_ids) == 3


@pytest.mark.parametrize(
    ("geo", "rel", "message"),
    [
        ("geo_id,length\n1,2\n", "origin_id,destination_id\n", r"roadmap\.geo: has no column 'coordinates'"),
        ('geo_id,coordinates\n1,"[[0,0]]"\n', "origin_id,destination_id\n", "coordinates of segment 1 must be a JSON"),
        (
            'geo_id,coordinates\n1,"[[0,0],[1,"\n',
            "origin_id,destination_id\n",
            "coordinates of segment 1 must be a JSON",
        ),
        ('geo_id,coordinates\n1,"[[0,0],[1,99]]"\n', "origin_id,destination_id\n", "segment 1 are no degrees"),
        (
            'geo_id,coordinates\n1,"[[0,0],[1,9]]"\n',
            "origin_id,destination_id\n1,4\n",
            "destination_id 4 is no segment",
        ),
        ('geo_id,coordinates\n1,"[[0,0],[1,9]]"\n', "a,b\n", r"roadmap\.rel: has no column 'destination_id'"),
        ("geo_id,coordinates\n", "origin_id,destination_id\n", "has no road segments"),
        ("geo_id,coordinates\n", None, r"roadmap\.rel: no such file"),
    ],
)
def test_broken_roadmaps_are_named(tmp_path: Path, geo: str, rel: str | None, message: str) -> None:
    (tmp_path / "roadmap.geo").write_text(geo)
    if rel is not None:
        (tmp_path / "roadmap.rel").write_text(rel)
    with pytest.raises(RoadNetworkError, match=message):
        read_roads(tmp_path)
