"""Files made to break a reader of trips or requests: a valid table, or one sentence of the package's own error."""

import functools
import gzip
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from suffuse.trajectory.errors import RequestError, TripError
from suffuse.trajectory.od import read_requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.write import write_trips

LAST = np.datetime64("2100-01-01", "s")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def valid_or_named(file: Path, network: RoadNetwork, on_error: Any = "skip") -> None:
    said = None
    try:
        trips = read_trips(file, network, on_error=on_error)
    except TripError as error:
        said = str(error)
    if said is not None:
        assert said.startswith(str(file))
        assert "\n" not in said
        return
    assert len(trips) > 0
    assert ((trips.segment >= 0) & (trips.segment < len(network))).all()
    assert np.isfinite(trips.enter_s).all()
    assert np.isfinite(trips.duration_s).all()
    assert (trips.duration_s >= 0).all()
    assert (trips.lengths > 0).all()
    assert not np.isnat(trips.depart).any()
    assert (trips.depart <= LAST).all()
    assert len(set(trips.trip_id.tolist())) == len(trips)
    "".join(trips.trip_id).encode()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["\ud800", "now", "2024-01-01T08:00:00Z", "[100]", "[[[", "1e400"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
properties = st.dictionaries(
    st.sampled_from(["segments", "times", "trip_id", "depart", "arrive"]), json_values, max_size=5
)


@given(features=st.lists(properties | json_values, max_size=4), more=properties)
@example(features=[{"segments": "[" * 5000}], more={})
@example(features=[{"segments": [100], "times": ["\ud800"]}], more={})
@settings(max_examples=80, deadline=None)
def test_any_values_in_geojson(town: RoadNetwork, folder: Path, features: list[Any], more: dict[str, Any]) -> None:
    listed = [{"type": "Feature", "properties": said} for said in features]
    good = {"properties": {"segments": [100]} | more}
    (folder / "any.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [*listed, good]}))
    valid_or_named(folder / "any.geojson", town)


VALUES: dict[str, Callable[[random.Random], Any]] = {
    "int64": lambda rng: rng.choice([0, 1, 100, 101, -1, 2**62, rng.randrange(-(2**63), 2**63)]),
    "uint64": lambda rng: rng.choice([0, 100, 2**64 - 1, rng.randrange(2**64)]),
    "double": lambda rng: rng.choice([0.0, 1.5, -1.0, 1e300, math.inf, math.nan, rng.uniform(-1e9, 1e9)]),
    "string": lambda rng: rng.choice(
        ["", "100", "100,101", "[100]", "2024-01-01T00:00:00", "\x00", "\U0001f6b2 x", "nan"]
    ),
    "binary": lambda rng: rng.randbytes(rng.randrange(5)),
    "bool": lambda rng: rng.random() < 0.5,
    "timestamp[ns]": lambda rng: rng.randrange(-(2**62), 2**62),
    "timestamp[us]": lambda rng: rng.randrange(-(2**62), 2**62),
    "timestamp[ms]": lambda rng: rng.randrange(-(2**50), 2**50),
    "date32[day]": lambda rng: rng.randrange(-(10**5), 10**5),
}


def column(rng: random.Random, rows: int) -> pa.Array:
    """A column of any type, some of its values missing; at times one of lists, of structs, or a dictionary."""
    name = rng.choice(sorted(VALUES))
    kind = pa.date32() if name.startswith("date") else pa.type_for_alias(name)
    shape = rng.choice(["plain", "list", "large_list", "struct", "dictionary"])

    def single() -> Any:
        return None if rng.random() < 0.2 else VALUES[name](rng)

    if shape in ("plain", "dictionary", "struct"):
        made = pa.array([single() for _ in range(rows)], kind)
        if shape == "struct":
            return pa.StructArray.from_arrays([made], ["a"])
        return made.dictionary_encode() if shape == "dictionary" else made
    lists = [None if rng.random() < 0.2 else [single() for _ in range(rng.randrange(4))] for _ in range(rows)]
    return pa.array(lists, pa.list_(kind) if shape == "list" else pa.large_list(kind))


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize("seed", range(10))
def test_any_columns_in_parquet(town: RoadNetwork, tmp_path: Path, seed: int, on_error: str) -> None:
    rng = random.Random(seed)
    wanted = ["segments", "edges", "times", "enter_s", "depart", "t0", "arrive", "t1", "trip_id", "trip", "split"]
    for _ in range(12):
        rows = rng.randrange(4)
        made = {name: column(rng, rows) for name in rng.sample(wanted, rng.randrange(1, 5))}
        if rng.random() < 0.5:
            made["segments"] = pa.array([[100]] * rows, pa.list_(pa.int64()))
        pq.write_table(pa.table(made), tmp_path / "any.parquet")
        valid_or_named(tmp_path / "any.parquet", town, on_error)


@functools.cache
def good_file(town: RoadNetwork, walks: Callable[..., Any], folder: Path, suffix: str) -> bytes:
    file = folder / f"good.{suffix.removesuffix('.gz')}"
    write_trips(walks(town, 0, 3), town, file)
    return gzip.compress(file.read_bytes()) if suffix.endswith("gz") else file.read_bytes()


@pytest.mark.parametrize("suffix", ["csv.gz", "gpx"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damage_to_the_other_formats(
    town: RoadNetwork, walks: Callable[..., Any], folder: Path, suffix: str, data: st.DataObject
) -> None:
    content = bytearray(good_file(town, walks, folder, suffix))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (folder / f"damaged.{suffix}").write_bytes(bytes(content))
    valid_or_named(folder / f"damaged.{suffix}", town)


places = st.sampled_from(
    ["100", "101", "-71.25,-29.9", "nan,0", "1e999 2", "", "7", "9" * 5000, "\u00b2", "1\x002", "(1;2)"]
)
departures = st.sampled_from(["", "08:00", "8:00", "25:00", "9999-12-31T23:59-14:00", "0001-01-01T00:00+14:00", "now"])


@given(
    header=st.permutations(["origin", "destination", "depart", "trip_id"]),
    rows=st.lists(st.tuples(places, places, departures, st.sampled_from(["", "a", "0", "1"])), max_size=5),
    on_error=st.sampled_from(["fail", "skip"]),
)
@settings(max_examples=80, deadline=None)
def test_any_cells_in_requests(
    town: RoadNetwork, folder: Path, header: list[str], rows: list[tuple[str, ...]], on_error: Any
) -> None:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    requests_or_named(folder / "cells.csv", "\n".join([",".join(header), *quoted]).encode(), town, on_error)


@given(content=st.binary(max_size=200) | st.text('origin,destat"\n;1.\ufeff\x00', max_size=200).map(str.encode))
@example(content=b"origin,destination\n1")
@settings(max_examples=80, deadline=None)
def test_any_bytes_as_requests(town: RoadNetwork, folder: Path, content: bytes) -> None:
    requests_or_named(folder / "bytes.csv", content, town, "fail")


def requests_or_named(file: Path, content: bytes, network: RoadNetwork, on_error: Any) -> None:
    file.write_bytes(content)
    said = None
    try:
        requests, skipped = read_requests(file, network, on_error=on_error)
    except RequestError as error:
        said = str(error)
    if said is not None:
        assert said.startswith(str(file))
        assert "\n" not in said
        assert len(said) < 600
        return
    assert len(requests) > 0
    assert on_error == "skip" or not skipped
    assert ((requests.origin >= 0) & (requests.destination < len(network))).all()
    assert len(set(requests.request_id.tolist())) == len(requests)
    assert (requests.depart <= LAST).all()
