"""Walkers and cyclists in the simulator: what they like, what they cross, how far and how fast they go."""

import numpy as np
import pytest

from suffuse.trajectory.demand import DemandConfig, simulate, simulate_requests, usual_config
from suffuse.trajectory.demand.corpus import _digest
from suffuse.trajectory.demand.manners import CYCLISTS, MANNERS, WALKERS, dislike
from suffuse.trajectory.demand.route_choice import cheapest_route, line_graph
from suffuse.trajectory.roads.modes import RIDE_KMH, WALK_KMH, for_mode


def kilometres(network, trips):
    return np.add.reduceat(network.length_m[trips.segment], trips.start[:-1]) / 1000


@pytest.fixture(scope="module")
def town(make_square):
    return make_square(side=30, step_m=100.0)


@pytest.mark.parametrize(("mode", "least", "most", "kmh"), [("walk", 0.6, 1.3, WALK_KMH), ("bike", 1.5, 3.5, RIDE_KMH)])
def test_how_far_and_how_fast(town, mode, least, most, kmh):
    network = for_mode(town, mode)
    trips = simulate(network, usual_config(mode), 200, seed=0)
    far = kilometres(network, trips)
    assert least < np.median(far) < most
    pace = far / trips.duration_s * 3600
    assert 0.75 * kmh < np.median(pace) < 1.05 * kmh  # crossings take some time
    assert 0.1 < np.log(pace).std() < 0.3  # people differ


def test_walkers_are_not_held_up_by_traffic(town):
    """The same trips by night take as long as at eight."""
    network = for_mode(town, "walk")
    one, two = (simulate_at(network, hour) for hour in ("03:00", "08:00"))
    np.testing.assert_array_equal(one.duration_s, two.duration_s)
    np.testing.assert_array_equal(one.segment, two.segment)


def simulate_at(network, clock):
    ends = np.arange(20) * 40, np.arange(20) * 40 + 900
    depart = np.full(20, np.datetime64(f"2024-03-04T{clock}:00", "s"))
    return simulate_requests(network, usual_config("walk"), *ends, depart, seed=1)


def test_what_streets_are_worth_is_what_the_table_says(make_square):
    """Shares relative to each other stay, although the best class has none to lose."""
    network = for_mode(make_square(side=4), "bike")
    network.highway[:3] = ["cycleway", "primary", "residential"]
    seems = 1 + dislike(network)[:3]
    np.testing.assert_allclose(seems / seems[2], [1 - 0.16, 1 + 1.40, 1.0])
    assert dislike(network).min() == 0
    assert all(share > -1 for manners in MANNERS.values() for share in manners.longer.values())


def test_turns_and_crossings_cost_what_the_table_says(make_square):
    """Round the block or over the main road: a walker of median taste, metre by metre."""
    network = for_mode(make_square(side=8), "walk")
    graph = line_graph(network, usual_config("walk").turn_s, "right")
    pattern = network.successors.tocoo()
    main = network.highway == "primary"
    enter, leave = network.bearings
    turns = np.abs((enter[pattern.col] - leave[pattern.row] + np.pi) % (2 * np.pi) - np.pi) > 0.5
    at_main = np.isin(network.to_node[pattern.row], network.from_node[main])
    over = at_main & ~main[pattern.row] & ~main[pattern.col]
    metres = WALKERS.turn_m * turns + WALKERS.crossing_m["primary"] * over
    np.testing.assert_allclose(graph.seems_s, metres / WALK_KMH * 3.6)
    np.testing.assert_allclose(graph.turn_s, WALKERS.crossing_s["primary"] * over)


def test_cyclists_go_round_by_the_cycleway(make_square):
    """200 m and two turns more by the cycleway, instead of 1 km of a primary road; not of a residential street."""
    network = for_mode(make_square(side=11, step_m=100.0), "bike")
    places = network.node_metres
    row = np.rint((places[:, 1] - places[:, 1].min()) / 100)
    along = (row[network.from_node] == row[network.to_node]) & (row[network.from_node] == 0)
    beside = (row[network.from_node] == row[network.to_node]) & (row[network.from_node] == 1)
    network.highway[:] = "residential"
    network.highway[beside] = "cycleway"
    west = int(np.flatnonzero(along & (network.from_node == 0))[0])
    east = int(np.flatnonzero(along & (network.to_node == network.to_node[along].max()))[-1])
    shares = {}
    for kind in ("residential", "primary"):
        network.highway[along] = kind
        graph = line_graph(network, usual_config("bike").turn_s, "right")
        cost = network.length_m / RIDE_KMH * 3.6 * (1 + dislike(network))
        route = cheapest_route(graph, cost, west, east)
        shares[kind] = float(network.length_m[route][beside[route]].sum())
    assert shares["residential"] == 0
    assert shares["primary"] > 500
    assert CYCLISTS.longer["primary"] == 1.40


def test_trips_of_other_modes_are_kept_apart_from_those_of_drivers(town, make_square):
    """The hash of drivers' worlds is what it was before there were modes: their trips are still found."""
    network = for_mode(town, "bike")
    alike = for_mode(town, "bike")
    object.__setattr__(alike, "mode", "drive")
    assert _digest(network, DemandConfig()) != _digest(alike, DemandConfig())
    assert _digest(make_square(), DemandConfig()) == DIGEST_OF_DRIVERS


DIGEST_OF_DRIVERS = "bfbf44f65e422d761f55"
