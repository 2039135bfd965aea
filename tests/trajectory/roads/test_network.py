"""Reverse partners, legal transitions and geometry, against brute force and closed forms."""

from collections.abc import Callable
from itertools import permutations

import networkx as nx
import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.transitions import legal_transitions, reverse_partners

links = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=10)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([u for u, _ in pairs]), np.array([v for _, v in pairs])


@given(links, st.data())
def test_reverse_partners_are_the_best_matching_of_opposite_segments(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    tail, head = columns(pairs)
    # Lengths that are powers of four apart: then greedy and best total agree, and no two differences are equal.
    exponent = data.draw(st.permutations(range(len(pairs))))
    length = 4.0 ** np.array(exponent)
    partner = reverse_partners(tail, head, length)
    for u in range(5):
        assert (partner[(tail == u) & (head == u)] == -1).all()
        for v in range(u + 1, 5):
            forward = np.flatnonzero((tail == u) & (head == v)).tolist()
            backward = np.flatnonzero((tail == v) & (head == u)).tolist()
            few, many = sorted([forward, backward], key=len)
            paired = [segment for segment in forward + backward if partner[segment] >= 0]
            assert len(paired) == 2 * len(few)
            assert all(partner[partner[segment]] == segment for segment in paired)
            assert all((partner[segment] in backward) == (segment in forward) for segment in paired)
            if few:
                closest = min((abs(length[a] - length[b]), a, b) for a in few for b in many)
                assert partner[closest[1]] == closest[2]


@given(links)
def test_transitions_join_head_to_tail_and_leave_out_only_u_turns(pairs: list[tuple[int, int]]) -> None:
    tail, head = columns(pairs)
    partner = reverse_partners(tail, head, np.ones(len(pairs)))
    legal = {tuple(pair) for pair in np.argwhere(legal_transitions(tail, head, partner).toarray()).tolist()}
    meeting = {(a, b) for a in range(len(pairs)) for b in range(len(pairs)) if head[a] == tail[b]}
    u_turns = {(a, b) for a, b in meeting if partner[a] == b}
    assert meeting - u_turns <= legal <= meeting
    only_way_on = {(a, b) for a, b in u_turns if not any(a == c and (c, d) not in u_turns for c, d in meeting)}
    assert only_way_on <= legal


@given(links)
def test_every_segment_of_a_connected_network_can_reach_every_other(pairs: list[tuple[int, int]]) -> None:
    graph = nx.MultiDiGraph(pairs)
    largest = max(nx.strongly_connected_components(graph), key=len)
    inside = [(u, v) for u, v in pairs if u in largest and v in largest]
    if not inside:
        return
    tail, head = columns(inside)
    legal = legal_transitions(tail, head, reverse_partners(tail, head, np.ones(len(inside))))
    assert nx.is_strongly_connected(nx.from_scipy_sparse_array(legal, create_using=nx.DiGraph))


def test_crossings_allow_no_u_turn_but_dead_ends_do(make_network: Callable[..., RoadNetwork]) -> None:
    # 0 - 1 - 2 with a side street 1 - 4: only node 1 is a crossing.
    network = make_network([(0, 1), (1, 0), (1, 2), (2, 1), (1, 4), (4, 1)])
    followers = [sorted(network.successors[[row]].indices.tolist()) for row in range(6)]
    assert followers == [[2, 4], [0], [3], [1, 4], [5], [1, 2]]
    assert np.array_equal(network.predecessors.toarray(), network.successors.toarray().T)


def test_a_loop_at_the_end_of_a_street_keeps_the_u_turn_that_connects_it(
    make_network: Callable[..., RoadNetwork],
) -> None:
    # Two two-way streets meet in node 1 and only there; one-way round trips hang on both ends.
    network = make_network([(0, 1), (1, 0), (1, 2), (2, 5), (5, 1)])
    assert nx.is_strongly_connected(nx.from_scipy_sparse_array(network.successors, create_using=nx.DiGraph))


def test_closed_segments_lose_every_transition_and_nothing_else_changes(grid: RoadNetwork) -> None:
    closed = grid.without(np.array([3, 5]))
    before, after = grid.successors.toarray(), closed.successors.toarray()
    assert not after[[3, 5]].any()
    assert not after[:, [3, 5]].any()
    keep = np.setdiff1d(np.arange(len(grid)), [3, 5])
    assert np.array_equal(after[np.ix_(keep, keep)], before[np.ix_(keep, keep)])
    assert closed.without(np.array([7])).closed == {3, 5, 7}
    assert grid.closed == frozenset()


def test_projected_distances_are_true(grid: RoadNetwork) -> None:
    geod = pyproj.Geod(ellps="WGS84")
    for a, b in permutations(range(9), 2):
        _, _, true = geod.inv(*grid.node_lonlat[a], *grid.node_lonlat[b])
        assert np.hypot(*(grid.node_metres[a] - grid.node_metres[b])) == pytest.approx(true, rel=1e-4)
    assert grid.length_m[0] == pytest.approx(geod.inv(-71.25, -29.9, -71.249, -29.9)[2])


def test_bearings_are_compass_directions(grid: RoadNetwork) -> None:
    start, end = grid.bearings
    assert start == pytest.approx(end)
    east, north = start[0], start[6]
    assert (east, north) == (pytest.approx(0, abs=1e-4), pytest.approx(np.pi / 2, abs=1e-4))
    assert np.abs(start[12]) == pytest.approx(np.pi, abs=1e-4)


def test_names_times_and_centroids(grid: RoadNetwork) -> None:
    assert grid.index_of == {row: row for row in range(24)}
    assert grid.free_flow_s == pytest.approx(grid.length_m / (grid.speed_kmh / 3.6), rel=1e-6)
    middle = (grid.node_lonlat[grid.from_node] + grid.node_lonlat[grid.to_node]) / 2
    assert grid.centroid_lonlat == pytest.approx(middle)
    assert not grid.oneway.any()
    assert np.array_equal(grid.reverse, (np.arange(24) + 12) % 24)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"segment_ids": np.array([4, 4])}, "segment id 4 occurs twice"),
        ({"length_m": np.array([1.0, np.inf])}, "length_m of segment 1 is inf"),
        ({"length_m": np.array([1.0, -2.0])}, "length_m of segment 1 is -2.0"),
        ({"places": {0: (0.0, np.nan), 1: (0.0, 0.0)}}, "of node 0 are not finite"),
        ({"places": {0: (0.0, 0.0), 1: (282000.0, 6690000.0)}}, "of node 1 are no degrees"),
    ],
)
def test_unusable_columns_are_named(
    make_network: Callable[..., RoadNetwork], columns: dict[str, object], message: str
) -> None:
    with pytest.raises(RoadNetworkError, match=message):
        make_network([(0, 1), (1, 0)], **columns)
