import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from suffuse.trajectory.baselines.turn_graph import NO_TRANSITION, TurnGraph


def test_transitions_are_those_of_the_network_in_order(grid):
    graph = TurnGraph.of(grid)
    pattern = grid.successors.tocoo()
    expected = sorted(zip(pattern.row.tolist(), pattern.col.tolist(), strict=True))
    assert list(zip(graph.before.tolist(), graph.after.tolist(), strict=True)) == expected
    assert graph.open.all()
    np.testing.assert_array_equal(np.repeat(np.arange(len(grid)), np.diff(graph.start)), graph.before)


def test_closing_segments_keeps_the_numbers_of_transitions(grid):
    shut = np.array([3, 40])
    graph, closed = TurnGraph.of(grid), TurnGraph.of(grid.without(shut))
    np.testing.assert_array_equal(graph.after, closed.after)
    np.testing.assert_array_equal(~closed.open, np.isin(graph.before, shut) | np.isin(graph.after, shut))


def test_find_knows_every_pair_and_no_other(grid):
    graph = TurnGraph.of(grid)
    a, b = (axis.ravel() for axis in np.meshgrid(np.arange(len(grid)), np.arange(len(grid)), indexing="ij"))
    row = graph.find(a, b)
    legal = grid.successors.toarray()[a, b] != 0
    np.testing.assert_array_equal(row != NO_TRANSITION, legal)
    np.testing.assert_array_equal(graph.before[row[legal]], a[legal])
    np.testing.assert_array_equal(graph.after[row[legal]], b[legal])


@pytest.mark.parametrize("closed", [[], [5, 17, 60, 61]])
def test_cheapest_route_against_scipy(grid, closed):
    graph = TurnGraph.of(grid.without(np.array(closed, dtype=np.int64)))
    cost = np.random.default_rng(0).uniform(0.1, 3, len(graph))
    matrix = sparse.csr_array(
        (cost[graph.open], (graph.before[graph.open], graph.after[graph.open])), shape=(len(grid), len(grid))
    )
    least = dijkstra(matrix)
    for origin in range(0, len(grid), 7):
        for destination in range(len(grid)):
            route = graph.cheapest_route(cost, origin, destination)
            if np.isinf(least[origin, destination]):
                assert len(route) == 0
            else:
                assert (route[0], route[-1]) == (origin, destination)
                spent = cost[graph.find(route[:-1], route[1:])].sum()
                assert spent == pytest.approx(least[origin, destination])


def test_turns_of_infinite_cost_are_never_taken(ladder):
    graph = TurnGraph.of(ladder)
    assert len(graph.cheapest_route(np.full(len(graph), np.inf), 0, len(ladder) - 1)) == 0
    assert graph.cheapest_route(np.ones(len(graph)), 0, 0).tolist() == [0]
