import warnings
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from suffuse.trajectory.baselines import RecursiveLogit, ZonePath
from suffuse.trajectory.baselines.likelihood import fixed_features, zone_features
from suffuse.trajectory.baselines.recursive_logit import raised_until_finite
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.value_function import ValueFunction
from suffuse.trajectory.baselines.zone_path import ZonePathSettings, turn_costs
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.trips.table import Trips

SETTINGS = ZonePathSettings(depth=1, smoothing=2.0, per_km=3.0)


@pytest.fixture(scope="module")
def fitted(grid, make_walks) -> RecursiveLogit:
    return RecursiveLogit.fit(grid, make_walks(grid, 500, 0), settings=SETTINGS)


def test_its_costs_are_those_of_the_zone_path(grid, make_walks, fitted):
    graph = TurnGraph.of(grid)
    path = ZonePath.fit(grid, make_walks(grid, 500, 0), settings=SETTINGS)
    for zone in (0, 1):
        features = zone_features(graph, fixed_features(graph, grid), fitted.turns, fitted.smoothing, zone)
        expected = turn_costs(graph, grid, path.turns, SETTINGS, zone)
        np.testing.assert_allclose(features @ np.array(fitted.estimate.weights), expected)


def test_routes_are_drawn_by_their_chances(grid, fitted):
    """The most frequent routes of one request, against exp(-cost) / z of the theory."""
    origin, destination, draws = 0, 30, 4000
    asked = Requests(
        origin=np.full(draws, origin),
        destination=np.full(draws, destination),
        depart=np.zeros(draws, dtype="datetime64[s]"),
        request_id=np.array([str(i) for i in range(draws)], dtype=object),
    )
    drawn = fitted.sample(asked, seed=5)
    graph = TurnGraph.of(grid)
    zone = int(fitted.turns.zone_of[destination])
    cost = turn_costs(graph, grid, fitted.turns, SETTINGS, zone)
    log_z = np.log(ValueFunction(graph, cost).values(destination)[origin])
    seen = Counter(tuple(drawn.segments_of(row).tolist()) for row in range(draws)).most_common(6)
    routes = [np.array(route) for route, _ in seen]
    expected = [draws * np.exp(-cost[graph.find(route[:-1], route[1:])].sum() - log_z) for route in routes]
    observed = [count for _, count in seen]
    rest = [draws - sum(observed)], [draws - sum(expected)]
    assert chisquare(observed + rest[0], expected + rest[1]).pvalue > 0.01


def test_every_trip_arrives_even_where_streets_are_closed(grid, make_walks, fitted):
    """Wherever there is a way at all; where there is none, that is said."""
    shut = np.array([12, 13, 50, 51])
    around = grid.without(shut)
    graph = TurnGraph.of(around)
    asked = Requests.from_trips(make_walks(grid, 200, 4))
    ends = list(zip(asked.origin.tolist(), asked.destination.tolist(), strict=True))
    reachable = np.array([len(graph.cheapest_route(np.ones(len(graph)), a, b)) > 0 for a, b in ends])
    is_open = ~np.isin(asked.origin, shut) & ~np.isin(asked.destination, shut)
    possible = asked.take(np.flatnonzero(reachable & is_open))
    drawn = fitted.on(around).sample(possible, seed=1)
    np.testing.assert_array_equal(drawn.destination, possible.destination)
    assert not np.isin(drawn.segment, shut).any()
    impossible = asked.take(np.flatnonzero(~reachable & is_open)[:1])
    said = f"from segment {1000 + impossible.origin[0]} to segment {1000 + impossible.destination[0]}"
    with pytest.raises(RequestError, match=said):
        fitted.on(around).sample(impossible)


def test_another_seed_another_route(grid, make_walks, fitted):
    asked = Requests.from_trips(make_walks(grid, 50, 6))
    first, again, other = (fitted.sample(asked, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.segment, again.segment)
    assert not np.array_equal(first.segment, other.segment)


def test_likely_weights_are_estimated_on_request(grid, make_walks):
    likely = RecursiveLogit.fit(grid, make_walks(grid, 500, 0), settings=SETTINGS, weights="likelihood")
    assert likely.estimate.standard_error is not None
    assert likely.estimate.trips > 10
    with pytest.raises(ValueError, match="'zone-path' or 'likelihood'"):
        RecursiveLogit.fit(grid, make_walks(grid, 50, 0), settings=SETTINGS, weights="best")


def test_costs_too_low_for_a_value_are_raised_and_it_is_said(grid):
    graph = TurnGraph.of(grid)
    with pytest.warns(RuntimeWarning, match="raised by"):
        function = raised_until_finite(graph, np.full(len(graph), 0.9))
    assert (function.values(3) > 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = raised_until_finite(graph, np.full(len(graph), 2.0))
    np.testing.assert_array_equal(same.weight, np.exp(-2.0))


def test_a_trip_to_where_it_starts_is_one_segment(grid, fitted):
    asked = Requests.from_trips(Trips.from_lists([[7]]))
    assert fitted.sample(asked).segments_of(0).tolist() == [7]
