"""Damaged SUMO networks, tables and HOSER files, and any values in columns: a network, or one `RoadNetworkError`."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.cities import load_city

NODES = "node_id,lon,lat\n1,0,0\n2,0.001,0\n3,0,0.001\n"
EDGES = "segment,u,v,length_m,highway,maxspeed,lanes,oneway,wkt\n" + "".join(
    f"{row},{u},{v},100,primary,50,1,no,\n" for row, (u, v) in enumerate([(1, 2), (2, 1), (2, 3), (3, 2)])
)
GEO = 'geo_id,type,coordinates,length,highway\n0,LineString,"[[0,0],[0.001,0]]",100,primary\n'
GEO += '1,LineString,"[[0.001,0],[0,0]]",100,primary\n'
REL = "rel_id,type,origin_id,destination_id\n0,geo,0,1\n1,geo,1,0\n"
SUMO = """<net version="1.16"><location netOffset="0,0" convBoundary="0,0,200,0" origBoundary="0,0,1,1"
projParameter="+proj=utm +zone=31 +ellps=WGS84"/>
<edge id="a" from="p" to="q" type="highway.primary"><lane id="a_0" index="0" speed="13" length="100" shape="0,0 100,0"/>
</edge><edge id="b" from="q" to="p"><lane id="b_0" index="0" speed="13" length="100" shape="100,0 0,0"/></edge>
<junction id="p" type="dead_end" x="0" y="0" incLanes="b_0" intLanes="" shape="0,0 0,1"/>
<junction id="q" type="dead_end" x="100" y="0" incLanes="a_0" intLanes="" shape="100,0 100,1"/></net>"""

LAYOUTS: dict[str, dict[str, bytes]] = {
    "edges.csv": {"nodes.csv": NODES.encode(), "edges.csv": EDGES.encode()},
    "nodes.csv": {"nodes.csv": NODES.encode(), "edges.csv": EDGES.encode()},
    "edges.csv.gz": {"nodes.csv": NODES.encode(), "edges.csv.gz": gzip.compress(EDGES.encode())},
    "roadmap.geo": {"roadmap.geo": GEO.encode(), "roadmap.rel": REL.encode()},
    "roadmap.rel": {"roadmap.geo": GEO.encode(), "roadmap.rel": REL.encode()},
}


def valid_or_named(path: Path) -> None:
    said = None
    try:
        network = load_city(path)
    except RoadNetworkError as error:
        said = str(error)
    if said is not None:
        assert said.startswith(str(path))
        assert "\n" not in said
        assert len(said) < len(str(path)) + 700
        return
    assert np.isfinite(network.node_lonlat).all()
    for values in (network.length_m, network.speed_kmh, network.lanes, network.free_flow_s):
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert np.isfinite(network.to_metres(network.node_lonlat)).all()


def damaged(data: st.DataObject, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        piece = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"nan", b"1e999", b"-", b'"', b",", b"\n", b"9" * 25])
        )
        content[at : at + data.draw(st.integers(0, 4))] = piece
    return bytes(content)


@pytest.mark.parametrize("name", LAYOUTS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_tables(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("town")
    for file, content in LAYOUTS[name].items():
        (folder / file).write_bytes(damaged(data, content) if file == name else content)
    valid_or_named(folder)


@pytest.mark.parametrize("suffix", ["net.xml", "net.xml.gz"])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_damaged_sumo_networks(tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject) -> None:
    pytest.importorskip("sumolib")
    path = tmp_path_factory.mktemp("town") / f"town.{suffix}"
    whole = gzip.compress(SUMO.encode(), mtime=0) if suffix.endswith("gz") else SUMO.encode()
    path.write_bytes(damaged(data, whole))
    valid_or_named(path)


def test_they_are_whole_before_they_are_damaged(tmp_path: Path) -> None:
    for name, files in LAYOUTS.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        assert len(load_city(folder)) == (2 if "roadmap" in name else 4)
    pytest.importorskip("sumolib")
    (tmp_path / "town.net.xml").write_text(SUMO)
    assert len(load_city(tmp_path / "town.net.xml")) == 2


values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["primary", "30 mph", "[1, 2]", "['primary']", "reverse", "-1", "\ud800", "1e400", "[" * 300])
    | st.text(max_size=4)
    | st.lists(st.integers(-5, 5), max_size=2)
)
columns = st.dictionaries(
    st.sampled_from(
        ["segment", "u", "v", "length_m", "highway", "maxspeed", "lanes", "oneway", "osmid", "is_link", "x"]
    ),
    values,
    max_size=4,
)
numbers = st.floats(-180, 180) | st.sampled_from([0.0, 0.001, 91.0, 1e300, float("nan"), float("inf")])
geometries = (
    st.none()
    | st.builds(
        lambda points: {"type": "LineString", "coordinates": points}, st.lists(st.tuples(numbers, numbers), max_size=3)
    )
    | st.builds(lambda point: {"type": "Point", "coordinates": point}, st.tuples(numbers, numbers))
    | st.sampled_from(
        [{}, {"type": "LineString"}, {"type": "Polygon", "coordinates": [[]]}, {"type": "X", "coordinates": 1}]
    )
)


@given(streets=st.lists(st.tuples(columns, geometries | st.just("good")), min_size=1, max_size=3))
@example(streets=[({"segment": 2**64}, "good")])
@example(streets=[({"maxspeed": 1e-300, "length_m": 1e308}, "good")])
@settings(max_examples=80, deadline=None)
def test_any_values_in_geojson(
    tmp_path_factory: pytest.TempPathFactory, streets: list[tuple[dict[str, Any], Any]]
) -> None:
    path = tmp_path_factory.mktemp("roads") / "town.geojson"
    good = {"type": "LineString", "coordinates": [[0.0, 0.0], [0.001, 0.0]]}
    features = [
        {"type": "Feature", "properties": said, "geometry": good if line == "good" else line} for said, line in streets
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    valid_or_named(path)
