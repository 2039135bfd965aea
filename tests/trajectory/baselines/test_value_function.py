"""The recursive logit against sums over routes, dense linear algebra and finite differences."""

import networkx as nx
import numpy as np
import pytest

from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.value_function import NoValueError, ValueFunction


def matrix_of(graph: TurnGraph, cost: np.ndarray) -> np.ndarray:
    dense = np.zeros((graph.segments, graph.segments))
    dense[graph.before[graph.open], graph.after[graph.open]] = np.exp(-cost[graph.open])
    return dense


def absorbed(dense: np.ndarray, destination: int) -> np.ndarray:
    out = dense.copy()
    out[destination] = 0
    return out


@pytest.fixture(scope="module")
def graph(grid) -> TurnGraph:
    return TurnGraph.of(grid)


@pytest.fixture(scope="module")
def cost(graph) -> np.ndarray:
    return np.random.default_rng(0).uniform(1.2, 3.0, len(graph))


def test_choices_make_a_multinomial_logit_over_all_routes(ladder):
    """Without circles: P(route) = exp(-cost) / sum of exp(-cost) over all routes; V is the log of that sum."""
    graph = TurnGraph.of(ladder)
    cost = np.random.default_rng(0).uniform(0.2, 1.5, len(graph))
    destination, origin = len(ladder) - 1, 0
    network = nx.DiGraph(list(zip(graph.before.tolist(), graph.after.tolist(), strict=True)))
    routes = [np.array(route) for route in nx.all_simple_paths(network, origin, destination)]
    assert len(routes) > 3
    turns = [graph.find(route[:-1], route[1:]) for route in routes]
    chance = np.exp([-cost[taken].sum() for taken in turns])
    function = ValueFunction(graph, cost)
    assert function.values(destination)[origin] == pytest.approx(chance.sum())
    weights = function.choice_weights(destination)
    share = weights / np.maximum(np.bincount(graph.before, weights, graph.segments), 1e-300)[graph.before]
    np.testing.assert_allclose([share[taken].prod() for taken in turns], chance / chance.sum())


def test_values_count_walks_of_any_length(graph, cost):
    """With circles: the sum over walks of 0, 1, 2 ... steps that end on first reaching the destination."""
    dense = absorbed(matrix_of(graph, cost), 17)
    term = np.zeros(graph.segments)
    term[17] = 1.0
    total = term.copy()
    for _ in range(400):
        term = dense @ term
        total += term
    np.testing.assert_allclose(ValueFunction(graph, cost).values(17), total, rtol=1e-10)


def test_values_solve_the_equation_of_bellman(graph, cost):
    function = ValueFunction(graph, cost)
    value = np.log(function.values(40))
    for segment in range(graph.segments):
        ways = slice(graph.start[segment], graph.start[segment + 1])
        best = np.log(np.exp(-cost[ways] + value[graph.after[ways]]).sum())
        assert value[segment] == pytest.approx(0.0 if segment == 40 else best)
    assert function.choice_weights(40)[graph.start[40] : graph.start[41]].tolist() == [0.0] * (
        graph.start[41] - graph.start[40]
    )


def test_tiny_values_keep_their_digits(make_network):
    """Ninety streets in a row at 7 nats each: exp(-623), known to the last digit."""
    count = 91
    chain = make_network([(a, a + 1) for a in range(count)], np.stack([np.arange(count + 1.0), np.zeros(count + 1)], 1))
    graph = TurnGraph.of(chain)
    value = ValueFunction(graph, np.full(len(graph), 7.0)).values(count - 1)
    np.testing.assert_allclose(np.log(value), -7.0 * np.arange(count - 1, -1, -1), rtol=1e-12)


def test_closed_turns_have_no_part(grid, cost):
    shut = np.array([8, 9, 30])
    graph = TurnGraph.of(grid.without(shut))
    dense = absorbed(matrix_of(graph, cost), 50)
    expected = np.linalg.solve(np.eye(len(grid)) - dense, np.eye(len(grid))[50])
    function = ValueFunction(graph, cost)
    np.testing.assert_allclose(function.values(50), expected, rtol=1e-10, atol=1e-300)
    assert (function.values(50)[shut] == 0).all()
    assert (function.choice_weights(50)[~graph.open] == 0).all()


@pytest.mark.parametrize(("factor", "exists"), [(1.001, True), (0.999, False)])
def test_a_value_exists_exactly_below_spectral_radius_one(graph, factor, exists):
    dense = matrix_of(graph, np.zeros(len(graph)))
    threshold = np.log(np.abs(np.linalg.eigvals(dense)).max())
    cost = np.full(len(graph), threshold + np.log(factor))
    if exists:
        ValueFunction(graph, cost)
    else:
        with pytest.raises(NoValueError):
            ValueFunction(graph, cost)


def test_expected_features_are_the_slope_of_the_value(graph):
    rng = np.random.default_rng(3)
    features = rng.uniform(0.5, 2, (len(graph), 3))
    weights = np.array([0.9, 0.4, 0.7])
    log_z, expected = ValueFunction(graph, features @ weights).expected_features(features, 3, 61)
    assert log_z == pytest.approx(np.log(ValueFunction(graph, features @ weights).values(61)[3]))
    for field in range(3):
        step = np.eye(3)[field] * 1e-5
        above, below = (
            np.log(ValueFunction(graph, features @ (weights + sign * step)).values(61)[3]) for sign in (1, -1)
        )
        assert -expected[field] == pytest.approx((above - below) / 2e-5, rel=1e-6)


def test_expected_features_are_the_mean_over_routes(ladder):
    graph = TurnGraph.of(ladder)
    cost = np.random.default_rng(4).uniform(0.2, 1.5, len(graph))
    network = nx.DiGraph(list(zip(graph.before.tolist(), graph.after.tolist(), strict=True)))
    turns = [
        graph.find(np.array(route[:-1]), np.array(route[1:]))
        for route in nx.all_simple_paths(network, 0, len(ladder) - 1)
    ]
    chance = np.exp([-cost[taken].sum() for taken in turns])
    features = np.random.default_rng(5).normal(size=(len(graph), 2))
    mean = sum(p * features[taken].sum(axis=0) for p, taken in zip(chance / chance.sum(), turns, strict=True))
    found = ValueFunction(graph, cost).expected_features(features, 0, len(ladder) - 1)[1]
    np.testing.assert_allclose(found, mean)
