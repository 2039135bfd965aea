"""Weights that trips were drawn with are found again."""

import numpy as np
import pytest

from suffuse.trajectory.baselines.likelihood import FEATURES, Estimate, estimate_weights, fixed_features, zone_features
from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.value_function import ValueFunction
from suffuse.trajectory.baselines.walk import walk
from suffuse.trajectory.trips.table import Trips

TRUE = np.array([0.9, 4.0, 1.5, 3.0])


@pytest.fixture(scope="module")
def graph(grid) -> TurnGraph:
    return TurnGraph.of(grid)


@pytest.fixture(scope="module")
def turns(graph, grid, make_walks) -> TurnFrequencies:
    zones = (np.arange(len(grid)) >= len(grid) // 2).astype(np.int64)
    return TurnFrequencies.count(graph, zones, make_walks(grid, 400, 0))


@pytest.fixture(scope="module")
def drawn(graph, grid, turns) -> Trips:
    """Trips of the recursive logit with the weights `TRUE`."""
    rng = np.random.default_rng(1)
    fixed = fixed_features(graph, grid)
    functions = [ValueFunction(graph, zone_features(graph, fixed, turns, 2.0, zone) @ TRUE) for zone in (0, 1)]
    routes = []
    for _ in range(3000):
        origin, destination = rng.choice(len(grid), 2, replace=False).tolist()
        weights = functions[turns.zone_of[destination]].choice_weights(destination)
        routes.append(walk(graph, weights, origin, destination, rng).tolist())
    return Trips.from_lists(routes)


def test_the_weights_trips_were_drawn_with_are_within_their_errors(graph, grid, turns, drawn, monkeypatch):
    monkeypatch.setattr("suffuse.trajectory.baselines.likelihood.TRIPS_PER_ZONE", 1500)
    found = estimate_weights(graph, grid, turns, 2.0, drawn, start=(1.0, 1.0, 0.0, 0.0))
    assert found.trips > 2500
    assert found.standard_error is not None
    error = np.array(found.standard_error)
    assert (np.abs(np.array(found.weights) - TRUE)[:3] < 3 * error[:3]).all()
    assert (error[:3] < 0.5).all()


def test_the_likelihood_of_a_trip_is_the_chance_of_its_choices(graph, grid, turns, drawn, monkeypatch):
    """Newton steps off: the figure is that of the start, here worked out choice by choice."""
    monkeypatch.setattr("suffuse.trajectory.baselines.likelihood.STEPS", 0)
    few = drawn.take(np.arange(10))
    found = estimate_weights(graph, grid, turns, 2.0, few, start=tuple(TRUE.tolist()))
    fixed = fixed_features(graph, grid)
    logs = []
    for row in range(10):
        route = few.segments_of(row)
        zone = int(turns.zone_of[route[-1]])
        function = ValueFunction(graph, zone_features(graph, fixed, turns, 2.0, zone) @ TRUE)
        weights = function.choice_weights(int(route[-1]))
        total = np.bincount(graph.before, weights, len(grid))
        taken = graph.find(route[:-1], route[1:])
        logs.append(np.log(weights[taken] / total[graph.before[taken]]).sum())
    assert found.log_likelihood == pytest.approx(np.mean(logs))


def test_trips_without_a_likelihood_leave_the_start(graph, grid, turns):
    u_turn = [0, int(grid.reverse[0])]
    assert estimate_weights(graph, grid, turns, 2.0, Trips.from_lists([u_turn, [4]]), start=(1.0, 1.0, 0.0, 0.0)) == (
        Estimate((1.0, 1.0, 0.0, 0.0))
    )


def test_features_of_a_turn(make_network):
    """East, then on east, left, right and back."""
    places = np.array([(0, 0), (1, 0), (2, 0), (1, 1), (1, -2)], dtype=float)
    network = make_network([(0, 1), (1, 2), (1, 3), (1, 4), (1, 0)], places)
    graph = TurnGraph.of(network)
    features = fixed_features(graph, network)[graph.find(np.zeros(3, np.int64), np.array([1, 2, 3]))]
    assert FEATURES == ("surprise", "km", "turn", "u_turn")
    np.testing.assert_allclose(features[:, 1], [0.1, 0.1, 0.2])
    np.testing.assert_allclose(features[:, 2], [0, 0.5, 0.5], atol=0.01)
    np.testing.assert_array_equal(features[:, 3], 0)


def test_turning_round_has_a_weight_of_its_own(make_network):
    dead_end = make_network([(0, 1), (1, 0), (1, 2), (2, 1)], np.array([(0, 0), (1, 0), (2, 0)], dtype=float))
    graph = TurnGraph.of(dead_end)
    features = fixed_features(graph, dead_end)
    around = graph.find(np.array([2]), np.array([3]))
    np.testing.assert_allclose(features[around], [[0, 0.1, 0, 1]])
