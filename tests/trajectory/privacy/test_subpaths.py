"""The longest shared piece of way, against trying all pieces."""

from collections.abc import Callable

import numpy as np

from suffuse.trajectory.privacy.subpaths import copies, longest_shared_m
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def brute_force(grid: RoadNetwork, trip: list[int], others: list[list[int]]) -> float:
    best = 0.0
    for other in others:
        for i in range(len(trip)):
            for j in range(len(other)):
                shared = 0.0
                for a, b in zip(trip[i:], other[j:], strict=False):
                    if a != b:
                        break
                    shared += float(grid.length_m[a])
                best = max(best, shared)
    return best


def test_against_trying_all_pieces(grid: RoadNetwork, walks: Callable[[int, int], Trips]) -> None:
    trips, others = walks(40, 1), walks(60, 2)
    known = [others.segments_of(row).tolist() for row in range(len(others))]
    wanted = [brute_force(grid, trips.segments_of(row).tolist(), known) for row in range(len(trips))]
    found = longest_shared_m(grid, trips, others)
    np.testing.assert_allclose(found, wanted)
    assert 0 < found.max() < 2000


def test_no_match_runs_from_one_trip_into_the_next(grid: RoadNetwork) -> None:
    """Trips 0 and 1 of the others, joined, would hold all of the way; apart, each holds a part."""
    others = Trips.from_lists([[0, 2], [4, 6], [0, 2, 9]])
    trips = Trips.from_lists([[0, 2, 4, 6], [4, 6], [11]])
    length = grid.length_m
    expected = [max(length[[0, 2]].sum(), length[[4, 6]].sum()), length[[4, 6]].sum(), 0.0]
    np.testing.assert_allclose(longest_shared_m(grid, trips, others), expected)


def test_a_trip_that_is_in_the_others_is_shared_whole(grid: RoadNetwork, walks: Callable[[int, int], Trips]) -> None:
    trips = walks(30, 3)
    metres = [grid.length_m[trips.segments_of(row)].sum() for row in range(30)]
    np.testing.assert_allclose(longest_shared_m(grid, trips.take(np.arange(30)[::-1]), trips), metres[::-1])


def test_copies_are_whole_trips() -> None:
    others = Trips.from_lists([[1, 2, 3], [4]])
    trips = Trips.from_lists([[1, 2], [1, 2, 3], [4], [3, 2, 1], [1, 2, 3, 4]])
    assert copies(trips, others).tolist() == [False, True, True, False, False]


def test_nothing_to_share_with(grid: RoadNetwork) -> None:
    assert longest_shared_m(grid, Trips.from_lists([[1, 2]]), Trips.from_lists([])).tolist() == [0.0]
