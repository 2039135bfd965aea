"""Simulated trips: legal, timed, independent of their batch, and spread as the gravity model says."""

from dataclasses import replace

import numpy as np
import pytest

from suffuse.trajectory.demand import DemandConfig, simulate, simulate_requests
from suffuse.trajectory.demand.draw_requests import draw_requests
from suffuse.trajectory.demand.gravity import gravity_demand
from suffuse.trajectory.demand.route_choice import cheapest_route, line_graph, turns_taken
from suffuse.trajectory.demand.simulate import simulated_world
from suffuse.trajectory.demand.traffic import peak_heights
from suffuse.trajectory.demand.zones import demand_zones, grid_cells
from suffuse.trajectory.errors import RequestError, TrajectoryError

CONFIG = DemandConfig()


@pytest.fixture(scope="module")
def trips(grid):
    return simulate(grid, CONFIG, 1500, seed=1)


def pairs(trips):
    inner = np.ones(len(trips.segment), dtype=bool)
    inner[trips.start[1:] - 1] = False
    rows = np.flatnonzero(inner)
    return trips.segment[rows], trips.segment[rows + 1]


def test_all_transitions_are_legal_and_no_trip_loops(grid, trips):
    before, after = pairs(trips)
    legal = grid.successors
    assert all(legal[a, b] for a, b in zip(before[:3000].tolist(), after[:3000].tolist(), strict=True))
    assert all(len(np.unique(trips.segments_of(i))) == trips.lengths[i] for i in range(len(trips)))


def test_times_rise_from_zero_and_end_after_the_last_entry(trips):
    steps = np.diff(trips.enter_s)
    first = trips.start[1:-1]
    assert (trips.enter_s[trips.start[:-1]] == 0).all()
    assert (np.delete(steps, first - 1) >= 0).all()
    assert (trips.enter_s % 1 == 0).all()
    assert (trips.duration_s >= trips.enter_s[trips.start[1:] - 1]).all()


def test_no_trip_is_shorter_than_the_least_distance(grid, trips):
    xy = grid.to_metres(grid.centroid_lonlat)
    assert np.linalg.norm(xy[trips.origin] - xy[trips.destination], axis=1).min() >= 1000


def test_a_trip_depends_on_its_seed_and_number_only(grid, trips):
    alone = simulate(grid, CONFIG, 3, seed=1, first=40)
    np.testing.assert_array_equal(alone.segment, trips.take(np.arange(40, 43)).segment)
    np.testing.assert_array_equal(alone.enter_s, trips.take(np.arange(40, 43)).enter_s)
    np.testing.assert_array_equal(alone.depart, trips.depart[40:43])
    assert alone.trip_id.tolist() == ["1-40", "1-41", "1-42"]
    other = simulate(grid, CONFIG, 3, seed=2, first=40)
    assert not np.array_equal(other.origin, alone.origin)


def test_the_world_is_the_same_for_every_seed_but_not_for_every_world_seed(grid):
    zones = demand_zones(grid, CONFIG)
    again = demand_zones(grid, replace(CONFIG, world_seed=0))
    other = demand_zones(grid, replace(CONFIG, world_seed=1))
    np.testing.assert_array_equal(zones.homes, again.homes)
    assert not np.allclose(zones.homes, other.homes)


def test_without_noise_and_tastes_every_driver_takes_the_fastest_route(grid):
    plain = replace(
        CONFIG,
        taste_sigma=0.0,
        driver_sigma=0.0,
        area_sigma=0.0,
        trip_sigma=0.0,
        length_weight=0.0,
        small_street_weight=0.0,
        peak_congestion=0.0,
    )
    made = simulate(grid, plain, 50, seed=3)
    graph = line_graph(grid, plain.turn_s, "right")
    seconds = grid.free_flow_s.astype(np.float64)
    for row in range(50):
        route = made.segments_of(row)
        best = cheapest_route(graph, seconds, int(route[0]), int(route[-1]))
        assert seconds[route].sum() + turns_taken(graph, route).sum() == pytest.approx(
            seconds[best].sum() + turns_taken(graph, best).sum()
        )


def test_without_noise_the_duration_is_driving_plus_turns(grid):
    calm = replace(CONFIG, speed_sigma=0.0, segment_sigma=0.0, peak_congestion=0.0)
    made = simulate(grid, calm, 20, seed=3)
    graph = line_graph(grid, calm.turn_s, "right")
    for row in range(20):
        route = made.segments_of(row)
        expected = grid.free_flow_s[route].sum(dtype=np.float64) + turns_taken(graph, route).sum()
        assert made.duration_s[row] == pytest.approx(expected, abs=0.51)


def test_drivers_disagree(grid, trips):
    origin, destination, depart = trips.origin[:10], trips.destination[:10], trips.depart[:10]
    different = []
    for row in range(10):
        draws = simulate_requests(
            grid,
            CONFIG,
            np.repeat(origin[row], 20),
            np.repeat(destination[row], 20),
            np.repeat(depart[row], 20),
            seed=4,
        )
        assert (draws.origin == origin[row]).all()
        assert (draws.destination == destination[row]).all()
        different.append(len({draws.segments_of(i).tobytes() for i in range(20)}))
    assert np.mean(different) > 4


def test_two_peaks_and_the_tide_turns(grid, trips):
    by_hour = np.histogram(trips.hour, bins=24, range=(0, 24))[0]
    assert by_hour[7:9].mean() > 1.5 * by_hour[10:13].mean() < by_hour[17:20].mean()
    zones = simulated_world(grid, CONFIG).zones
    job_share = zones.jobs / (zones.homes + zones.jobs + 1e-9)
    morning, evening = (trips.hour > 6) & (trips.hour < 10), (trips.hour > 16) & (trips.hour < 20)
    inward = job_share[trips.destination] - job_share[trips.origin]
    assert inward[morning].mean() > 0.1
    assert inward[evening].mean() < -0.1


def test_gravity_pairs_follow_the_formula(grid):
    config = replace(CONFIG, min_distance_m=1.0)
    graph = line_graph(grid, config.turn_s, "right")
    zones, gravity = gravity_demand(grid, config, graph)
    flow = np.diff(gravity.pair_cumulative[0], prepend=0).reshape(len(zones), len(zones))
    homes = np.bincount(zones.of_segment, zones.homes, len(zones))
    np.testing.assert_allclose(flow.sum(axis=1), homes)
    back = np.diff(gravity.pair_cumulative[1], prepend=0).reshape(flow.shape)
    np.testing.assert_allclose(back, flow.T)

    steep = gravity_demand(grid, replace(config, deterrence_per_min=1.0), graph)[1]
    apart = np.linalg.norm(zones.centre_m[:, None] - zones.centre_m[None], axis=-1)
    steep_flow = np.diff(steep.pair_cumulative[0], prepend=0).reshape(flow.shape)
    assert (steep_flow * apart).sum() / steep_flow.sum() < 0.7 * (flow * apart).sum() / flow.sum()


def test_drawn_pairs_have_the_frequencies_of_the_table(grid):
    config = replace(CONFIG, min_distance_m=1.0, shares=(1.0, 0.0, 0.0))
    zones, gravity = gravity_demand(grid, config, line_graph(grid, config.turn_s, "right"))
    generator = np.random.default_rng(0)
    draws = np.array([gravity.draw(generator)[1:] for _ in range(20_000)])
    homes = np.bincount(zones.of_segment, zones.homes, len(zones))
    counted = np.bincount(zones.of_segment[draws[:, 0]], minlength=len(zones)) / 20_000
    np.testing.assert_allclose(counted, homes / homes.sum(), atol=0.012)
    assert (zones.jobs[draws[:, 1]] > 0).all()


def test_peak_heights_are_one_at_the_peaks_and_go_round_midnight():
    assert peak_heights(8.0)[0] == 1.0
    assert peak_heights(18.2)[1] == 1.0
    assert peak_heights(0.0)[0] == pytest.approx(peak_heights(16.0)[0])


def test_cells_are_squares_of_the_given_side(grid):
    cells = grid_cells(grid, 500.0)
    xy = grid.to_metres(grid.centroid_lonlat)
    for cell in np.unique(cells)[:10]:
        assert np.ptp(xy[cells == cell], axis=0).max() <= 500
    np.testing.assert_array_equal(cells, grid_cells(grid.without(np.array([3])), 500.0))


def test_closed_segments_are_never_used_and_change_nothing_else(grid, trips):
    some = slice(0, 100)
    origin, destination, depart = trips.origin[some], trips.destination[some], trips.depart[some]
    before = simulate_requests(grid, CONFIG, origin, destination, depart, seed=7)
    used, times = np.unique(before.segment, return_counts=True)
    busiest = [s for s in used[np.argsort(-times)].tolist() if s not in origin and s not in destination][:3]
    shut = grid.without(np.array(busiest))
    after = simulate_requests(shut, CONFIG, origin, destination, depart, seed=7)
    assert not np.isin(after.segment, busiest).any()
    for row in range(100):
        if not np.isin(before.segments_of(row), busiest).any():
            np.testing.assert_array_equal(before.segments_of(row), after.segments_of(row))
    assert not np.isin(simulate(shut, CONFIG, 100, seed=7).segment, busiest).any()


def test_a_slower_street_changes_nobodys_destination(grid):
    slower = replace(grid, speed_kmh=np.where(np.arange(len(grid)) % 3, grid.speed_kmh, 2.0))
    asked = draw_requests(grid, 60, seed=3)
    same = draw_requests(slower, 60, seed=3, before=grid)
    assert np.array_equal(asked.origin, same.origin)
    assert np.array_equal(asked.destination, same.destination)
    assert not np.array_equal(asked.destination, draw_requests(slower, 60, seed=3).destination), "another city's would"


def test_requests_without_a_way_are_named_or_skipped(grid, trips):
    shut = grid.without(trips.destination[[1]])
    ends = trips.origin[:3], trips.destination[:3], trips.depart[:3]
    with pytest.raises(RequestError, match=rf"request 1: no way from segment {grid.segment_ids[trips.origin[1]]} "):
        simulate_requests(shut, CONFIG, *ends, seed=0)
    rest = simulate_requests(shut, CONFIG, *ends, seed=0, on_unreachable="skip")
    assert rest.trip_id.tolist() == ["0", "2"]


def test_pairs_that_are_not_accepted_are_redrawn(grid):
    made = simulate(
        grid, CONFIG, 40, seed=1, accept=lambda origin, destination: origin % 2 == 0 and destination % 3 == 0
    )
    assert (made.origin % 2 == 0).all()
    assert (made.destination % 3 == 0).all()


def test_wrong_arguments(grid):
    with pytest.raises(TrajectoryError, match="seed is -1"):
        simulate(grid, CONFIG, 1, seed=-1)
    with pytest.raises(TrajectoryError, match="count is -1"):
        simulate(grid, CONFIG, -1, seed=1)
    with pytest.raises(TrajectoryError, match="no two zones at least 90000 m apart"):
        simulate(grid, replace(CONFIG, min_distance_m=90_000.0), 1, seed=1)
    with pytest.raises(TrajectoryError, match="none of them accepted"):
        simulate(grid, CONFIG, 1, seed=1, accept=lambda origin, destination: False)
    assert len(simulate(grid, CONFIG, 0, seed=1)) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("zone_m", 0.0),
        ("trip_sigma", -0.1),
        ("shares", (0.5, 0.5, 0.5)),
        ("first_day", "today"),
        ("turn_s", (-1.0, 0.0, 0.0, 0.0)),
    ],
)
def test_config_names_the_field_and_the_value(field, value):
    with pytest.raises(TrajectoryError, match=rf"DemandConfig\.{field} is "):
        DemandConfig(**{field: value})
