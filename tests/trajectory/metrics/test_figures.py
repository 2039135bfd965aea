"""Figures whose values are known: by hand, by brute force, or because two sets of trips are the same."""

import numpy as np
import pytest
import shapely

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.metrics.alignment import HAVERSINE_RADIUS_KM, align
from suffuse.trajectory.metrics.divergence import histogram_divergence, jensen_shannon
from suffuse.trajectory.metrics.overlap import legal_steps, overlaps, repeats_a_segment
from suffuse.trajectory.metrics.points import GREAT_CIRCLE_RADIUS_KM, great_circle_km
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


@pytest.fixture(scope="module")
def grid() -> RoadNetwork:
    """6 x 6 crossings, 0.001 degrees apart, streets both ways."""
    side = 6
    nodes = np.array([(x, y) for y in range(side) for x in range(side)])
    lonlat = np.array([-71.25, -29.9]) + nodes * 0.001
    links = [(a, b) for a in range(len(nodes)) for b in range(len(nodes)) if np.abs(nodes[a] - nodes[b]).sum() == 1]
    from_node, to_node = np.array(links).T
    return RoadNetwork(
        name="grid",
        segment_ids=np.arange(len(links)),
        from_node=from_node,
        to_node=to_node,
        node_ids=np.arange(len(nodes)),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[from_node], lonlat[to_node]], axis=1)),
        length_m=np.full(len(links), 100.0),
        highway=np.full(len(links), "residential", dtype=object),
        speed_kmh=np.full(len(links), 36.0),
        lanes=np.ones(len(links)),
    )


def some_trips(network: RoadNetwork, count: int, seed: int) -> Trips:
    """Random walks of 4 to 12 segments, ten seconds a segment."""
    rng = np.random.default_rng(seed)
    ahead, routes = network.successors, []
    for _ in range(count):
        route = [int(rng.integers(len(network)))]
        for _ in range(int(rng.integers(3, 12))):
            route.append(int(rng.choice(ahead.indices[ahead.indptr[route[-1]] : ahead.indptr[route[-1] + 1]])))
        routes.append(route)
    return Trips.from_lists(
        routes, enter_s=[[10.0 * i for i in range(len(r))] for r in routes], duration_s=[10.0 * len(r) for r in routes]
    )


def test_divergence_of_disjoint_histograms_is_log_two_and_of_equal_ones_zero():
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(np.log(2))
    assert jensen_shannon(np.array([0.2, 0.8]), np.array([0.2, 0.8])) == 0
    values = np.random.default_rng(0).random(500)
    assert histogram_divergence(values, values) == 0
    assert histogram_divergence(values, values + 10) == pytest.approx(np.log(2), abs=0.01)  # in the open bin


def test_a_degree_of_latitude_is_111_kilometres():
    km = great_circle_km(np.array([[0.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert km[0] == pytest.approx(111.2, abs=0.2)


def test_alignment_equals_slow_definitions(grid):
    """Hausdorff, dynamic time warping and edit distance on real sequences, each from its textbook recursion."""
    first, second = some_trips(grid, 12, 1), some_trips(grid, 12, 2)
    pairs = np.stack([np.arange(12)] * 2, axis=1)
    found = align(grid, first, second, pairs)
    for row in range(12):
        a = grid.centroid_lonlat[first.segments_of(row)]
        b = grid.centroid_lonlat[second.segments_of(row)]
        distance = np.array([[great_circle_km(p[None], q[None])[0] for q in b] for p in a])

        table = np.full((len(a) + 1, len(b) + 1), np.inf)
        table[0, 0] = 0
        edits = np.zeros_like(table)
        edits[:, 0], edits[0, :] = np.arange(len(a) + 1), np.arange(len(b) + 1)
        for i in range(1, len(a) + 1):
            for j in range(1, len(b) + 1):
                table[i, j] = distance[i - 1, j - 1] + min(table[i - 1, j], table[i, j - 1], table[i - 1, j - 1])
                swap = edits[i - 1, j - 1] + (distance[i - 1, j - 1] > 0.1)
                edits[i, j] = min(swap, edits[i - 1, j] + 1, edits[i, j - 1] + 1)
        warped = table[-1, -1] * HAVERSINE_RADIUS_KM / GREAT_CIRCLE_RADIUS_KM  # HOSER warps on a larger earth
        assert found.dtw_km[row] == pytest.approx(warped, rel=1e-5)
        assert found.edr[row] == pytest.approx(edits[-1, -1] / max(len(a), len(b)))
        hausdorff = max(distance.min(axis=1).max(), distance.min(axis=0).max())
        assert found.hausdorff_km[row] == pytest.approx(hausdorff, rel=2e-3)  # the same larger earth


def test_overlap_counts_metres_and_each_segment_once(grid):
    one = Trips.from_lists([[0, 1, 2], [0, 1, 0]])
    other = Trips.from_lists([[1, 2, 3], [0, 1, 1]])
    pairs = np.array([[0, 0], [1, 1]])
    np.testing.assert_allclose(overlaps(grid, one, other, pairs), [2 / 4, 1.0])
    np.testing.assert_array_equal(repeats_a_segment(grid, one), [False, True])


def test_random_walks_are_legal_and_a_jump_is_not(grid):
    assert legal_steps(grid, some_trips(grid, 20, 0)).all()
    far = int(np.flatnonzero(grid.from_node == grid.from_node.max())[0])
    assert not legal_steps(grid, Trips.from_lists([[0, far]])).any()


def test_trips_against_themselves_are_perfect(grid):
    trips = some_trips(grid, 60, 3)
    row = evaluate(grid, trips, trips).rows["generated"]
    assert (row.n, row.pairs) == (60, 60)
    assert row.jsd_distance == row.jsd_radius == row.jsd_duration == 0
    assert row.hausdorff_km == row.dtw_km == row.edr == 0
    assert row.overlap == row.length_ratio == row.valid == row.arrived == 1
    assert row.flow_r == pytest.approx(1)


def test_nothing_to_evaluate_is_an_error(grid):
    none = some_trips(grid, 3, 0).take(np.array([], dtype=np.int64))
    with pytest.raises(TripError, match="generated trips are empty"):
        evaluate(grid, some_trips(grid, 3, 0), none)
