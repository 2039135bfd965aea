"""Map matching against known truth: simulated trips with noise, and recorded tracks with hand-checked routes."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching import MatchConfig, Points, match
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.raw import ReadReport
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.write import write_trips

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "map_matching_truth"


@pytest.mark.parametrize(("every_s", "sigma_m", "least"), [(5, 0.0, 0.97), (5, 8.0, 0.93), (15, 8.0, 0.93)])
def test_noisy_fixes_give_back_the_trips(town, driven, recorder, every_s, sigma_m, least):
    found, report = match(recorder(driven, town, every_s, sigma_m), town)
    assert len(found) >= 0.95 * len(driven)
    assert report.traces == len(driven)
    assert report.whole == len(found) == report.trips
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


def test_points_in_csv(town, driven, recorder, tmp_path):
    points = recorder(driven, town, 10, 3.0)
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


def test_what_cannot_be_matched_is_told(town, trace):
    lon, lat = town.node_lonlat[0]
    away = town.node_lonlat[0] - 0.01
    middle = (town.node_lonlat[0] + town.node_lonlat[10]) / 2

    def problem(points, **config):
        with pytest.raises(TripError) as raised:
            match(points, town, config=MatchConfig(**config), on_error="fail")
        assert str(raised.value).startswith("recorder: trace 1 (trip 't'): ")
        return str(raised.value).removeprefix("recorder: trace 1 (trip 't'): ")

    assert problem(trace([middle])) == "has fewer than 2 fixes"
    assert problem(trace([middle, away])) == "no road within 60 m of fix 2"
    assert problem(trace([middle, middle], [1, np.nan])) == "fix 2 has no time, but others have"
    assert problem(trace([middle, middle], [5, 4])) == "fix 2 is earlier than the one before"
    far = town.node_lonlat[99]
    assert problem(trace([(lon, lat), far]), reach_m=200.0).startswith("no way of at most 200 m from fix 1")


def test_the_report_says_what_became_of_every_trace(town, driven, recorder):
    good = recorder(driven.take(np.arange(3)), town, 10, 3.0)
    lonlat = np.concatenate([good.lonlat, town.node_lonlat[[0, 0]] - 0.02, town.node_lonlat[[5]]])
    names = np.concatenate([np.repeat(good.trip_id, np.diff(good.start)), ["away", "away", "lonely"]])
    found, report = match(Points.from_arrays(lonlat, names, source="all"), town)
    assert found.trip_id.tolist() == driven.trip_id[:3].tolist()
    facts = report.to_dict()
    assert (facts["traces"], facts["matched_whole"], facts["not_matched"]) == (5, 3, 2)
    assert facts["summary"] == (
        "3 of 5 traces matched whole, 2 not at all: 1 too far from every road, 1 of fewer than two fixes"
    )
    away, lonely = facts["problems"]
    assert (away["trip_id"], away["kind"], away["fix"]) == ("away", "off road", 1)
    assert (away["lon"], away["lat"]) == pytest.approx(tuple(town.node_lonlat[0] - 0.02), abs=1e-6)
    assert (lonely["record"], lonely["why"]) == (5, "has fewer than 2 fixes")
    assert facts["fix_to_road_m"]["median"] < 4


def along_a_street(town, count=20):
    """Fixes on the first street from its beginning to its end, 30 s apart."""
    ends = town.node_lonlat[[0, 9]]
    return ends[0] + np.linspace(0, 1, count)[:, None] * (ends[1] - ends[0]), np.arange(count) * 30.0


def test_a_stray_fix_is_left_out(town, trace):
    lonlat, time = along_a_street(town)
    lonlat[7, 0] -= 0.01
    found, report = match(trace(lonlat, time), town)
    whole, _ = match(trace(*along_a_street(town)), town)
    np.testing.assert_array_equal(found.segment, whole.segment)
    assert (report.whole, report.strays) == (1, 1)
    with pytest.raises(TripError, match="no road within 60 m of fix 8"):
        match(trace(lonlat, time), town, config=MatchConfig(stray_share=0.0))


def test_a_gap_begins_a_new_trip(town, trace):
    lonlat, time = along_a_street(town)
    time[12:] += 600
    found, _ = match(trace(lonlat, time), town)
    assert len(found) == 1
    found, report = match(trace(lonlat, time), town, config=MatchConfig(gap_s=300.0))
    assert found.trip_id.tolist() == ["t-1", "t-2"]
    assert found.duration_s.tolist() == [time[11] - time[0], time[19] - time[12]]
    assert (report.whole, report.trips) == (1, 2)


def test_what_lies_beyond_the_roads_is_cut_out(town, trace):
    lonlat, time = along_a_street(town, 30)
    lonlat[12:18, 0] -= 0.01
    with pytest.raises(TripError, match="no road within 60 m of fix 13"):
        match(trace(lonlat, time), town)
    found, report = match(trace(lonlat, time), town, config=MatchConfig(cut=True))
    assert found.duration_s.tolist() == [time[11], time[29] - time[18]]
    assert report.kinds == {"off road": 1}
    assert report.cut == 1


def test_dense_fixes_beside_a_standing_car_change_nothing(town, trace):
    lonlat, time = along_a_street(town, 40)
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 4 / 111_000, (60, 2))
    still, wait = lonlat[20] + noise, time[20] + np.arange(1, 61)
    time[21:] += 61
    both = np.concatenate([lonlat[:21], still, lonlat[21:]]), np.concatenate([time[:21], wait, time[21:]])
    found, _ = match(trace(*both), town)
    whole, _ = match(trace(lonlat, time), town)
    np.testing.assert_array_equal(found.segment, whole.segment)
    assert np.abs(found.enter_s - whole.enter_s).max() < 15


def test_several_processes_find_what_one_does(town, driven, recorder, monkeypatch):
    points = recorder(driven, town, 15, 8.0)
    alone, one = match(points, town)
    monkeypatch.setattr(sys.modules[match.__module__], "BATCH", 20)
    done = []
    together, two = match(points, town, workers=2, on_progress=done.append)
    for name in ("start", "segment", "enter_s", "duration_s", "depart", "trip_id"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))
    assert two.to_dict() | {"seconds": 0} == one.to_dict() | {"seconds": 0}
    assert done == [20, 40]


def test_a_closed_street_is_not_driven(town, trace):
    lonlat, time = along_a_street(town)
    open_way, _ = match(trace(lonlat, time), town)
    closed = town.without(np.array([open_way.segment[4], town.reverse[open_way.segment[4]]]))
    found, _ = match(trace(lonlat, time), closed, config=MatchConfig(radius_m=100.0))
    assert not np.isin(found.segment, list(closed.closed)).any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"radius_m": 0.0}, "MatchConfig.radius_m is 0.0, but must be above 0"),
        ({"gap_s": -1.0}, "MatchConfig.gap_s is -1.0, but must be above 0"),
        ({"spacing_m": -1.0}, "MatchConfig.spacing_m is -1.0, but must not be below 0"),
        ({"stray_share": 2.0}, "MatchConfig.stray_share is 2.0, but must be between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_named(wrong, said):
    with pytest.raises(TripError, match=said):
        MatchConfig(**wrong)


def test_traces_without_a_fix_change_nothing_for_others(town, driven, recorder):
    points = recorder(driven.take(np.arange(2)), town, 15, 5.0)
    expected = match(points, town)
    start = points.start[[0, 0, 1, 1, 2, 2]]  # nothing, a trace, nothing, a trace, nothing
    names = np.array(["a", points.trip_id[0], "b", points.trip_id[1], "c"], dtype=object)
    broken = dict.fromkeys((0, 2, 4), "has 3 positions, but 2 times")
    holed = replace(points, start=start, record=np.arange(1, 6), trip_id=names, broken=broken)
    found, report = match(holed, town)
    np.testing.assert_array_equal(found.segment, expected[0].segment)
    np.testing.assert_array_equal(found.depart, expected[0].depart)
    assert (report.interval_s, len(report.problems)) == (expected[1].interval_s, 3)


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


def test_nothing_is_printed(town, driven, recorder, capfd):
    match(recorder(driven.take(np.arange(2)), town, 10, 3.0), town)
    assert capfd.readouterr().out == ""


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
    points = Points.from_arrays(
        fixes[["lon_e6", "lat_e6"]].to_numpy() / 1e6, np.full(len(fixes), "t"), fixes["t_s"].to_numpy(np.float64)
    )
    return network, points, new_index[route[different[route]]]


with_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded tracks with hand-checked routes are not there"
)


@with_recordings
@pytest.mark.parametrize("track", [5, 23, 27, 37, 39, 45])
def test_recorded_tracks_are_matched_to_their_checked_routes(track):
    network, points, route = recorded(track)
    found, report = match(points, network)
    assert report.problems == []
    length = network.length_m
    both = length[np.intersect1d(found.segment, route)].sum()
    assert both / length[np.union1d(found.segment, route)].sum() > 0.95


@with_recordings
def test_a_real_u_turn_is_reported_where_the_network_allows_none_and_cuts_the_trace_in_two():
    network, points, route = recorded(67)
    with pytest.raises(TripError, match="turns into segment 1247, which the roads do not allow"):
        match(points, network, on_error="fail")
    found, report = match(points, network, config=MatchConfig(cut=True))
    assert found.trip_id.tolist() == ["t-1", "t-2"]
    assert found.segments_of(1)[0] == 1247
    length = network.length_m
    assert length[np.intersect1d(found.segment, route)].sum() > 0.99 * length[np.unique(route)].sum()
    assert (report.whole, report.cut, report.lost) == (0, 1, 0)
