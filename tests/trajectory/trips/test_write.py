"""Trips written and read again are the same trips; other tools read the files too; a failed write leaves nothing."""

import errno
import json
from dataclasses import replace
from xml.etree import ElementTree

import geopandas as gpd
import gpxpy
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.trips import write
from suffuse.trajectory.trips.frame import to_geodataframe, trip_lines
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.trips.write import vehicle_names, write_trips


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


@pytest.mark.parametrize("suffix", ["geojson", "csv", "parquet"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 6))
def test_round_trip(town, walks, same_trips, folder, suffix, seed, count):
    trips = walks(town, seed, count)
    file = folder / f"trips.{suffix}"
    write_trips(trips, town, file)
    same_trips(read_trips(file, town), trips)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_geojson_says_what_it_must(town, walks, tmp_path):
    trips = walks(town, 3, 4)
    town = replace(town, attribution="(c) somebody")
    write_trips(trips, town, tmp_path / "trips.geojson")
    data = json.loads((tmp_path / "trips.geojson").read_text())
    assert data["type"] == "FeatureCollection"
    assert data["attribution"] == "(c) somebody"
    for row, feature in enumerate(data["features"]):
        said, ids = feature["properties"], town.segment_ids[trips.segments_of(row)].tolist()
        assert said["trip_id"] == trips.trip_id[row]
        assert said["segments"] == ids
        assert (said["origin"], said["destination"]) == (ids[0], ids[-1])
        assert said["depart"] == said["times"][0] == f"{trips.depart[row]}Z"
        assert said["arrive"] == f"{trips.depart[row] + np.timedelta64(int(trips.duration_s[row]), 's')}Z"
        assert len(said["times"]) == len(ids)
        assert feature["geometry"]["type"] == "LineString"
    frame = gpd.read_file(tmp_path / "trips.geojson")
    assert frame.crs == "EPSG:4326"
    assert shapely.equals_exact(frame.geometry.to_numpy(), trip_lines(trips, town), tolerance=1e-7).all()


def test_lines_follow_the_segments_end_to_end(town, walks):
    trips = walks(town, 5, 20)
    metric = gpd.GeoSeries(trip_lines(trips, town), crs="EPSG:4326").to_crs(town.metric_crs)
    expected = [town.length_m[trips.segments_of(row)].sum() for row in range(20)]
    np.testing.assert_allclose(metric.length, expected, rtol=2e-3)
    assert shapely.get_num_points(trip_lines(trips, town)).tolist() == (trips.lengths + 1).tolist()


def test_parquet_is_geoparquet_in_the_network_s_own_crs(town, walks, tmp_path):
    trips = walks(town, 4, 5)
    chilean = replace(town, crs="EPSG:32719")
    write_trips(trips, chilean, tmp_path / "trips.parquet")
    frame = gpd.read_parquet(tmp_path / "trips.parquet")
    assert frame.crs == "EPSG:32719"
    expected = to_geodataframe(trips, chilean)
    back = frame.to_crs("EPSG:4326").geometry.to_numpy()
    assert shapely.equals_exact(back, expected.geometry.to_numpy(), tolerance=1e-9).all()
    assert frame["depart"].dt.tz_convert("UTC").tolist() == expected["depart"].tolist()
    assert [row.tolist() for row in frame["segments"]] == [row.tolist() for row in expected["segments"]]


def test_frame(town, walks):
    trips = walks(town, 6, 7)
    frame = to_geodataframe(trips, town)
    assert list(frame.columns) == [
        *(
            "trip_id",
            "origin",
            "destination",
            "depart",
            "arrive",
            "length_m",
            "duration_s",
            "segments",
            "times",
            "geometry",
        )
    ]
    assert ((frame["arrive"] - frame["depart"]).dt.total_seconds() == trips.duration_s).all()
    np.testing.assert_allclose(frame["length_m"], trips.lengths * 150.0)
    assert pd.Timestamp(frame["times"][2][0], tz="UTC") == frame["depart"][2]
    assert len(to_geodataframe(trips.take(np.arange(0)), town)) == 0


def test_gpx_has_a_track_a_trip_with_a_time_at_every_corner(town, walks, tmp_path):
    trips = walks(town, 8, 6)
    write_trips(trips, town, tmp_path / "trips.gpx")
    document = gpxpy.parse((tmp_path / "trips.gpx").read_text())
    assert [track.name for track in document.tracks] == trips.trip_id.tolist()
    for row, track in enumerate(document.tracks):
        points = track.segments[0].points
        assert len(points) == trips.lengths[row] + 1
        seconds = [point.time.timestamp() - trips.depart[row].astype(np.int64) for point in points]
        enter = trips.enter_s[trips.start[row] : trips.start[row + 1]].tolist()
        assert seconds == [*enter, trips.duration_s[row]]


def test_sumo_routes_are_sorted_and_name_edges(town, walks, tmp_path):
    trips = walks(town, 9, 8)
    write_trips(trips, town, tmp_path / "trips.rou.xml")
    vehicles = ElementTree.parse(tmp_path / "trips.rou.xml").getroot().findall("vehicle")
    departs = [float(vehicle.get("depart")) for vehicle in vehicles]
    assert departs == sorted(departs)
    row_of = {name: row for row, name in enumerate(vehicle_names(trips.trip_id))}
    midnight = trips.depart.min().astype("datetime64[D]")
    for vehicle, depart in zip(vehicles, departs, strict=True):
        row = row_of[vehicle.get("id")]
        kept = vehicle.find("param")
        assert trips.trip_id[row] == (vehicle.get("id") if kept is None else kept.get("value"))
        assert midnight + np.timedelta64(int(depart), "s") == trips.depart[row]
        assert (
            vehicle.find("route").get("edges").split() == town.segment_ids[trips.segments_of(row)].astype(str).tolist()
        )

    named = replace(town, source_ids=np.array([f"e{i} f{i}" for i in range(len(town))], dtype=object))
    write_trips(trips, named, tmp_path / "named.rou.xml")
    first = ElementTree.parse(tmp_path / "named.rou.xml").getroot().find("vehicle")
    expected = [f"{kind}{segment}" for segment in trips.segments_of(row_of[first.get("id")]) for kind in "ef"]
    assert first.find("route").get("edges").split() == expected
    shared = replace(town, source_ids=np.full(len(town), "way", dtype=object))
    write_trips(trips, shared, tmp_path / "shared.rou.xml")
    assert (tmp_path / "shared.rou.xml").read_text() == (tmp_path / "trips.rou.xml").read_text()


def test_names_that_sumo_accepts_are_told_apart():
    given = np.array(["a b", "a,b", "a_b", "", 'x"<&>', "fine"], dtype=object)
    assert vehicle_names(given) == ["a_b", "a_b_2", "a_b_3", "_", "x____", "fine"]


@pytest.mark.parametrize("suffix", ["geojson", "csv", "parquet", "gpx", "rou.xml"])
def test_no_trips_are_a_whole_file(town, tmp_path, suffix):
    file = tmp_path / f"none.{suffix}"
    write_trips(Trips.from_lists([]), town, file)
    assert file.stat().st_size > 0


@pytest.mark.parametrize("suffix", ["geojson", "csv", "parquet", "gpx", "rou.xml"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(town, walks, tmp_path, monkeypatch, suffix):
    file = tmp_path / f"trips.{suffix}"
    file.write_text("old")
    real = write._WRITERS[f".{suffix}"]

    def runs_out(trips, network, path):
        real(trips, network, path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(write._WRITERS, f".{suffix}", runs_out)
    with pytest.raises(TripError, match=rf"trips\.{suffix}: cannot be written: .*No space left on device"):
        write_trips(walks(town, 0, 2), town, file)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_where_nothing_can_be_written(town, walks, tmp_path):
    trips = walks(town, 0, 2)
    with pytest.raises(TripError, match="cannot be written"):
        write_trips(trips, town, tmp_path / "no" / "trips.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TripError, match=r"folder\.csv: cannot be written"):
        write_trips(trips, town, tmp_path / "folder.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]
    with pytest.raises(TripError, match=r"unknown suffix '\.xlsx'; trips are written as \.geojson"):
        write_trips(trips, town, tmp_path / "trips.xlsx")
