import numpy as np
import pytest

from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies, destination_zones
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.trips.table import Trips


@pytest.mark.parametrize("depth", [0, 1, 3, 5])
def test_zones_halve_the_destinations(grid, make_walks, depth):
    trips = make_walks(grid, 5000, 0)
    zones = destination_zones(grid, trips, depth)
    assert len(zones) == len(grid)
    assert np.unique(zones).tolist() == list(range(2**depth))
    ends = np.bincount(zones[trips.destination], minlength=2**depth)
    heaviest = np.bincount(trips.destination).max()
    assert np.abs(ends - 5000 / 2**depth).max() <= 2 * heaviest  # each cut is off by at most one segment


def test_zones_lie_together(grid, make_walks):
    """A k-d tree of depth 2: its four zones do not overlap, so they can be told apart by straight lines."""
    zones = destination_zones(grid, make_walks(grid, 3000, 1), 2)
    xy = grid.to_metres(grid.centroid_lonlat)
    boxes = [(xy[zones == z].min(axis=0), xy[zones == z].max(axis=0)) for z in range(4)]
    for a in range(4):
        for b in range(a):
            apart = (boxes[a][0] >= boxes[b][1]) | (boxes[b][0] >= boxes[a][1])
            assert apart.any()


def test_more_zones_than_segments_is_one_zone_each(ladder):
    trips = Trips.from_lists([[0]])
    assert len(np.unique(destination_zones(ladder, trips, 12))) == len(ladder)


@pytest.mark.parametrize("smoothing", [0.25, 3.0])
def test_chances_are_counts_that_back_off_twice(grid, make_walks, smoothing):
    """The two Dirichlet steps, written out for every turn."""
    graph = TurnGraph.of(grid)
    trips = make_walks(grid, 60, 2)
    zones = destination_zones(grid, trips, 2)
    turns = TurnFrequencies.count(graph, zones, trips)
    taken = {(zone, turn): 0 for zone in range(4) for turn in range(len(graph))}
    for row in range(60):
        route = trips.segments_of(row)
        for turn in graph.find(route[:-1], route[1:]).tolist():
            taken[int(zones[route[-1]]), turn] += 1
    for zone in range(4):
        found = turns.probability(graph, zone, smoothing)
        np.testing.assert_allclose(np.bincount(graph.before, found, len(grid)), 1)
        for turn in range(len(graph)):
            ways = range(graph.start[graph.before[turn]], graph.start[graph.before[turn] + 1])
            total = [sum(taken[z, way] for z in range(4)) for way in ways]
            wide = (total[turn - ways[0]] + 1 / len(ways)) / (sum(total) + 1)
            here = sum(taken[zone, way] for way in ways)
            assert found[turn] == pytest.approx((taken[zone, turn] + smoothing * wide) / (here + smoothing))


def test_illegal_steps_are_not_counted(grid):
    graph = TurnGraph.of(grid)
    jump = Trips.from_lists([[0, int(grid.reverse[0])], [0, 0]])
    turns = TurnFrequencies.count(graph, np.zeros(len(grid), dtype=np.int64), jump)
    assert turns.total.sum() == 0
    ways = np.diff(graph.start)[graph.before]
    np.testing.assert_allclose(turns.probability(graph, 0, 1.0), 1 / ways)


def test_counts_come_back_from_their_arrays(grid, make_walks):
    graph = TurnGraph.of(grid)
    trips = make_walks(grid, 100, 3)
    turns = TurnFrequencies.count(graph, destination_zones(grid, trips, 3), trips)
    again = TurnFrequencies.restore(turns.state(), graph)
    for zone in range(8):
        np.testing.assert_array_equal(again.probability(graph, zone, 2.0), turns.probability(graph, zone, 2.0))
    np.testing.assert_array_equal(again.zone_of, turns.zone_of)
