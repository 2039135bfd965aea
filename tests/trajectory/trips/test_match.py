"""Map matching against known truth: simulated trips with noise, and recorded tracks with hand-checked routes."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from suffuse.trajectory.demand import DemandConfig, simulate
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.frame import trip_points
from suffuse.trajectory.trips.points import Points
from suffuse.trajectory.trips.raw import ReadReport
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.write import write_trips

pytest.importorskip("fastmm", reason="the extra `match` is not installed")

from suffuse.trajectory.trips.match import MatchConfig, _entry_times, _without_ends, match_points, matched

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "map_matching_truth"


def fixes_along(trips, network, every_s, sigma_m, seed=0):
    """Positions every so many seconds, with normal errors: what a recorder would have kept of the trips."""
    generator = np.random.default_rng(seed)
    corner, owner, row, share = trip_points(trips, network)
    leave = np.append(trips.enter_s[1:], 0.0)
    leave[trips.start[1:] - 1] = trips.duration_s
    at = trips.enter_s[row] + share * (leave - trips.enter_s)[row]
    lonlat, time, lengths = [], [], []
    for trip in range(len(trips)):
        mine = owner == trip
        when = np.append(np.arange(0, trips.duration_s[trip], every_s), trips.duration_s[trip])
        lonlat.append(np.stack([np.interp(when, at[mine], corner[mine, axis]) for axis in (0, 1)], axis=-1))
        time.append(when + trips.depart[trip].astype(np.int64))
        lengths.append(len(when))
    degrees = sigma_m / 111_000 / np.array([np.cos(np.radians(29.9)), 1.0])
    flat = np.concatenate(lonlat)
    return Points(
        source="recorder",
        unit="track",
        record=np.arange(1, len(trips) + 1),
        lonlat=flat + generator.normal(0, 1, flat.shape) * degrees,
        time=np.concatenate(time),
        trip_id=trips.trip_id,
        start=np.concatenate([[0], np.cumsum(lengths)]),
    )


def one_trace(lonlat, time=None):
    return Points(
        source="recorder",
        unit="track",
        record=np.array([1]),
        lonlat=np.asarray(lonlat, dtype=float),
        time=np.full(len(lonlat), np.nan) if time is None else np.asarray(time, dtype=float),
        trip_id=np.array(["t"], dtype=object),
        start=np.array([0, len(lonlat)]),
    )


@pytest.fixture(scope="module")
def driven(town):
    return simulate(town, DemandConfig(min_distance_m=600.0), 40, seed=5)


@pytest.mark.parametrize(("every_s", "sigma_m", "least"), [(5, 0.0, 0.97), (5, 8.0, 0.93), (15, 8.0, 0.93)])
def test_noisy_fixes_give_back_the_trips(town, driven, every_s, sigma_m, least):
    found, report = match_points(fixes_along(driven, town, every_s, sigma_m), town)
    assert len(found) >= 0.95 * len(driven)
    assert report.records == len(driven)
    shared, errors = [], []
    row_of = {name: row for row, name in enumerate(driven.trip_id.tolist())}
    for row, name in enumerate(found.trip_id.tolist()):
        truth = row_of[name]
        a, b = found.segments_of(row), driven.segments_of(truth)
        shared.append(len(np.intersect1d(a, b)) / len(np.union1d(a, b)))
        if np.array_equal(a, b):
            enter = found.enter_s[found.start[row] : found.start[row + 1]]
            errors.append(np.abs(enter - driven.enter_s[driven.start[truth] : driven.start[truth + 1]]).max())
            assert found.duration_s[row] == driven.duration_s[truth]
    assert np.mean(shared) > least
    assert np.median(errors) < 0.6 * every_s + 2


def test_gpx_written_is_read_as_the_same_trips(town, driven, tmp_path):
    write_trips(driven, town, tmp_path / "trips.gpx")
    found = read_trips(tmp_path / "trips.gpx", town)
    np.testing.assert_array_equal(found.segment, driven.segment)
    np.testing.assert_array_equal(found.depart, driven.depart)
    np.testing.assert_array_equal(found.duration_s, driven.duration_s)
    assert np.abs(found.enter_s - driven.enter_s).max() <= 1


def test_points_in_csv(town, driven, tmp_path):
    points = fixes_along(driven, town, 10, 3.0)
    owner = np.repeat(np.arange(len(points)), np.diff(points.start))
    table = pd.DataFrame({"trip_id": points.trip_id[owner], "lat": points.lonlat[:, 1], "lon": points.lonlat[:, 0]})
    table["time"] = pd.to_datetime(points.time, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ")
    table.to_csv(tmp_path / "points.csv", index=False)
    report = ReadReport()
    found = read_trips(tmp_path / "points.csv", town, on_error="skip", report=report)
    assert len(found) >= 0.95 * len(driven)
    assert report.untimed == 0

    table.drop(columns="time").to_csv(tmp_path / "untimed.csv", index=False)
    report = ReadReport()
    untimed = read_trips(tmp_path / "untimed.csv", town, on_error="skip", report=report)
    np.testing.assert_array_equal(untimed.segment, found.segment)
    assert report.untimed == len(untimed)
    assert not untimed.duration_s.any()


def test_what_cannot_be_matched_is_told(town):
    lon, lat = town.node_lonlat[0]
    away = town.node_lonlat[0] - 0.01
    middle = (town.node_lonlat[0] + town.node_lonlat[10]) / 2

    def problem(points, **config):
        with pytest.raises(TripError) as raised:
            match_points(points, town, MatchConfig(**config) if config else None, on_error="fail")
        assert str(raised.value).startswith("recorder: track 1 (trip 't'): ")
        return str(raised.value).removeprefix("recorder: track 1 (trip 't'): ")

    assert problem(one_trace([middle])) == "has fewer than 2 fixes"
    assert problem(one_trace([middle, away])) == "no road within 60 m of fix 2"
    assert problem(one_trace([middle, middle], [1, np.nan])) == "fix 2 has no time, but others have"
    assert problem(one_trace([middle, middle], [5, 4])) == "fix 2 is earlier than the one before"
    far = town.node_lonlat[99]
    assert problem(one_trace([(lon, lat), far]), reach_m=200.0).startswith("no way of at most 200 m from fix 1")


def test_a_bad_position_in_a_csv_is_named(town, tmp_path):
    file = tmp_path / "points.csv"
    file.write_text("lat,lon,time\n-29.9,-71.25,1704096000\n-29.9,west,1704096001\n")
    with pytest.raises(TripError, match=r"points\.csv: line 2 .*position '-29\.9, west' in line 3 is no latitude"):
        read_trips(file, town)
    file.write_text("lat,lon,time\n-29.9,-71.25,1704096000\n-99.9,-71.25,1704096001\n")
    with pytest.raises(TripError, match=r"position '-99\.9, -71\.25' in line 3"):
        read_trips(file, town)
    file.write_text("lat,lon\nx,y\n-99.9,x\n,\n91,181\n")
    with pytest.raises(TripError, match="position 'x, y' in line 2"):
        read_trips(file, town)
    file.write_text("lat,lon,time\n-29.9,-71.25,now\n")
    with pytest.raises(TripError, match="time 'now' in line 2 is not ISO 8601"):
        read_trips(file, town)


def test_without_the_library_the_extra_is_named(town, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastmm", None)
    with pytest.raises(TripError, match=r"pip install 'suffuse-trajectory\[match\]'"):
        match_points(one_trace(town.node_lonlat[:2]), town)


def test_nothing_is_printed(town, driven, capfd):
    match_points(fixes_along(driven.take(np.arange(2)), town, 10, 3.0), town)
    assert capfd.readouterr().out == ""


def test_entry_times_are_interpolated_by_distance_and_a_stop_is_spent_where_it_happens():
    begins = np.array([0.0, 100.0, 200.0, 300.0])
    travelled, time = np.array([10.0, 110.0, 150.0, 150.0, 350.0]), np.array([0.0, 10.0, 14.0, 60.0, 80.0])
    assert _entry_times(begins, travelled, time).tolist() == [0.0, 9.0, 65.0, 75.0]


def test_ends_hardly_driven_are_no_part():
    begins = np.array([0.0, 100.0, 110.0, 210.0])
    assert _without_ends(begins, 95.0, 205.0, 15.0) == [1, 2]
    assert _without_ends(begins, 50.0, 112.0, 15.0) == [0, 1]
    assert _without_ends(begins, 100.0, 110.0, 15.0) == [1]
    assert _without_ends(begins, 0.0, 104.0, 15.0) == [0]
    assert _without_ends(begins, 0.0, 106.0, 15.0) == [0, 1]


def recorded(track):
    def rows(name):
        table = pd.read_parquet(RECORDED / f"{name}.parquet")
        return table[table["track"] == track].reset_index(drop=True)

    nodes, arcs, fixes = rows("nodes"), rows("arcs"), rows("tracks")
    lonlat = nodes[["lon_e6", "lat_e6"]].to_numpy() / 1e6
    u, v = arcs["u"].to_numpy(np.int64), arcs["v"].to_numpy(np.int64)
    different = (lonlat[u] != lonlat[v]).any(axis=1)
    new_index = np.cumsum(different) - 1
    u, v = u[different], v[different]
    middle = lonlat.mean(axis=0)
    east_north = (lonlat - middle) * np.array([np.cos(np.radians(middle[1])), 1.0]) * 111_195
    network = RoadNetwork(
        name=f"track {track}",
        segment_ids=np.arange(len(u)),
        from_node=u,
        to_node=v,
        node_ids=np.arange(len(lonlat)),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[u], lonlat[v]], axis=1)),
        length_m=np.maximum(np.linalg.norm(east_north[u] - east_north[v], axis=1), 0.1),
        highway=np.full(len(u), "unclassified", dtype=object),
        speed_kmh=np.full(len(u), 50.0),
        lanes=np.ones(len(u)),
    )
    route = rows("routes")["arc"].to_numpy(np.int64)
    points = one_trace(fixes[["lon_e6", "lat_e6"]].to_numpy() / 1e6, fixes["t_s"].to_numpy(np.float64))
    return network, points, new_index[route[different[route]]]


with_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded tracks with hand-checked routes are not there"
)


@with_recordings
@pytest.mark.parametrize("track", [5, 23, 27, 37, 39, 45])
def test_recorded_tracks_are_matched_to_their_checked_routes(track):
    network, points, route = recorded(track)
    found, report = match_points(points, network)
    assert report.problems == []
    length = network.length_m
    both = length[np.intersect1d(found.segment, route)].sum()
    assert both / length[np.union1d(found.segment, route)].sum() > 0.95


@with_recordings
def test_a_real_u_turn_is_found_and_reported_where_the_network_allows_none():
    network, points, route = recorded(67)
    np.testing.assert_array_equal(matched(points, network).segment_id, route)
    with pytest.raises(TripError, match="segment 414 cannot follow segment 963"):
        match_points(points, network, on_error="fail")
