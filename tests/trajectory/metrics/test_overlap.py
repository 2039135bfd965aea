import math

import numpy as np
import pytest

from suffuse.trajectory.metrics.overlap import flow_correlation, legal_steps, link_flows, overlaps, repeats_a_segment
from suffuse.trajectory.trips.table import Trips

BOTH = np.array([[0, 0]])


def test_overlap_is_shared_metres_over_metres_used(grid):
    a, b = [0, 1, 2, 3], [2, 3, 4]
    expected = grid.length_m[[2, 3]].sum() / grid.length_m[[0, 1, 2, 3, 4]].sum()
    found = overlaps(grid, Trips.from_lists([a]), Trips.from_lists([b]), BOTH)
    assert found == pytest.approx(expected)


def test_overlap_counts_a_repeated_segment_once(grid):
    once, twice = Trips.from_lists([[0, 1, 2]]), Trips.from_lists([[0, 1, 0, 1, 2]])
    assert overlaps(grid, once, twice, BOTH) == pytest.approx(1)


def test_overlap_against_sets_for_any_pairing(grid, make_walks):
    first, second = make_walks(40, 0), make_walks(50, 1)
    pairs = np.random.default_rng(2).integers(0, 40, (70, 2))
    expected = []
    for i, j in pairs.tolist():
        a, b = set(first.segments_of(i).tolist()), set(second.segments_of(j).tolist())
        expected.append(grid.length_m[list(a & b)].sum() / grid.length_m[list(a | b)].sum())
    np.testing.assert_allclose(overlaps(grid, first, second, pairs), expected)
    np.testing.assert_allclose(overlaps(grid, second, first, pairs[:, ::-1]), expected)


def test_loops_are_trips_that_repeat_a_segment(grid):
    trips = Trips.from_lists([[0, 1, 2], [0, 1, 0], [5], [6, 6]])
    assert repeats_a_segment(grid, trips).tolist() == [False, True, False, True]


def test_legality_of_every_step_but_not_between_trips(grid, make_walks):
    trips = make_walks(50, 3)
    assert legal_steps(grid, trips).all()
    assert len(legal_steps(grid, trips)) == (trips.lengths - 1).sum()
    follow = int(grid.successors.indices[grid.successors.indptr[0]])
    u_turn = int(grid.reverse[0])
    mixed = Trips.from_lists([[0, follow], [0, u_turn], [0, 0]])
    assert legal_steps(grid, mixed).tolist() == [True, False, False]


def test_steps_into_a_closed_segment_are_not_legal(grid):
    follow = int(grid.successors.indices[grid.successors.indptr[0]])
    closed = grid.without(np.array([follow]))
    assert legal_steps(closed, Trips.from_lists([[0, follow]])).tolist() == [False]


def test_flow_correlation_is_that_of_pearson(grid, make_walks):
    first, second = make_walks(100, 4), make_walks(70, 5)
    expected = np.corrcoef(link_flows(grid, first), link_flows(grid, second))[0, 1]
    assert flow_correlation(grid, first, second) == pytest.approx(expected)
    assert flow_correlation(grid, first, first) == pytest.approx(1)
    everywhere = Trips.from_lists([list(range(len(grid)))])
    assert math.isnan(flow_correlation(grid, first, everywhere))
