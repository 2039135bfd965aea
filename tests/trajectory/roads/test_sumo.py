"""SUMO networks."""

import gzip
import logging
import sys
from pathlib import Path

import numpy as np
import pyproj
import pytest

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.cities import read_roads

UTM = "+proj=utm +zone=32 +ellps=WGS84 +datum=WGS84 +units=m +no_defs"


def lane(edge: str, index: int, shape: str, allow: str = "passenger bus") -> str:
    return f'<lane id="{edge}_{index}" index="{index}" allow="{allow}" speed="13.89" length="80" shape="{shape}"/>'


def net(projection: str = UTM) -> str:
    """Junctions a - b - c on a line, 100 m apart; lanes stop 10 m before a junction, as SUMO's do."""
    junctions = "".join(
        f'<junction id="{name}" type="priority" x="{x}" y="500" incLanes="" intLanes="" shape="{x},500"/>'
        for name, x in (("a", 100), ("b", 200), ("c", 300))
    )
    return f"""<net version="1.9">
    <location netOffset="-356000.00,-5645000.00" convBoundary="0,0,1,1" origBoundary="0,0,1,1"
      projParameter="{projection}"/>
    <edge id=":b_0" function="internal">{lane(":b_0", 0, "190,500 210,500")}</edge>
    <edge id="out" from="a" to="b" type="highway.primary_link">
      {lane("out", 0, "110,500 150,505 190,500", "pedestrian")}
      {lane("out", 1, "110,500 150,505 190,500")}{lane("out", 2, "110,500 150,505 190,500")}</edge>
    <edge id="-out" from="b" to="a" type="highway.residential">{lane("-out", 0, "190,500 110,500")}</edge>
    <edge id="on" from="b" to="c" type="strange">{lane("on", 0, "210,500 290,500")}</edge>
    <edge id="-on" from="c" to="b" type="">{lane("-on", 0, "290,500 210,500")}</edge>
    <edge id="rail" from="b" to="c">{lane("rail", 0, "210,500 290,500", "rail")}</edge>
    {junctions}
    <connection from="out" to="on" fromLane="1" toLane="0" dir="s" state="M"/>
    <connection from="on" to="-on" fromLane="0" toLane="0" dir="t" state="M"/>
    <connection from="-out" to="out" fromLane="0" toLane="1" dir="t" state="M"/>
    </net>"""


@pytest.mark.parametrize("name", ["town.net.xml", "town.net.xml.gz"])
def test_edges_for_cars_become_segments(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    data = net().encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with caplog.at_level(logging.WARNING):
        network = read_roads(tmp_path / name)
    assert network.source_ids is not None
    assert network.source_ids.tolist() == ["-on", "-out", "on", "out"]
    assert network.from_node.tolist() == [2, 1, 1, 0]
    assert network.to_node.tolist() == [1, 0, 2, 1]
    assert network.highway.tolist() == ["unclassified", "residential", "unclassified", "primary"]
    assert network.lanes.tolist() == [1, 1, 1, 2]
    assert network.speed_kmh == pytest.approx(50.004)
    assert (network.name, network.crs) == ("town", "EPSG:32632")
    # Metres in this UTM zone are 0.9998 of those on the ground; lines run from junction to junction.
    assert network.length_m == pytest.approx([100, 100, 100, 2 * 10 + 2 * np.hypot(40, 5)], rel=5e-4)
    lon, lat = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(356200, 5645500)
    assert network.node_lonlat[1] == pytest.approx([lon, lat], abs=1e-9)
    assert network.geometry[3].coords[-1] == pytest.approx((lon, lat), abs=1e-9)
    assert "1 turns are legal here that SUMO has no connection for" in caplog.text  # -on to -out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (net("!"), "has no geographic projection"),
        (net().replace("passenger", "tram"), "has no edge that cars may use"),
        ("", "is not a SUMO network"),
        ("<net>", "is not a SUMO network"),
        ("<net/>", "is not a SUMO network"),
        (net().replace('from="a"', 'from="zz"'), "town.net.xml: "),
        (net("+proj=nonsense"), "is not a SUMO network"),
        (net().replace('x="200"', 'x="nan"'), "are not finite"),
    ],
)
def test_unusable_networks_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "town.net.xml").write_text(text)
    with pytest.raises(RoadNetworkError, match=message):
        read_roads(tmp_path / "town.net.xml")


def test_without_sumolib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sumolib", None)
    (tmp_path / "town.net.xml").write_text(net())
    with pytest.raises(RoadNetworkError, match=r"pip install 'suffuse-trajectory\[sumo\]'"):
        read_roads(tmp_path / "town.net.xml")


def test_edges_by_vehicle_class(tmp_path: Path) -> None:
    """Nothing but the lane of `out` is for walkers; cyclists have `on` and its way back."""
    text = net()
    for edge in ("on", "-on"):
        text = text.replace(f'id="{edge}_0" index="0" allow="', f'id="{edge}_0" index="0" allow="bicycle ')
    (tmp_path / "town.net.xml").write_text(text)
    walk, bike = (read_roads(tmp_path / "town.net.xml", mode) for mode in ("walk", "bike"))
    assert walk.source_ids is not None
    assert walk.source_ids.tolist() == ["out", "out"]
    assert (walk.mode, walk.speed_kmh.tolist(), walk.lanes.tolist()) == ("walk", [4.8, 4.8], [1, 1])
    assert walk.from_node.tolist() == walk.to_node.tolist()[::-1]
    assert bike.source_ids is not None
    assert bike.source_ids.tolist() == ["-on", "on"]
    assert (bike.mode, bike.speed_kmh.tolist()) == ("bike", [16, 16])
    (tmp_path / "town.net.xml").write_text(net())
    with pytest.raises(RoadNetworkError, match="has no edge that cyclists may use"):
        read_roads(tmp_path / "town.net.xml", "bike")
