"""Traces in every format: the same fixes, whatever the file; and one sentence for each thing that is wrong."""

import json

import numpy as np
import pytest

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching import read_points

LONLAT = np.array([[-8.61, 41.14], [-8.62, 41.15], [-8.63, 41.16]])
TIME = 1372636858 + np.array([0.0, 15.0, 30.0])  # 2013-07-01T00:00:58Z
ISO = ["2013-07-01T00:00:58Z", "2013-07-01T00:01:13Z", "2013-07-01T00:01:28Z"]
LINE = {"type": "LineString", "coordinates": LONLAT.tolist()}


def features(*pairs):
    some = [{"type": "Feature", "properties": said, "geometry": shape} for said, shape in pairs]
    return json.dumps({"type": "FeatureCollection", "features": some})


def point(position, **said):
    return said, {"type": "Point", "coordinates": position}


PREFACE = "Geolife trajectory\nWGS 84\nAltitude is in Feet\nReserved 3\n0,2,255,My Track,0,0,2,8421376\n0\n"
FILES = {
    "fixes.csv": "trip_id,lat,lon,time\n" + "".join(f"t,{y},{x},{t}\n" for (x, y), t in zip(LONLAT, ISO, strict=True)),
    "porto.csv": '"TRIP_ID","CALL_TYPE","TIMESTAMP","MISSING_DATA","POLYLINE"\n'
    f'"t","C","1372636858","False","{json.dumps(LONLAT.tolist())}"\n',
    "t.plt": PREFACE
    + "".join(f"{y},{x},0,492,39744.12,{t[:10]},{t[11:19]}\r\n" for (x, y), t in zip(LONLAT, ISO, strict=True)),
    "t.txt": "".join(f"7,{t[:10]} {t[11:19]},{x},{y}\n" * 2 for (x, y), t in zip(LONLAT, ISO, strict=True)),
    "line.geojson": features(({"trip_id": "t", "times": ISO}, LINE)),
    "track.geojson": features(({"name": "t", "coordTimes": TIME.tolist()}, LINE)),
    "parts.geojson": features(
        (
            {"id": "t", "times": [ISO[:2], ISO[2:]]},
            {"type": "MultiLineString", "coordinates": [[[*p, 12.0] for p in part] for part in
                                                        (LONLAT[:2].tolist(), LONLAT[2:].tolist())]},
        )
    ),
    "points.geojson": features(
        *(point(p, trip_id="t", time=t) for p, t in zip(LONLAT.tolist(), ISO, strict=True))
    ),
    "t.gpx": '<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>t</name><trkseg>'
    + "".join(f'<trkpt lat="{y}" lon="{x}"><time>{t}</time></trkpt>' for (x, y), t in zip(LONLAT, ISO, strict=True))
    + "</trkseg></trk></gpx>",
}  # fmt: skip


@pytest.mark.parametrize("name", list(FILES))
def test_the_same_fixes_in_every_format(tmp_path, name):
    (tmp_path / name).write_text(FILES[name])
    points = read_points(tmp_path / name)
    np.testing.assert_allclose(points.lonlat, LONLAT)
    np.testing.assert_array_equal(points.time, TIME)
    assert points.trip_id.tolist() == ["t"]
    assert points.start.tolist() == [0, 3]
    assert points.broken == points.lost == {}


def test_a_folder_is_all_its_files(tmp_path):
    (tmp_path / "000" / "Trajectory").mkdir(parents=True)
    (tmp_path / "000" / "Trajectory" / "a.plt").write_text(FILES["t.plt"])
    (tmp_path / "000" / "labels.md").write_text("no trace")
    (tmp_path / "more.csv").write_text(FILES["fixes.csv"] + "u,41,-8,\nu,41.1,-8.1,\n")
    (tmp_path / "bad.txt").write_text("7,2013-07-01 00:00:58,-8.61,99\n7,x\n")
    points = read_points(tmp_path)
    assert points.trip_id.tolist() == ["000/Trajectory/a", "bad", "more/t", "more/u"]
    assert points.start.tolist() == [0, 3, 4, 7, 9]
    assert points.broken == {1: "bad.txt: position in line 1 is no latitude and longitude"}
    assert points.lost == {-1: "bad.txt: line 2 has 2 fields, but T-Drive has 4"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(TripError, match=r"empty: holds no traces; they are looked for as \*\.csv"):
        read_points(tmp_path / "empty")


def test_metres_in_a_csv_are_turned_into_degrees(tmp_path):
    (tmp_path / "utm.csv").write_text("trip,x,y,t\n1,393742.586772,5821049.184616,2585542.0\n1,nan,5821049,2585543\n")
    points = read_points(tmp_path / "utm.csv", crs="EPSG:32633")
    np.testing.assert_allclose(points.lonlat[0], [13.4338, 52.5308], atol=2e-3)
    assert points.time.tolist() == [2585542.0, 2585543.0]
    assert points.broken == {0: "position 'nan, 5821049' in line 3 is no northing and easting of EPSG:32633"} or (
        "northing and easting of EPSG:32633" in points.broken[0]
    )
    with pytest.raises(TripError, match="crs 'EPSG:1' is none that is known"):
        read_points(tmp_path / "utm.csv", crs="EPSG:1")
    (tmp_path / "t.plt").write_text(FILES["t.plt"])
    with pytest.raises(TripError, match="only CSV files can be in another crs than EPSG:4326"):
        read_points(tmp_path / "t.plt", crs="EPSG:32633")


def test_porto_s_lost_fixes_make_times_unknown_and_empty_lines_no_trip(tmp_path):
    rows = [
        'a,0,True,"[[-8.61,41.14],[-8.62,41.15]]"',
        'b,0,False,"[]"',
        'c,0,False,"[[-8.61,141.14]]"',
        'd,0,False,"[[-8.61"',
        'e,when,False,"[[-8.61,41.14]]"',
    ]
    (tmp_path / "porto.csv").write_text("\n".join(["TRIP_ID,TIMESTAMP,MISSING_DATA,POLYLINE", *rows, ""]))
    points = read_points(tmp_path / "porto.csv")
    assert np.isnan(points.time[:2]).all()
    assert np.diff(points.start).tolist() == [2, 0, 1, 0, 1]
    assert points.broken == {
        2: "position 141.14, -8.61 is no latitude and longitude",
        3: "POLYLINE '[[-8.61' is no JSON list of [lon, lat]",
        4: "TIMESTAMP 'when' is no Unix time",
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "a,b\n1,2\n", "its columns are none of those traces are read from"),
        ("a.csv", "POLYLINE\n[]\n", "has a column POLYLINE as Porto's trips do, but no TRIP_ID"),
        ("a.plt", PREFACE, "holds no fix of 7 fields, as a GeoLife trajectory has"),
        ("a.txt", "hello\n", "holds no fix of 4 fields, as T-Drive has"),
        ("a.gpx", "<gpx", "cannot be read as GPX"),
        ("a.geojson", "{", "cannot be read as GeoJSON"),
        ("a.geojson", "[1]", "must be a GeoJSON FeatureCollection"),
        ("a.geojson", features(), "holds no features"),
        ("a.geojson", features(({}, None)), "must all be LineStrings, or all be Points, but there are: None"),
        ("a.xyz", "1", "unknown suffix '.xyz'; traces are read from .csv, .csv.gz, .gpx"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(TripError) as raised:
        read_points(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (features(({}, LINE | {"coordinates": [1, 2]})), "coordinates are no list of [lon, lat]"),
        (features(({}, LINE | {"coordinates": [[200, 2], [1, 1]]})), "position 2.0, 200.0 is no latitude"),
        (features(({"times": ISO[:2]}, LINE)), "has 3 positions, but 2 times"),
        (features(({"times": ["x", "y", "z"]}, LINE)), "times are not all ISO 8601 or Unix seconds"),
        (features(point([1])), "position of feature 1 is no [lon, lat]"),
        (features(point([1, 2], time="soon")), "time 'soon' of feature 1 is not ISO 8601"),
    ],
)
def test_what_is_wrong_with_a_feature_is_kept_with_it(tmp_path, text, said):
    (tmp_path / "a.geojson").write_text(text)
    points = read_points(tmp_path / "a.geojson")
    assert said in points.broken[0]


def test_no_such_file(tmp_path):
    with pytest.raises(TripError, match=r"gone\.csv: cannot be read: No such file or directory"):
        read_points(tmp_path / "gone.csv")
