import numpy as np
import pytest

from suffuse.trajectory.baselines.travel_times import PRIOR_S, TravelTimes
from suffuse.trajectory.trips.table import Trips


def test_trips_without_times_leave_free_flow(grid, make_walks):
    walks = make_walks(grid, 200, 0)
    untimed = Trips.from_lists([walks.segments_of(row).tolist() for row in range(200)])
    times = TravelTimes.fit(grid, untimed)
    np.testing.assert_array_equal(times.seconds(grid, 8), TravelTimes.free_flow(grid).seconds(grid, 8))
    np.testing.assert_allclose(times.seconds(grid, 8), grid.length_m / 10, rtol=1e-6)


def test_a_city_that_takes_twice_as_long_is_learned_from_many_trips(grid, make_walks):
    times = TravelTimes.fit(grid, make_walks(grid, 20_000, 1, pace=2.0))
    np.testing.assert_allclose(times.seconds(grid, 12), 2 * grid.length_m / 10, rtol=0.02)


def test_few_trips_move_the_times_a_little(grid):
    """One traversal of 100 s more than expected, against a prior of 600 s: the factors by hand."""
    free = grid.free_flow_s
    route = TurnRoute(grid)
    spent = free[route.middle] + 100
    trips = Trips.from_lists(
        [[route.first, route.middle, route.last]],
        enter_s=[[0.0, 5.0, float(5 + spent)]],
        duration_s=[float(10 + spent)],
    )
    times = TravelTimes.fit(grid, trips)
    expected, product = float(free[route.middle]), 1.0
    for _ in range(4):  # all, class, class and hour, segment
        product *= (spent + PRIOR_S) / (expected * product + PRIOR_S)
    assert times.seconds(grid, 0)[route.middle] == pytest.approx(expected * product)


class TurnRoute:
    """Any three segments in a row."""

    def __init__(self, network):
        pattern = network.successors
        self.first = 0
        self.middle = int(pattern.indices[pattern.indptr[0]])
        self.last = int(pattern.indices[pattern.indptr[self.middle]])


def test_rush_hours_and_classes_keep_apart(make_network):
    """Two parallel roads; trunk is slow at 8 only."""
    places = np.array([(x, y) for y in (0, 1) for x in range(5)], dtype=float)
    links = [(a, a + 1) for a in (*range(4), *range(5, 9))]
    network = make_network(links, places, highway=["trunk"] * 4 + ["residential"] * 4)
    routes, enter, duration, depart = [], [], [], []
    for hour in (8, 15):
        for first in (0, 4):
            pace = 3.0 if (hour, first) == (8, 0) else 1.0
            for _ in range(2000):
                routes.append([first, first + 1, first + 2, first + 3])
                enter.append([10 * pace * i for i in range(4)])
                duration.append(40 * pace)
                depart.append(np.datetime64("2024-03-04", "s") + np.timedelta64(hour, "h"))
    times = TravelTimes.fit(
        network, Trips.from_lists(routes, enter_s=enter, duration_s=duration, depart=np.array(depart))
    )
    np.testing.assert_allclose(times.seconds(network, 8)[:4], 30, rtol=0.05)
    np.testing.assert_allclose(times.seconds(network, 8)[4:], 10, rtol=0.05)
    np.testing.assert_allclose(times.seconds(network, 15), 10, rtol=0.05)


def test_the_clock_adds_up_each_trip(grid, make_walks):
    walks = make_walks(grid, 20, 3)
    rng = np.random.default_rng(0)
    times = TravelTimes(rng.uniform(0.5, 2, (12, 24)), rng.uniform(0.5, 2, len(grid)))
    hour = rng.integers(0, 24, 20)
    enter_s, duration_s = times.clock(grid, walks.segment, walks.start, hour)
    for row in range(20):
        spent = times.seconds(grid, int(hour[row]))[walks.segments_of(row)]
        np.testing.assert_allclose(
            enter_s[walks.start[row] : walks.start[row + 1]], np.append(0, np.cumsum(spent)[:-1]), atol=1e-9
        )
        assert duration_s[row] == pytest.approx(spent.sum())
