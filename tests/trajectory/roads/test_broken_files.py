"""Whatever the bytes, a reader gives a network or one `RoadNetworkError` that names the file."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.aequilibrae_zip import read_coquimbo
from suffuse.trajectory.roads.cities import READERS, load_city
from suffuse.trajectory.roads.contract import part_of
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.write import write_roads

WRITTEN = (".geojson", ".graphml", ".gpkg", ".parquet")
FOLDER_FILES = ("edges.csv", "edges.csv.gz", "roads.parquet", "roadmap.geo", "city.json")


def named_or_read(read: Callable[[Path], RoadNetwork], path: Path, file: str) -> None:
    said = None
    try:
        network = read(path)
    except RoadNetworkError as error:
        said = str(error)
    if said is not None:
        assert file in said
        assert "\n" not in said
        return
    assert len(network) > 0
    assert np.isfinite(network.node_lonlat).all()
    assert not shapely.is_missing(network.geometry).any()


@pytest.mark.parametrize("suffix", READERS)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@example(content=b"")
@example(content=b"\x1f\x8b")
@example(content=b"PAR1PAR1")
@example(content=b"<graphml/>")
@settings(max_examples=15, deadline=None)
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes) -> None:
    path = tmp_path_factory.mktemp("roads") / f"town{suffix}"
    path.write_bytes(content)
    named_or_read(load_city, path, "town")


@pytest.mark.parametrize("name", FOLDER_FILES)
@given(content=st.one_of(st.binary(max_size=200), st.text('abuv0123,"\n-.', max_size=200).map(str.encode)))
@settings(max_examples=15, deadline=None)
def test_random_bytes_in_a_folder(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("roads")
    (folder / "nodes.csv").write_text("node_id,lon,lat\n1,0,0\n2,1,1\n")
    (folder / "edges.csv").write_text("u,v\n1,2\n2,1\n")
    (folder / "roadmap.rel").write_text("origin_id,destination_id\n")
    if name.startswith("road"):
        (folder / "edges.csv").unlink()
    (folder / name).write_bytes(content)
    named_or_read(load_city, folder, str(folder))


@given(content=st.binary(max_size=200))
@settings(max_examples=20, deadline=None)
def test_random_bytes_for_coquimbo(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("roads") / "coquimbo.zip"
    path.write_bytes(content)
    named_or_read(read_coquimbo, path, "coquimbo.zip")


@functools.cache
def good_file(suffix: str) -> bytes:
    """A file of the first streets of the shipped city."""
    whole = load_city("la-serena")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"town{suffix}"
        write_roads(part_of(whole, np.arange(len(whole)) < 40), path)
        return path.read_bytes()


@pytest.mark.parametrize("suffix", WRITTEN)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("roads") / f"town{suffix}"
    content = bytearray(good_file(suffix))
    where = st.integers(0, len(content) - 1)
    kind = data.draw(st.sampled_from(["cut", "flip", "drop"]))
    if kind == "cut":
        del content[data.draw(where) :]
    elif kind == "flip":
        for spot, value in data.draw(st.lists(st.tuples(where, st.integers(0, 255)), min_size=1, max_size=8)):
            content[spot] = value
    else:
        spot = data.draw(where)
        del content[spot : spot + data.draw(st.integers(1, 100))]
    path.write_bytes(bytes(content))
    named_or_read(load_city, path, "town")
