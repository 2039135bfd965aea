"""Votes of draws beside the costs of a recursive logit, and the times of a route that nobody drew."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from suffuse.trajectory.baselines import ZonePath
from suffuse.trajectory.best_guess import answered, medoids
from suffuse.trajectory.consensus import VOTE, consensus_routes, votes
from suffuse.trajectory.model.canvas import Encoded
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import GenerationConfig, Sharpness, generate_trips, time_routes
from suffuse.trajectory.model.pretrained import TripGenerator
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.trips.table import Trips


@pytest.fixture(scope="module")
def generator(model, network, trips, logit, tmp_path_factory):
    return TripGenerator(
        model=model, city=CityFeatures(network, count_usage(network, trips)), directory=tmp_path_factory.mktemp("m"),
        facts={}, own=Sharpness(temperature=1.5, spread=0.5, route_choice=1.0), logit=logit,
    )  # fmt: skip


def test_a_draw_has_one_vote_for_a_street_however_often_it_takes_it():
    draws = [Trips.from_lists([[0, 1, 0, 1, 2]]), Trips.from_lists([[0, 3, 2]])]
    assert votes(draws, 0, 5).tolist() == [1.0, 0.5, 1.0, 0.5, 0.0]


def test_votes_for_the_zone_path_leave_the_zone_path(network, trips, logit, requests_on):
    asked = requests_on(network, 20, 3)
    path = ZonePath.fit(network, trips).sample(asked)
    found = consensus_routes(logit, asked, [path])
    for row, route in enumerate(found):
        np.testing.assert_array_equal(route, path.segments_of(row))


def test_the_consensus_is_the_cheapest_of_all_short_ways(network, logit, requests_on):
    asked = requests_on(network, 12, 5)
    draws = [logit.sample(asked, seed=seed) for seed in range(4)]
    found = consensus_routes(logit, asked, draws)
    follow = network.successors
    for row, route in enumerate(found):
        doubt = VOTE * network.length_m / 1000 * (1 - votes(draws, row, len(network)))
        cost = logit.cost(int(logit.turns.zone_of[asked.destination[row]]))

        def price(way, cost=cost, doubt=doubt):
            turns = logit.graph.find(np.array(way[:-1]), np.array(way[1:]))
            return float((cost[turns] + doubt[way[1:]]).sum())

        best = price(route.tolist())
        ways = [[int(asked.origin[row])]]
        for _ in range(5):
            ways = [
                [*way, int(after)]
                for way in ways
                for after in follow.indices[follow.indptr[way[-1]] : follow.indptr[way[-1] + 1]]
            ]
            assert all(price(way) >= best - 1e-9 for way in ways if way[-1] == asked.destination[row])
        for here, after in pairwise(route.tolist()):
            assert after in follow.indices[follow.indptr[here] : follow.indptr[here + 1]]


def test_routes_are_timed_as_the_trips_that_took_them(model, network, trips, requests_on, assert_same):
    """With `normal` 0 a drawn trip has the same times: those of a canvas that was filled at once."""
    city = CityFeatures(network, count_usage(network, trips))
    asked = requests_on(network, 40, 6)
    drawn = generate_trips(model, city, asked, GenerationConfig(seed=2))
    routes = [drawn.segments_of(row) for row in range(len(drawn))]
    encoded = Encoded.of(model, city)
    timed = time_routes(encoded, asked, routes, GenerationConfig())
    np.testing.assert_array_equal(timed.segment, drawn.segment)
    alone = time_routes(encoded, asked.take(np.array([9])), [routes[9]], GenerationConfig())
    assert_same(alone, timed.take(np.array([9])))
    still = encoded.model.travel_time
    model.travel_time = lambda hidden: (still(hidden)[0], still(hidden)[1] * 0)  # no spread: only medians are left
    try:
        median = generate_trips(model, city, asked, GenerationConfig(seed=2))
    finally:
        del model.travel_time
    np.testing.assert_array_equal(median.segment, drawn.segment)
    np.testing.assert_allclose(timed.duration_s, median.duration_s, atol=1.0)


def test_a_guess_is_a_consensus_where_a_recursive_logit_has_a_say(generator, requests_on, network, assert_same):
    asked = requests_on(network, 30, 7)
    guess = answered(generator, asked, GenerationConfig(seed=4), best_of=3)
    draws = [generator.sample(asked, seed=4, config=GenerationConfig(spread=0.0), draw=draw) for draw in range(3)]
    silent = answered(generator, asked, GenerationConfig(seed=4, route_choice=0.0), best_of=3)
    plain = replace(generator, logit=None, own=Sharpness(temperature=1.5))
    assert_same(silent, answered(plain, asked, GenerationConfig(seed=4), best_of=3))
    other = medoids(network, draws)
    assert len(guess.segment) != len(other.segment) or (guess.segment != other.segment).any()
    np.testing.assert_array_equal(guess.origin, asked.origin)
    np.testing.assert_array_equal(guess.destination, asked.destination)
    part = np.arange(11, 17)
    assert_same(answered(generator, asked.take(part), GenerationConfig(seed=4), best_of=3, first=11), guess.take(part))
    closed = generator.on(network.without(np.array([3])))
    away = asked.take(np.flatnonzero((asked.origin != 3) & (asked.destination != 3)))
    assert 3 not in answered(closed, away, GenerationConfig(seed=4), best_of=2).segment
