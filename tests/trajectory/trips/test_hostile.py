"""Files made to break a reader of trips or requests: a valid table, or one sentence of the package's own error."""

import functools
import gzip
import json
import math
import random
import struct
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


def whole(bits: int, *, signed: bool = True) -> Callable[[random.Random], int]:
    """Whole numbers of every size that so many bits hold, and those at the ends."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)

    def draw(rng: random.Random) -> int:
        near = rng.getrandbits(rng.randrange(bits)) * (rng.choice([-1, 1]) if signed else 1)
        return rng.choice([low, high, 0, 1, 100, 101, near, rng.randint(low, high)])

    return draw


def double(rng: random.Random) -> float:
    """Any of the 2**64 doubles: NaNs with and without a payload, infinities, subnormals, and those that make sense."""
    exponent = rng.choice([rng.getrandbits(11), 0x7FF, 0])  # any, NaN or infinite, subnormal or zero
    bits = rng.getrandbits(1) << 63 | exponent << 52 | rng.choice([rng.getrandbits(52), 0, 1])
    pattern = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    return rng.choice([pattern, 0.0, -0.0, 1.5, -1.0, 100.0, 1e300, math.inf, math.nan, rng.uniform(-1e9, 1e9)])


CHARACTERS = (
    range(0x20),  # control characters, zero first
    range(0x20, 0x7F),
    range(0x80, 0x250),
    range(0x590, 0x780),  # written from right to left
    range(0x300, 0x370),  # accents that join what stands before
    range(0x200B, 0x2070),  # invisible, and those that turn the direction
    range(0xD800, 0xE000),  # halves of a character, which no valid text holds
    range(0xFDD0, 0xFE10),
    range(0xFFF0, 0x10000),
    range(0x1F600, 0x1F650),
    range(0x100000, 0x110000),
)


def text(rng: random.Random) -> str:
    """Words that a reader looks for, and characters of every kind, at times very many."""
    known = ["", "100", "100,101", "[100]", "[" * 2000, "2024-01-01T00:00:00", "\x00", "nan", "1e400", "-0", "null"]
    kinds = rng.choices(CHARACTERS, k=rng.randrange(1, 4))
    length = rng.choice([rng.randrange(1, 8), rng.randrange(1, 8), 3000])
    drawn = "".join(chr(rng.choice(rng.choice(kinds))) for _ in range(length))
    return rng.choice([rng.choice(known), drawn])


VALUES: dict[str, Callable[[random.Random], Any]] = {
    **{f"int{bits}": whole(bits) for bits in (8, 32, 64)},
    **{f"uint{bits}": whole(bits, signed=False) for bits in (8, 32, 64)},
    "double": double,
    "float": lambda rng: struct.unpack("<f", rng.randbytes(4))[0],
    "string": text,
    "large_string": text,
    "binary": lambda rng: rng.randbytes(rng.randrange(5)),
    "bool": lambda rng: rng.random() < 0.5,
    **{f"timestamp[{unit}]": whole(bits) for unit, bits in (("s", 54), ("ms", 64), ("us", 64), ("ns", 64))},
    **{f"duration[{unit}]": whole(64) for unit in ("s", "ns")},
    "time64[us]": lambda rng: rng.randrange(86_400 * 10**6),
    "date32[day]": whole(32),
}


def some(rng: random.Random, name: str, count: int) -> pa.Array:
    """So many values of a type, a fifth of them missing; texts may be no valid UTF-8."""
    values = [None if rng.random() < 0.2 else VALUES[name](rng) for _ in range(count)]
    if name.endswith("string"):
        encoded = [None if value is None else value.encode("utf-8", "surrogatepass") for value in values]
        return pa.array(encoded, pa.type_for_alias(name.replace("string", "binary"))).view(pa.type_for_alias(name))
    return pa.array(values, pa.date32() if name.startswith("date") else pa.type_for_alias(name))


def column(rng: random.Random, rows: int) -> pa.Array:
    """A column of any type, some of its values missing; at times one of lists, of structs, or a dictionary."""
    name = rng.choice(sorted(VALUES))
    shape = rng.choice(["plain", "list", "large_list", "struct", "dictionary"])
    if shape == "struct":
        return pa.StructArray.from_arrays([some(rng, name, rows)], ["a"])
    if shape == "dictionary":
        return some(rng, name, rows).dictionary_encode()
    if shape == "plain":
        return some(rng, name, rows)
    lengths = [0 if rng.random() < 0.2 else rng.randrange(4) for _ in range(rows)]
    begin: list[int | None] = [None if rng.random() < 0.2 else sum(lengths[:row]) for row in range(rows)]
    kind, offset = (pa.ListArray, pa.int32()) if shape == "list" else (pa.LargeListArray, pa.int64())
    return kind.from_arrays(pa.array([*begin, sum(lengths)], offset), some(rng, name, sum(lengths)))


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize("seed", range(20))
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
