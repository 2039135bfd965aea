import numpy as np
import pytest

from suffuse.trajectory.metrics.pairing import CELL_M, occurrence, pair_up, request_keys, twice


def test_occurrence_counts_earlier_trips_of_the_same_request():
    assert occurrence(np.array([7, 3, 7, 7, 3, 9])).tolist() == [0, 0, 1, 2, 1, 0]
    assert occurrence(np.empty(0, np.int64)).tolist() == []


def test_the_ith_of_a_request_meets_the_ith_and_the_rest_stays_alone():
    pairs = pair_up(np.array([5, 5, 8, 5, 2]), np.array([8, 5, 5, 8, 4]))
    assert pairs.tolist() == [[0, 1], [1, 2], [2, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_pairs_against_queues(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(-4, 6, 40), rng.integers(-4, 6, 30)
    queues = {key: np.flatnonzero(second == key).tolist() for key in set(second.tolist())}
    expected = [[i, queues[key].pop(0)] for i, key in enumerate(first.tolist()) if queues.get(key)]
    assert pair_up(first, second).tolist() == expected


def test_twice_pairs_the_first_two_of_each_repeated_request():
    assert sorted(twice(np.array([1, 2, 1, 3, 2, 1])).tolist()) == [[0, 2], [1, 4]]
    assert twice(np.array([1, 2, 3])).shape == (0, 2)


def test_segments_need_the_same_ends_and_cells_only_near_ones(grid):
    ends = np.arange(len(grid))
    by_segment = request_keys(grid, ends, ends[::-1], "segments")
    assert len(np.unique(by_segment)) == len(grid)
    a, partner = 0, int(grid.reverse[0])  # one street, two directions: the same centroid
    by_cell = request_keys(grid, np.array([a, partner]), np.array([7, 7]), "cells")
    assert by_cell[0] == by_cell[1]
    xy = grid.to_metres(grid.centroid_lonlat)
    cell = np.floor(xy / CELL_M)
    same = (cell[:, None] == cell[None]).all(-1)
    keys = request_keys(grid, ends, np.zeros_like(ends), "cells")
    np.testing.assert_array_equal(keys[:, None] == keys[None], same)


def test_cells_keep_origin_and_destination_apart(grid):
    there = request_keys(grid, np.array([0]), np.array([60]), "cells")
    back = request_keys(grid, np.array([60]), np.array([0]), "cells")
    assert there != back
