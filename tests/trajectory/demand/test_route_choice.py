"""Routes and travel times against scipy's Dijkstra on the same line graph, and turns against their known angles."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from suffuse.trajectory.demand.route_choice import cheapest_route, line_graph, travel_times, turns_taken

TURNS = (1.0, 4.0, 9.0, 30.0)


def node_of(grid, column, row):
    return column * 15 + row


def segment_between(grid, a, b):
    return int(np.flatnonzero((grid.from_node == a) & (grid.to_node == b))[0])


@pytest.mark.parametrize(
    ("after", "right_hand", "left_hand"),
    [((6, 5), 1.0, 1.0), ((5, 4), 4.0, 9.0), ((5, 6), 9.0, 4.0)],
    ids=["straight", "right", "left"],
)
def test_turn_costs_follow_the_angle_and_the_side_of_the_road(grid, after, right_hand, left_hand):
    eastward = segment_between(grid, node_of(grid, 4, 5), node_of(grid, 5, 5))
    onward = segment_between(grid, node_of(grid, 5, 5), node_of(grid, *after))
    route = np.array([eastward, onward])
    assert turns_taken(line_graph(grid, TURNS, "right"), route) == pytest.approx([right_hand])
    assert turns_taken(line_graph(grid, TURNS, "left"), route) == pytest.approx([left_hand])


def test_u_turn_at_a_dead_end(grid):
    only_way = segment_between(grid, 0, 1)
    keep = np.flatnonzero(np.isin(grid.from_node, [0, 1, 2]) & np.isin(grid.to_node, [0, 1, 2]))
    street = type(grid)(
        **{
            name: getattr(grid, name)[keep]
            if isinstance(getattr(grid, name), np.ndarray) and name not in ("node_ids", "node_lonlat")
            else getattr(grid, name)
            for name in grid.__dataclass_fields__
        }
    )
    graph = line_graph(street, TURNS, "right")
    into, back = street.index_of[100 + segment_between(grid, 1, 0)], street.index_of[100 + only_way]
    assert turns_taken(graph, np.array([into, back])) == pytest.approx([30.0])


def test_least_cost_equals_scipy_on_random_costs(grid):
    graph = line_graph(grid, TURNS, "right")
    generator = np.random.default_rng(0)
    cost = generator.lognormal(2, 0.8, len(grid))
    arcs = sparse.csr_array(
        (graph.turn_s + cost[graph.following], graph.following, graph.start), shape=(len(grid), len(grid))
    )
    sources = generator.integers(len(grid), size=5)
    expected = dijkstra(arcs, indices=sources) + cost[sources][:, None]
    np.testing.assert_allclose(travel_times(graph, cost, sources), expected, rtol=1e-12)
    for row, origin in enumerate(sources.tolist()):
        for destination in generator.integers(len(grid), size=20).tolist():
            route = cheapest_route(graph, cost, origin, destination)
            assert route[0] == origin
            assert route[-1] == destination
            total = cost[route].sum() + turns_taken(graph, route).sum()
            assert total == pytest.approx(expected[row, destination], rel=1e-12)


def test_turn_weight_zero_ignores_turns_and_a_large_one_takes_few(grid):
    graph = line_graph(grid, TURNS, "right")
    origin = segment_between(grid, node_of(grid, 0, 0), node_of(grid, 1, 0))
    destination = segment_between(grid, node_of(grid, 13, 14), node_of(grid, 14, 14))
    few = cheapest_route(graph, np.full(len(grid), 18.0), origin, destination, turn_weight=50.0)
    assert (turns_taken(graph, few) > 1).sum() == 2
    assert len(few) == 28


def test_no_way_is_none(grid):
    target = segment_between(grid, 0, 1)
    shut = grid.without(np.flatnonzero(grid.to_node == 0))
    assert cheapest_route(line_graph(shut, TURNS, "right"), np.ones(len(grid)), 200, target) is None
