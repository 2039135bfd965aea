"""Files that cannot be used are named, with the line and the value, by every verb that reads them."""

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest

GENERATE = ("generate", "--city", "grid", "--model", "dijkstra", "--out", "new.geojson", "--od")
HEAD = b"origin,destination\n"
QUADS = b"origin_lon,origin_lat,destination_lon,destination_lat\n"

REQUESTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b"\n\n", "is empty"),
    "header": (HEAD, "holds no requests, only a header"),
    "binary": (b"\xff\x00\xfe\x80" * 50, "cannot be read as a CSV file: 'utf-8' codec"),
    "gzip": (gzip.compress(HEAD), "cannot be read as a CSV file"),
    "UTF-16": ("origin,destination\n".encode("utf-16"), "cannot be read as a CSV file"),
    "Latin-1": ("origin,destination,depart\n100,101,M\u00e4rz\n".encode("latin-1"), "cannot be read as a CSV file"),
    "other columns": (b"from,to\n1,2\n", "needs the columns origin,destination (or origin_lon,"),
    "semicolons": (b"origin;destination\n100;101\n", "parted by semicolons instead of commas"),
    "JSON": (b'{"origin": 1}', "needs the columns origin,destination"),
    "unknown segment": (HEAD + b"100,7\n", "line 2, destination: segment '7' is not in road network 'grid'"),
    "huge segment": (HEAD + b"100," + b"9" * 5000, "line 2, destination: segment '999"),
    "a fraction": (HEAD + b"100.0,101\n", "line 2, origin: '100.0' is neither a segment id nor a longitude"),
    "too few cells": (HEAD + b"100,150\n100\n", "line 3: has 1 fields, but the first line has 2"),
    "too many cells": (HEAD + b"100,150,4\n", "line 2: has 3 fields, but the first line has 2"),
    "an open quote": (HEAD + b'"100,150\n', "line 2: has 1 fields"),
    "a column twice": (b"origin,destination,Origin\n1,2,3\n", "two columns have the same name"),
    "an id twice": (b"trip_id," + HEAD + b"a,100,150\na,101,150\n", "line 3: trip_id 'a' is that of line 2"),
    "NaN": (QUADS + b"nan,-29.9,-71.25,-29.9\n", "line 2, origin: 'nan,-29.9' is neither"),
    "infinite": (QUADS + b"-71.25,-29.9,inf,-29.9\n", "line 2, destination: 'inf,-29.9' is neither"),
    "projected": (QUADS + b"350000,6700000,-71.25,-29.9\n", "'350000,6700000' is neither a segment id nor a longitude"),
    "swapped": (
        QUADS + b"-29.9,-71.25,-71.25,-29.9\n",
        "km away (longitude comes first: the two seem to be exchanged)",
    ),
    "departure": (b"depart," + HEAD + b"25:00,100,150\n", "line 2: departure '25:00' is neither"),
    "departure long ago": (b"depart," + HEAD + b"0001-01-01T00:00+14:00,100,150\n", "departure '0001-01-01"),
    "a zero byte": (HEAD + b"1\x0000,150\n", "line 2, origin: '1\\x0000' is neither"),
    "a long cell": (HEAD + b"1" * 200_000 + b",150\n", "field larger than field limit"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(refusal: Callable[..., str], name: str) -> None:
    content, said = REQUESTS[name]
    Path("od.csv").write_bytes(content)
    sentence = refusal(*GENERATE, "od.csv")
    assert sentence.startswith("od.csv")
    assert said in sentence
    assert len(sentence) < 300


def test_requests_that_are_no_file(refusal: Callable[..., str]) -> None:
    assert "none.csv: cannot be read as a CSV file: No such file" in refusal(*GENERATE, "none.csv")
    assert "Is a directory" in refusal(*GENERATE, "grid")


def test_requests_that_can_be_read_otherwise(command: Callable[..., Any]) -> None:
    for content in (
        b"\xef\xbb\xbf" + HEAD + b"100,150\n",
        HEAD.upper() + b"\r\n\r\n 100 , 150 \r\n",
        HEAD + b"100,100",
    ):
        Path("od.csv").write_bytes(content)
        assert command(*GENERATE, "od.csv").code == 0


def test_a_pair_without_a_way_is_named_or_skipped(refusal: Callable[..., str], command: Callable[..., Any]) -> None:
    Path("od.csv").write_text("trip_id,origin,destination\nlost,100,150\nfine,120,150\n[/b],100,151\n")
    close = ("--close", "100")
    said = "request lost: no way leads from segment 100 to segment 150 with the given segments closed"
    assert f"{said} (2 of 3 requests cannot be met)" in refusal(*GENERATE, "od.csv", *close)
    done = command(*GENERATE, "od.csv", *close, "--on-error", "skip")
    assert done.code == 0
    assert f"Note: 2 of 3 requests skipped; {said}" in done.stderr
    made = json.loads(Path("new.geojson").read_text())["features"]
    assert [feature["properties"]["trip_id"] for feature in made] == ["fine"]


def test_lines_that_cannot_be_used_are_skipped_on_demand(
    refusal: Callable[..., str], command: Callable[..., Any]
) -> None:
    Path("od.csv").write_text("origin,destination\n100,7\n120,150\n" + "1\n" * 12)
    done = command(*GENERATE, "od.csv", "--on-error", "skip")
    assert done.code == 0
    notes = done.stderr.splitlines()
    assert notes[0] == "Note: skipped: od.csv, line 2, destination: segment '7' is not in road network 'grid'"
    assert "Note: 3 more lines of od.csv skipped" in notes
    Path("od.csv").write_text("origin,destination\n100,7\n8,9\n")
    Path("new.geojson").unlink()
    assert "none of its 2 requests can be used; the first: od.csv, line 2" in refusal(
        *GENERATE, "od.csv", "--on-error", "skip"
    )


READ_TRIPS = {
    "info": ("info", "--city", "grid", "--trips"),
    "show": ("show", "--city", "grid", "--out", "new.png"),
    "evaluate": ("evaluate", "--city", "grid", "--real", "trips.csv", "--generated"),
    "evaluate --real": ("evaluate", "--city", "grid", "--generated", "trips.csv", "--real"),
    "evaluate --floor": ("evaluate", "--city", "grid", "--generated", "trips.csv", "--real", "trips.csv", "--floor"),
    "evaluate --train": ("evaluate", "--city", "grid", "--generated", "trips.csv", "--real", "trips.csv", "--train"),
    "train": ("train", "--city", "grid", "--out", "new", "--trips"),
    "train --held-out": ("train", "--city", "grid", "--out", "new", "--trips", "trips.csv", "--held-out"),
    "simulate": ("simulate", "--city", "grid", "--out", "new.csv", "--again"),
}


@pytest.mark.parametrize("verb", READ_TRIPS)
def test_every_reader_of_trips_names_the_file(refusal: Callable[..., str], verb: str) -> None:
    Path("bad.csv").write_text("segments,trip_id\n100,a\n7,b\n")
    said = refusal(*READ_TRIPS[verb], "bad.csv")
    assert said == "bad.csv: line 3 (trip 'b'): segment 7 is not on road network 'grid'"
    assert refusal(*READ_TRIPS[verb], "none.csv") == "none.csv: cannot be read: No such file or directory"
    Path("bad.csv").write_text("")
    assert refusal(*READ_TRIPS[verb], "bad.csv") == "bad.csv: is empty"


def cut(path: str) -> Callable[[Path], bytes]:
    """The first half of a file of the workplace."""
    return lambda workplace: (workplace / path).read_bytes()[: (workplace / path).stat().st_size // 2]


TRIPS: dict[str, tuple[str, bytes | Callable[[Path], bytes], str]] = {
    "cut GeoJSON": ("t.geojson", cut("trips.geojson"), "cannot be read as JSON"),
    "cut Parquet": ("t.parquet", cut("trips.parquet"), "cannot be read as Parquet"),
    "cut GPX": ("t.gpx", cut("trips.gpx"), "cannot be read as GPX"),
    "pickle": ("t.parquet", pickle.dumps({"a": 1}), "cannot be read as Parquet"),
    "roads": ("t.parquet", lambda workplace: (workplace / "roads.parquet").read_bytes(), "has no column segments"),
    "points": (
        "t.geojson",
        b'{"features": [{"geometry": {"type": "Point"}, "properties": {}}]}',
        "no property segments",
    ),
    "deep": ("t.geojson", b'{"features": [{"properties": {"segments": "' + b"[" * 5000 + b'"}}]}', "a valid list"),
    "long number": ("t.geojson", b'{"features": [' + b"9" * 5000 + b"]}", "Exceeds the limit"),
    "half a character": (
        "t.geojson",
        b'{"features": [{"properties": {"segments": [100], "trip_id": "\\ud800"}}]}',
        "half",
    ),
    "semicolons": ("t.csv", b"trip_id;segments\na;100\n", "parted by semicolons instead of commas"),
    "projected": ("t.csv", b"lat,lon\n6700000,350000\n6700001,350000\n", "is no latitude and longitude"),
    "NaN": ("t.csv", b"lat,lon\nnan,-71.25\n-29.9,-71.25\n", "position 'nan, -71.25' in line 2"),
    "damaged gzip": ("t.csv.gz", gzip.compress(b"segments\n100\n" * 99)[:12] + b"\xff" * 30, "cannot be read as CSV"),
    "time": ("t.csv", b"segments,times\n100,2024-01-01T25:00\n", "time '2024-01-01T25:00' is not ISO 8601"),
}


@pytest.mark.parametrize("name", TRIPS)
def test_trips(refusal: Callable[..., str], workplace: Path, name: str) -> None:
    file, content, said = TRIPS[name]
    Path(file).write_bytes(content if isinstance(content, bytes) else content(workplace))
    sentence = refusal("info", "--city", "grid", "--trips", file)
    assert sentence.startswith(f"{file}: ")
    assert said in sentence


READ_ROADS = {
    "generate": ("generate", "--model", "dijkstra", "--out", "new.csv", "--city"),
    "evaluate": ("evaluate", "--generated", "trips.csv", "--real", "trips.csv", "--city"),
    "train": ("train", "--trips", "trips.csv", "--out", "new", "--city"),
    "simulate": ("simulate", "--out", "new.csv", "--city"),
    "roads": ("roads", "--out", "new.gpkg", "--city"),
    "show": ("show", "trips.csv", "--out", "new.html", "--city"),
    "info": ("info", "--city"),
    "prepare": ("prepare", "mine", "--source"),
}


@pytest.mark.parametrize("verb", READ_ROADS)
def test_every_reader_of_roads_names_the_file(refusal: Callable[..., str], verb: str) -> None:
    Path("bad.graphml").write_text("<graphml>")
    assert refusal(*READ_ROADS[verb], "bad.graphml").startswith("bad.graphml: is not GraphML that can be read")
    assert refusal(*READ_ROADS[verb], "none.gpkg").startswith("none.gpkg: no such city, folder or file")
    Path("road.txt").write_text("")
    assert "unknown suffix '.txt'" in refusal(*READ_ROADS[verb], "road.txt")
    Path("empty").mkdir()
    assert "empty: holds no road network; a city folder has roads.parquet" in refusal(*READ_ROADS[verb], "empty")


def roads(workplace: Path) -> gpd.GeoDataFrame:
    return gpd.read_parquet(workplace / "roads.parquet")


ROADS: dict[str, tuple[Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame], str]] = {
    "no CRS": (lambda f: f.set_crs(None, allow_override=True), "has no crs, so nobody can say where"),
    "degrees as metres": (
        lambda f: f.set_crs("EPSG:32719", allow_override=True),
        "in its crs (WGS 84 / UTM zone 19S) all of its roads lie within 0.019 m: is it the right one?",
    ),
    "metres as degrees": (
        lambda f: f.to_crs("EPSG:32719").set_crs("EPSG:4326", allow_override=True),
        "of feature 1 are no degrees of longitude and latitude",
    ),
    "points": (lambda f: f.assign(geometry=f.geometry.centroid), "geometry of feature 1 is a Point"),
    "no rows": (lambda f: f[:0], "has no road segments"),
    "one street, one way": (lambda f: f[:1], "has no place from which a trip could come back to it"),
    "an id twice": (lambda f: f.assign(segment=5), "segment id 5 occurs twice"),
    "a length below 0": (lambda f: f.assign(length_m=-5.0), "length_m of segment 100 is -5.0, but must be from 0 to"),
    "an endless length": (lambda f: f.assign(length_m=float("inf")), "is inf, but must be from 0 to 1,000,000"),
}


@pytest.mark.filterwarnings("ignore:Geometry is in a geographic CRS")
@pytest.mark.parametrize("name", ROADS)
def test_roads(refusal: Callable[..., str], workplace: Path, name: str) -> None:
    change, said = ROADS[name]
    change(roads(workplace)).to_parquet("town.parquet")
    sentence = refusal("info", "--city", "town.parquet")
    assert sentence.startswith("town.parquet: ")
    assert said in sentence


def test_trips_are_no_roads(refusal: Callable[..., str]) -> None:
    assert refusal("info", "--city", "trips.parquet") == "trips.parquet: holds trips, not the roads they are on"


@pytest.mark.parametrize("name", ["la-serena --source roads.gpkg", "la-serena --source none.whl"])
def test_a_named_city_is_made_of_what_its_source_holds(refusal: Callable[..., str], name: str) -> None:
    assert refusal("prepare", *name.split()).startswith(name.split()[-1])
