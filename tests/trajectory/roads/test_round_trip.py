"""Networks written by `write_roads` and read again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import networkx as nx
import numpy as np
import osmnx as ox
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.assemble import assemble
from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork
from suffuse.trajectory.roads.osmnx import from_osmnx, to_osmnx
from suffuse.trajectory.roads.write import roads_frame, write_roads

SUFFIXES = (".geojson", ".graphml", ".gpkg", ".parquet")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_network_comes_back_as_it_was(
    grid: RoadNetwork, differences: Callable[..., list[str]], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"roads{suffix}"
    write_roads(grid, path)
    degrees = 1e-7 if suffix == ".geojson" else 0.0
    assert differences(read_roads(path), grid, degrees=degrees) == []
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_projected_network_keeps_its_crs(
    grid: RoadNetwork, differences: Callable[..., list[str]], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"roads{suffix}"
    projected = replace(grid, crs="EPSG:32719", name="roads")
    write_roads(projected, path)
    again = read_roads(path)
    expected = replace(projected, crs="EPSG:4326") if suffix == ".geojson" else projected
    assert differences(again, expected, degrees=1e-7) == []
    if suffix == ".gpkg":
        for layer in ("nodes", "edges"):
            frame = pyogrio.read_dataframe(path, layer=layer)
            assert frame.crs == "EPSG:32719"
            assert 200_000 < frame.total_bounds[0] < 300_000


finite = st.floats(0.5, 5000, allow_nan=False)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    """What `assemble` takes: up to 6 nodes in one city and 12 segments, bent lines, any ids and numbers."""
    ids = st.integers(-(2**53), 2**53)
    node_ids = draw(st.lists(ids, min_size=2, max_size=6, unique=True))
    places = draw(
        st.lists(
            st.tuples(st.floats(-71.3, -71.2), st.floats(-30.0, -29.9)),
            min_size=len(node_ids),
            max_size=len(node_ids),
            unique_by=(lambda place: round(place[0], 5), lambda place: round(place[1], 5)),
        )
    )
    node = st.integers(0, len(node_ids) - 1)
    links = draw(st.lists(st.tuples(node, node).filter(lambda link: link[0] != link[1]), min_size=1, max_size=12))
    used = sorted({node for link in links for node in link})
    count = len(links)

    def each(values: st.SearchStrategy[Any]) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=count, max_size=count)))

    lines = [shapely.LineString([places[u], (-71.25, -29.95), places[v]]) for u, v in links]
    return {
        "source": "random",
        "name": draw(st.text("abcäñ &<", min_size=1)).strip() or "x",
        "segment_ids": np.array(sorted(draw(st.lists(ids, min_size=count, max_size=count, unique=True)))),
        "tail": np.array([node_ids[u] for u, _ in links]),
        "head": np.array([node_ids[v] for _, v in links]),
        "node_ids": np.array([node_ids[node] for node in used]),
        "node_lonlat": np.array([places[node] for node in used]),
        "lines": np.array(lines, dtype=object),
        "length_m": each(finite),
        "speed_kmh": each(st.floats(1, 200)),
        "lanes": each(st.floats(1, 8)),
        "highway": each(st.sampled_from(HIGHWAY_CLASSES)).astype(object),
        "source_ids": each(st.text("0123456789 -#ä", max_size=9).map(str.strip)).astype(object),
        "attribution": draw(st.text("abc ©&<>", max_size=8)).strip(),
    }


@given(columns())
@settings(max_examples=50, deadline=None)
def test_any_network_survives_graphml_exactly(
    tmp_path_factory: pytest.TempPathFactory, differences: Callable[..., list[str]], columns: dict[str, Any]
) -> None:
    network = assemble(**columns)
    path = tmp_path_factory.mktemp("roads") / "roads.graphml"
    write_roads(network, path)
    assert differences(read_roads(path), network) == []


@given(columns(), st.sampled_from([".parquet", ".gpkg", ".geojson"]))
@settings(max_examples=60, deadline=None)
def test_any_network_survives_gis_files(
    tmp_path_factory: pytest.TempPathFactory,
    differences: Callable[..., list[str]],
    columns: dict[str, Any],
    suffix: str,
) -> None:
    network = assemble(**columns)
    path = tmp_path_factory.mktemp("roads") / f"roads{suffix}"
    write_roads(network, path)
    again = read_roads(path)
    exact = suffix != ".geojson"
    order = np.argsort(network.node_ids)  # GIS files without a table of nodes have them by id
    if suffix != ".gpkg":
        rank = np.argsort(order)
        network = replace(
            network,
            node_ids=network.node_ids[order],
            node_lonlat=network.node_lonlat[order],
            from_node=rank[network.from_node],
            to_node=rank[network.to_node],
        )
    assert differences(again, network, degrees=0.0 if exact else 1e-7) == []


def test_graphml_is_an_osmnx_graph(grid: RoadNetwork, tmp_path: Path) -> None:
    path = tmp_path / "roads.graphml"
    write_roads(grid, path)
    graph = ox.load_graphml(path)
    nodes, edges = ox.graph_to_gdfs(graph)
    assert (len(nodes), len(edges)) == (9, 24)
    assert edges.crs == "EPSG:4326"
    way = ox.routing.shortest_path(graph, 0, 8, weight="length")
    assert nx.path_weight(graph, way, "length") == pytest.approx(grid.length_m[[0, 1, 8, 11]].sum(), rel=1e-3)
    assert sorted(edges["osmid"].iloc[0]) == [0, 100]


def test_memory_and_file_agree(grid: RoadNetwork, differences: Callable[..., list[str]], tmp_path: Path) -> None:
    assert differences(from_osmnx(to_osmnx(grid)), grid) == []


def test_geojson_is_rfc_7946_with_what_the_format_promises(grid: RoadNetwork, tmp_path: Path) -> None:
    path = tmp_path / "roads.geojson"
    write_roads(replace(grid, crs="EPSG:32719"), path)
    content = json.loads(path.read_text())
    assert (content["type"], content["attribution"]) == ("FeatureCollection", "(c) nobody")
    assert "crs" not in content
    feature = content["features"][5]
    names = ["segment", "from_node", "to_node", "length_m", "highway", "speed_kmh", "lanes", "oneway", "source_ids"]
    assert list(feature["properties"]) == names
    assert feature["properties"]["segment"] == 5
    assert feature["geometry"]["coordinates"] == [[-71.249, -29.898], [-71.248, -29.898]]
    frame = gpd.read_file(path)
    assert frame.crs == "EPSG:4326"
    assert (frame["length_m"].to_numpy() == grid.length_m).all()


def test_the_frame_names_nodes_and_segments(grid: RoadNetwork) -> None:
    frame = roads_frame(grid)
    assert frame.loc[12, ["segment", "from_node", "to_node"]].tolist() == [12, 1, 0]


def test_an_unknown_suffix_lists_the_known_ones(grid: RoadNetwork, tmp_path: Path) -> None:
    with pytest.raises(RoadNetworkError, match=r"unknown suffix '\.shx'; roads are written as \.geojson, \.graphml"):
        write_roads(grid, tmp_path / "roads.shx")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    grid: RoadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"roads{suffix}"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RoadNetworkError, match="cannot be written: No space left"):
        write_roads(grid, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_is_not_there_is_named(grid: RoadNetwork, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(RoadNetworkError, match=r"cannot be written: there is no folder .*absent"):
        write_roads(grid, tmp_path / "absent" / f"roads{suffix}")
