"""Readers of trips: every layout gives the same trips, every defect is named, and no file whatever breaks them."""

import gzip
import json
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.trajectory.corpus import held_out_trips
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.trips.raw import ReadReport
from suffuse.trajectory.trips.read import find_trips, read_trips
from suffuse.trajectory.trips.write import write_trips

CSV_LAYOUTS = {
    "hoser": 'rid_list,time_list\n"{a},{b},{c}","2024-01-01T08:00:00Z,2024-01-01T08:00:20Z,2024-01-01T08:01:00Z"\n',
    "spaces": "trip_id,segments,times\n0,{a} {b} {c},2024-01-01T08:00:00Z 2024-01-01T08:00:20Z 2024-01-01T08:01:00Z\n",
    "semicolons": "Segments,Times\n{a};{b};{c},2024-01-01 08:00:00;2024-01-01 08:00:20;2024-01-01 08:01:00\n",
    "json": (
        'segments,times\n"[{a}, {b}, {c}]",'
        '"[""2024-01-01T08:00:00"", ""2024-01-01T08:00:20"", ""2024-01-01T08:01:00""]"\n'
    ),
    "offset": (
        'segments,times\n"{a},{b},{c}",'
        '"2024-01-01T09:00:00+01:00,2024-01-01T09:00:20+01:00,2024-01-01T09:01:00+01:00"\n'
    ),
    "unix": 'segments,times\n"{a},{b},{c}","1704096000,1704096020,1704096060"\n',
    "long": (
        "trip_id,segment,time\n0,{a},2024-01-01T08:00:00Z\n0,{b},2024-01-01T08:00:20Z\n0,{c},2024-01-01T08:01:00Z\n"
    ),
    "blank lines, byte order mark": ('\ufeffsegments,times\n\n"{a},{b},{c}","1704096000,1704096020,1704096060"\n\n\n'),
}


@pytest.fixture
def east(town):
    """Ids of three segments one after the other."""
    first = int(np.flatnonzero((town.from_node == 0) & (town.to_node == 10))[0])
    second = int(np.flatnonzero((town.from_node == 10) & (town.to_node == 20))[0])
    third = int(np.flatnonzero((town.from_node == 20) & (town.to_node == 30))[0])
    return town.segment_ids[[first, second, third]].tolist()


def fill(template, ids):
    return template.replace("{a}", str(ids[0])).replace("{b}", str(ids[1])).replace("{c}", str(ids[2]))


@pytest.mark.parametrize("layout", CSV_LAYOUTS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_every_csv_layout(town, east, tmp_path, layout, packed):
    file = tmp_path / ("trips.csv.gz" if packed else "trips.csv")
    content = fill(CSV_LAYOUTS[layout], east).encode()
    file.write_bytes(gzip.compress(content) if packed else content)
    trips = read_trips(file, town)
    assert town.segment_ids[trips.segment].tolist() == east
    assert trips.enter_s.tolist() == [0, 20, 60]
    assert trips.depart.tolist() == [np.datetime64("2024-01-01T08:00:00").tolist()]
    assert trips.duration_s.tolist() == pytest.approx([60 + town.free_flow_s[trips.segment[-1]]])
    assert trips.trip_id.tolist() == ["0"]


def test_rows_of_a_long_csv_need_not_be_together(town, east, tmp_path):
    file = tmp_path / "trips.csv"
    file.write_text(f"segment,trip_id\n{east[0]},x\n{east[1]},y\n{east[1]},x\n{east[2]},y\n")
    report = ReadReport()
    trips = read_trips(file, town, report=report)
    assert trips.trip_id.tolist() == ["x", "y"]
    assert town.segment_ids[trips.segment].tolist() == [east[0], east[1], east[1], east[2]]
    assert (report.records, report.untimed) == (2, 2)
    assert trips.duration_s.tolist() == [0, 0]


def test_departure_without_times(town, east, tmp_path):
    file = tmp_path / "trips.csv"
    file.write_text(f"segments,depart,arrive\n{east[0]},2024-02-03T10:00:00Z,2024-02-03T10:01:40Z\n{east[1]},,\n")
    trips = read_trips(file, town)
    assert trips.depart.astype(str).tolist() == ["2024-02-03T10:00:00", "1970-01-01T00:00:00"]
    assert trips.duration_s.tolist() == [100, 0]


def test_geojson_of_other_tools(town, east, tmp_path):
    said = {"segments": json.dumps(east), "trip_id": 7, "anything": None}
    feature = {"type": "Feature", "properties": said, "geometry": None}
    (tmp_path / "one.json").write_text(json.dumps(feature))
    assert read_trips(tmp_path / "one.json", town).trip_id.tolist() == ["7"]


def matched_table(east, split=("train", "val", "val")):
    return pa.table(
        {
            "trip": pa.array([5, 6, 9], pa.int64()),
            "t0": pa.array([1000, 2000, 3000], pa.int64()),
            "t1": pa.array([1090, 2030, 3010], pa.int64()),
            "split": list(split),
            "edges": pa.array([east, east[:2], east[2:]], pa.list_(pa.int32())),
            "enter_s": pa.array([[0, 20, 60], [0, 9], [0]], pa.list_(pa.int32())),
        }
    )


def test_a_map_matched_corpus_by_part(town, east, tmp_path):
    pq.write_table(matched_table(east), tmp_path / "matched.parquet")
    assert find_trips(tmp_path).name == "matched.parquet"
    everything = read_trips(tmp_path, town)
    assert everything.trip_id.tolist() == ["5", "6", "9"]
    assert everything.enter_s.tolist() == [0, 20, 60, 0, 9, 0]
    assert everything.duration_s.tolist() == [90, 30, 10]
    assert everything.depart.astype(int).tolist() == [1000, 2000, 3000]
    val = read_trips(tmp_path, town, part="val")
    assert val.trip_id.tolist() == ["6", "9"]
    assert town.segment_ids[val.segment].tolist() == [*east[:2], east[2]]
    with pytest.raises(TripError, match="has no trips of part 'test', but of train, val"):
        read_trips(tmp_path, town, part="test")


def test_parts_as_files(town, walks, same_trips, tmp_path):
    train, val = walks(town, 1, 3), walks(town, 2, 3)
    write_trips(train, town, tmp_path / "train.csv")
    write_trips(val, town, tmp_path / "val.csv")
    same_trips(read_trips(tmp_path, town, part="val"), val)
    same_trips(read_trips(tmp_path, town), train)


def test_trips_are_held_out_where_a_folder_has_such_a_part(town, walks, east, same_trips, tmp_path):
    train, val = walks(town, 1, 3), walks(town, 2, 3)
    write_trips(train, town, tmp_path / "train.csv")
    assert held_out_trips(str(tmp_path), town, count=5) is None
    write_trips(train, town, tmp_path / "trips.csv")
    assert held_out_trips(str(tmp_path), town, count=5) is None
    write_trips(val, town, tmp_path / "val.csv")
    same_trips(held_out_trips(str(tmp_path), town, count=5), val)

    split = tmp_path / "split"
    split.mkdir()
    table = matched_table(east)
    pq.write_table(table, split / "matched.parquet")
    assert held_out_trips(str(split), town, count=5).trip_id.tolist() == ["6", "9"]
    pq.write_table(table.filter(pc.equal(table["split"], "train")), split / "matched.parquet")
    assert held_out_trips(str(split), town, count=5) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("segments\n", "holds no trips"),
        ("a,b\n1,2\n", "its columns are none of those trips are read from"),
        ("segments,SEGMENTS\n1,2\n", "two columns have the same name"),
        ("segments,trip_id\n{a},x\n99999,y\n", "line 3 (trip 'y'): segment 99999 is not on road network 'grid'"),
        ("segments,trip_id\n{a};{c},x\n", "line 2 (trip 'x'): segment {c} cannot follow segment {a}"),
        ("segments,trip_id\n{a};1.5,x\n", "line 2 (trip 'x'): segment '1.5' is not a whole number"),
        ("segments,trip_id\n{a};99999999999999999999,x\n", "segment '99999999999999999999' is not a whole number"),
        ("segments,trip_id\n,x\n", "line 2 (trip 'x'): has no segments"),
        ("segments,trip_id\n{a},x\n\n{b},x\n", "line 4 (trip 'x'): has the trip_id of an earlier one"),
        ("segments,trip_id\n{a},x,\n", "line 2: has 3 fields, but the first line has 2"),
        ("segments,times\n{a} {b},2024-01-01T08:00:00\n", "line 2 (trip '0'): has 2 segments, but 1 times"),
        ("segments,times\n{a} {b},2024-01-01T08:00:00 noon\n", "line 2 (trip '0'): time 'noon' is not ISO 8601"),
        ("segments,times\n{a} {b},1704096000000 1704096000001\n", "time '1704096000000' is not ISO 8601"),
        (
            "segments,times\n{a} {b},2024-01-01T08:00:10Z 2024-01-01T08:00:00Z\n",
            "segment {b} is entered at 2024-01-01T08:00:00Z, before the segment that comes first (2024-01-01T08:00:10Z",
        ),
        ("segments,times\n{a} {b},nan nan\n", "time 'nan' is not ISO 8601"),
        ("segments,depart\n{a},yesterday\n", "line 2 (trip '0'): depart 'yesterday' is not ISO 8601"),
        (
            "segments,times,arrive\n{a},1704096000,1704095999\n",
            "arrives at 2024-01-01T07:59:59Z, before it enters its last segment",
        ),
        ("trip_id,segment,time\nx,{a},1704096000\nx,{b},\n", "segment {b} has no time, but others have"),
        ("trip_id,segment\nx,{a}\nx,B\n", "line 2 (trip 'x'): segment 'B' in line 3 is not a whole number"),
        ("trip_id,segment,time\nx,{a},soon\n", "time 'soon' in line 2 is not ISO 8601"),
    ],
)
def test_defects_of_csv_are_named(town, east, tmp_path, content, said):
    file = tmp_path / "trips.csv"
    file.write_text(fill(content, east))
    with pytest.raises(TripError) as raised:
        read_trips(file, town)
    assert str(raised.value).startswith(str(file))
    assert fill(said, east) in str(raised.value)


def test_skipping_leaves_the_good_ones_and_tells_of_the_others(town, east, tmp_path, caplog):
    file = tmp_path / "trips.csv"
    rows = [f"{east[0]},a", "12 13 x,b", "1,c,9", f"{east[0]} {east[1]},d", f"{east[0]} {east[2]},e", f"{east[1]},a"]
    file.write_text("segments,trip_id\n" + "\n".join(rows) + "\n")
    report = ReadReport()
    trips = read_trips(file, town, on_error="skip", report=report)
    assert trips.trip_id.tolist() == ["a", "d"]
    assert report.records == 6
    assert [problem.removeprefix(f"{file}: ").split(":")[0] for problem in report.problems] == [
        *("line 3 (trip 'b')", "line 4", "line 6 (trip 'e')", "line 7 (trip 'a')")
    ]
    assert "4 of 6 trips left out" in caplog.text
    file.write_text("segments\n1\n2\n")
    with pytest.raises(TripError, match="none of its 2 trips can be used; the first: "):
        read_trips(file, town, on_error="skip")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON: "),
        ("[1, 2]", "is no GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": []}', "holds no trips"),
        ('{"features": [7]}', "feature 1 (trip '0'): has no property segments"),
        ('{"features": [{"properties": {"segments": ["x"]}}]}', "property segments.0 is 'x': Input should be"),
        ('{"features": [{"properties": {"segments": [NaN]}}]}', "property segments.0 is nan: Input should be"),
        ('{"features": [{"properties": {"segments": [1000000000000000000000]}}]}', "is no 64-bit number"),
        ('{"features": [{"properties": {"segments": [1], "times": []}}]}', "has 1 segments, but 0 times"),
        ('{"features": [{"properties": {"segments": [1], "times": ["now"]}}]}', "time 'now' is not ISO 8601"),
        ('{"features": [{"properties": {"segments": [1], "times": [""]}}]}', "time '' is not ISO 8601"),
        ('{"features": [{"properties": {"segments": [1], "depart": "now"}}]}', "depart 'now' is not ISO 8601"),
        ("[" * 100_000, "cannot be read as JSON: "),
    ],
)
def test_defects_of_geojson_are_named(town, tmp_path, content, said):
    file = tmp_path / "trips.geojson"
    file.write_text(content)
    with pytest.raises(TripError) as raised:
        read_trips(file, town)
    assert str(raised.value).startswith(f"{file}: ")
    assert said in str(raised.value)


def test_defects_of_parquet_are_named(town, east, tmp_path):
    file = tmp_path / "trips.parquet"
    table = matched_table(east)

    def reading(changed, said):
        pq.write_table(changed, file)
        with pytest.raises(TripError, match=said):
            read_trips(file, town)

    reading(table.drop_columns("edges"), "has no column segments or edges, but trip, t0")
    reading(
        table.set_column(4, "edges", [["1,2", "3", "4"]]), "a column of lists is needed, but there is one of string"
    )
    reading(table.set_column(4, "edges", [[["x"], ["y"], ["z"]]]), "holds what is no int64")
    reading(
        table.set_column(4, "edges", pa.array([east, None, [1]], pa.list_(pa.int64()))),
        r"row 2 \(trip '6'\): has 0 segments",
    )
    reading(table.set_column(5, "enter_s", [[[0, 1], [0, 9], [0]]]), r"row 1 \(trip '5'\): has 3 segments, but 2 times")
    reading(table.set_column(5, "enter_s", [[[0, 1, None], [0, 9], [0]]]), "has no time, but others have")
    reading(
        table.rename_columns(["trip", "depart", "t1", "split", "edges", "enter_s"]),
        "column depart must hold timestamps",
    )
    pq.write_table(table, file)
    pq.write_table(table.drop_columns("split"), file)
    with pytest.raises(TripError, match="no column split"):
        read_trips(file, town, part="val")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(TripError, match="cannot be read as Parquet"):
        read_trips(file, town)


def test_files_that_are_not_there(town, tmp_path):
    with pytest.raises(TripError, match=r"none\.csv: cannot be read: No such file"):
        read_trips(tmp_path / "none.csv", town)
    with pytest.raises(TripError, match=r"holds no trips; they are looked for as matched\.parquet"):
        read_trips(tmp_path, town)
    (tmp_path / "trips.csv").write_text("segments\n100\n")
    with pytest.raises(TripError, match="only Parquet files have parts"):
        read_trips(tmp_path, town, part="val")


def test_a_file_is_known_by_its_content_where_its_suffix_says_nothing(town, walks, same_trips, tmp_path):
    trips = walks(town, 3, 3)
    for suffix in ("geojson", "csv", "parquet"):
        write_trips(trips, town, tmp_path / f"trips.{suffix}")
        same_trips(read_trips((tmp_path / f"trips.{suffix}").rename(tmp_path / "nameless"), town), trips)


def test_closed_segments_are_no_part_of_a_trip(town, east, tmp_path):
    file = tmp_path / "trips.csv"
    file.write_text(f"segments\n{east[0]} {east[1]}\n")
    shut = town.without(np.array([town.index_of[east[1]]]))
    with pytest.raises(TripError, match=f"segment {east[1]} cannot follow segment {east[0]}"):
        read_trips(file, shut)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("broken")


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "geojson", "parquet", "gpx", "nothing"])
@settings(max_examples=40, deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_bytes_break_a_reader(town, scratch, suffix, content):
    file = scratch / f"trips.{suffix}"
    file.write_bytes(content)
    with pytest.raises(TripError):
        read_trips(file, town)


@pytest.mark.parametrize("suffix", ["csv", "geojson", "parquet"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_breaks_a_reader(town, walks, scratch, suffix, data):
    file = scratch / f"damaged.{suffix}"
    write_trips(walks(town, 0, 3), town, file)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    file.write_bytes(bytes(content))
    with suppress(TripError):
        trips = read_trips(file, town, on_error=data.draw(st.sampled_from(["fail", "skip"])))
        assert np.isfinite(trips.enter_s).all()
        assert ((trips.segment >= 0) & (trips.segment < len(town))).all()


@settings(max_examples=50, deadline=None)
@given(
    cells=st.lists(
        st.tuples(
            st.text(alphabet="0123456789,; []\"'-.x", max_size=20),
            st.text(alphabet="0123456789-:TZ,+. nat", max_size=40),
            st.text(alphabet='ab",\n ', max_size=5),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_text_in_the_columns_breaks_the_csv_reader(town, scratch, cells):
    file = scratch / "cells.csv"
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    file.write_text("segments,times,trip_id\n" + "\n".join(quoted) + "\n")
    report = ReadReport()
    with suppress(TripError):
        trips = read_trips(file, town, on_error="skip", report=report)
        assert len(trips) + len(report.problems) == report.records
