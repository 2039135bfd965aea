import numpy as np
import pytest

from suffuse.trajectory.show import flow_per_segment
from suffuse.trajectory.show.flows import departures_by_hour, short_to_long, trip_lengths
from suffuse.trajectory.trips.table import Trips


def test_flows_counted_by_hand(trips, network):
    np.testing.assert_array_equal(flow_per_segment(trips, network), [2, 3, 1, 1, 1, 0])


def test_a_trip_that_comes_by_twice_counts_twice(network):
    np.testing.assert_array_equal(flow_per_segment(Trips.from_lists([[0, 1, 2, 1]]), network), [1, 2, 1, 0, 0, 0])


def test_lengths_add_the_segments_of_each_trip(make_network):
    network = make_network(length_m=np.array([1.0, 10, 100, 1000, 10_000, 100_000]))
    np.testing.assert_array_equal(trip_lengths(Trips.from_lists([[0, 1], [5], [2, 2]]), network), [11, 100_000, 200])


def test_departures_fall_in_the_hour_that_has_begun(trips):
    departures = departures_by_hour(trips)
    assert {hour: count for hour, count in enumerate(departures.tolist()) if count} == {0: 1, 8: 2, 23: 1}


@pytest.mark.parametrize(
    ("count", "rows"),
    [
        (0, []),
        (1, [4]),
        (3, [8, 4, 1]),
        (9, [9, 8, 7, 6, 4, 3, 2, 1, 0]),
        (10, list(range(9, -1, -1))),
        (99, list(range(9, -1, -1))),
    ],
)
def test_singles_are_the_middles_of_equal_classes(count, rows):
    """Ten trips, the longest first: one trip is the median, three are the middles of three thirds."""
    assert short_to_long(np.arange(10.0)[::-1].copy(), count).tolist() == rows


def test_singles_of_one_length_keep_their_order():
    assert short_to_long(np.ones(4), 4).tolist() == [0, 1, 2, 3]
