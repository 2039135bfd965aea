import numpy as np
import pytest
from scipy.stats import chisquare

from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.walk import PART, walk


def test_each_way_is_taken_by_its_weight(grid):
    graph = TurnGraph.of(grid)
    weight = np.random.default_rng(0).uniform(0.1, 2, len(graph))
    origin = int(np.diff(graph.start).argmax())
    ways = slice(graph.start[origin], graph.start[origin + 1])
    rng = np.random.default_rng(1)
    seconds = [int(walk(graph, weight, origin, -1, rng, limit=2)[1]) for _ in range(4000)]
    seen = [seconds.count(after) for after in graph.after[ways].tolist()]
    expected = weight[ways] / weight[ways].sum() * 4000
    assert chisquare(seen, expected).pvalue > 0.01


def test_a_walk_ends_where_it_wants_to(grid):
    graph = TurnGraph.of(grid)
    for seed in range(20):
        route = walk(graph, np.ones(len(graph)), 0, 77, np.random.default_rng(seed))
        assert route[-1] == 77
        assert np.count_nonzero(route == 77) == 1
    assert walk(graph, np.ones(len(graph)), 5, 5, np.random.default_rng(0)).tolist() == [5]


@pytest.mark.parametrize("limit", [1, 2, PART, PART + 1, 3 * PART + 7])
def test_a_walk_that_cannot_arrive_has_the_length_of_its_limit(grid, limit):
    graph = TurnGraph.of(grid)
    assert len(walk(graph, np.ones(len(graph)), 0, -1, np.random.default_rng(0), limit=limit)) == limit


def test_a_walk_stops_where_no_way_is_open(grid):
    graph = TurnGraph.of(grid)
    assert walk(graph, np.zeros(len(graph)), 4, 9, np.random.default_rng(0)).tolist() == [4]


def test_a_long_way_is_walked_to_its_end(make_network):
    """A ring of one-way streets longer than the numbers drawn at a time, twice over."""
    count = 2 * PART + 30
    angle = 2 * np.pi * np.arange(count) / count
    ring = make_network([(a, (a + 1) % count) for a in range(count)], np.stack([np.cos(angle), np.sin(angle)], 1) * 100)
    graph = TurnGraph.of(ring)
    route = walk(graph, np.full(len(graph), 1e-200), 3, 2, np.random.default_rng(0))
    assert route.tolist() == [*range(3, count), 0, 1, 2]
