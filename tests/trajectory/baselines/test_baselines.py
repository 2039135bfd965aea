"""Baselines against what theory says of them, on networks small enough to list every route."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import shapely

from suffuse.trajectory.baselines import BASELINES, load_baseline
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.value_function import NoValueError, ValueFunction
from suffuse.trajectory.demand.draw_requests import draw_requests
from suffuse.trajectory.errors import ModelError, RequestError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def network_of(links: list[tuple[int, int]], lonlat: np.ndarray) -> RoadNetwork:
    from_node, to_node = np.array(links).T
    length = np.hypot(*(lonlat[to_node] - lonlat[from_node]).T) * 111_000
    return RoadNetwork(
        name="small",
        segment_ids=np.arange(len(links)),
        from_node=from_node,
        to_node=to_node,
        node_ids=np.arange(len(lonlat)),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[from_node], lonlat[to_node]], axis=1)),
        length_m=length,
        highway=np.full(len(links), "residential", dtype=object),
        speed_kmh=np.full(len(links), 36.0),
        lanes=np.ones(len(links)),
    )


@pytest.fixture(scope="module")
def ladder() -> RoadNetwork:
    """One-way streets east and north on 4 x 3 crossings: no circles, so every route can be listed."""
    nodes = np.array([(x, y) for y in range(3) for x in range(4)])
    links = [(a, b) for a in range(12) for b in range(12) if (nodes[b] - nodes[a]).tolist() in ([1, 0], [0, 1])]
    return network_of(links, np.array([-71.25, -29.9]) + nodes * 0.001 * np.array([1.3, 1.0]))


@pytest.fixture(scope="module")
def grid() -> RoadNetwork:
    """Two-way streets on 7 x 7 crossings of uneven size."""
    nodes = np.array([(x, y) for y in range(7) for x in range(7)])
    links = [(a, b) for a in range(49) for b in range(49) if np.abs(nodes[a] - nodes[b]).sum() == 1]
    return network_of(links, np.array([-71.25, -29.9]) + (nodes + 0.1 * np.sin(nodes)) * 0.003)


def routes_between(network: RoadNetwork, origin: int, destination: int) -> list[list[int]]:
    graph = nx.DiGraph(list(zip(*network.successors.nonzero(), strict=True)))
    return [[int(s) for s in path] for path in nx.all_simple_paths(graph, origin, destination)]


def test_recursive_logit_is_a_multinomial_logit_over_all_routes(ladder):
    """Fosgerau, Frejinger and Karlstrom (2013): link by link choices give P(route) = exp(-cost) / sum of exp(-cost)."""
    graph = TurnGraph.of(ladder)
    cost = np.random.default_rng(0).uniform(0.2, 1.5, len(graph))
    destination = len(ladder) - 1
    function = ValueFunction(graph, cost)
    weights = function.choice_weights(destination)
    compared = 0
    for origin in range(4):
        routes = routes_between(ladder, origin, destination)
        if len(routes) < 3:
            continue
        turns = [graph.find(np.array(route[:-1]), np.array(route[1:])) for route in routes]
        utility = np.array([-cost[turn].sum() for turn in turns])
        assert np.log(function.values(destination)[origin]) == pytest.approx(np.log(np.exp(utility).sum()))
        for route, turn, u in zip(routes, turns, utility, strict=True):
            chance = 1.0
            for (before, _), taken in zip(pairwise(route), turn, strict=True):
                chance *= weights[taken] / weights[graph.start[before] : graph.start[before + 1]].sum()
            assert chance == pytest.approx(np.exp(u) / np.exp(utility).sum())
            compared += 1
    assert compared > 5


def test_no_value_function_where_circles_pay(grid):
    graph = TurnGraph.of(grid)
    with pytest.raises(NoValueError):
        ValueFunction(graph, np.full(len(graph), 0.01))


@pytest.fixture(scope="module")
def trips(grid) -> Trips:
    """Trips of the shortest path by length, which every fitted baseline can learn from."""
    return BASELINES["dijkstra"].without_trips(grid).sample(draw_requests(grid, 300, seed=1))


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_answers_every_request_legally_and_comes_back_from_disk(grid, trips, name, tmp_path):
    requests = draw_requests(grid, 40, seed=2)
    fitted = BASELINES[name].fit(grid, trips)
    drawn = fitted.sample(requests, seed=3)
    legal = {(int(a), int(b)) for a, b in zip(*grid.successors.nonzero(), strict=True)}
    for row in range(len(drawn)):
        assert all(pair in legal for pair in pairwise(drawn.segments_of(row).tolist()))
    np.testing.assert_array_equal(drawn.origin, requests.origin)
    if name != "markov":  # a Markov walk may lose its way
        np.testing.assert_array_equal(drawn.destination, requests.destination)
    rest = fitted.sample(requests.take(np.arange(15, 40)), seed=3, first=15)
    np.testing.assert_array_equal(rest.segment, drawn.take(np.arange(15, 40)).segment)

    fitted.save(tmp_path / "fitted")
    again = load_baseline(tmp_path / "fitted", grid).sample(requests, seed=3)
    np.testing.assert_array_equal(again.segment, drawn.segment)
    np.testing.assert_array_equal(again.enter_s, drawn.enter_s)


def test_dijkstra_is_the_shortest_route(grid):
    requests = draw_requests(grid, 30, seed=5)
    drawn = BASELINES["dijkstra"].without_trips(grid).sample(requests)
    graph = nx.DiGraph()
    for a, b in zip(*grid.successors.nonzero(), strict=True):
        graph.add_edge(int(a), int(b), weight=float(grid.length_m[b]))
    for row in range(len(drawn)):
        route = drawn.segments_of(row)
        least = nx.dijkstra_path_length(graph, int(requests.origin[row]), int(requests.destination[row]))
        assert grid.length_m[route[1:]].sum() == pytest.approx(least)


def test_closed_segments_are_avoided_or_named(grid):
    requests = draw_requests(grid, 1, seed=7)
    free = BASELINES["dijkstra"].without_trips(grid)
    route = free.sample(requests).segments_of(0)
    around = free.on(grid.without(route[1:2])).sample(requests).segments_of(0)
    assert route[1] not in around
    shut = Requests(
        origin=route[1:2], destination=requests.destination, depart=requests.depart, request_id=requests.request_id
    )
    with pytest.raises(RequestError, match="closed"):
        free.on(grid.without(route[1:2])).sample(shut)


def test_a_damaged_baseline_is_named(grid, trips, tmp_path):
    BASELINES["markov"].fit(grid, trips).save(tmp_path)
    tensors = tmp_path / "baseline.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:50])
    with pytest.raises(ModelError, match="safetensors"):
        load_baseline(tmp_path, grid)
