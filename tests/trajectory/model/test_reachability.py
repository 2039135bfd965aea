"""Hops and costs to go against networkx."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.trajectory.roads.costs import FAR, REACH, SLACK, UNKNOWN, NodeSearch, cost_to_nodes
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.reachability import UNREACHABLE, hops_to, hops_within

NODES = 8


@pytest.fixture(scope="module")
def build(make_network):
    places = np.random.default_rng(8).uniform(0, 1000, (NODES, 2))
    return lambda links: make_network(links, places)


networks = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)).filter(lambda link: link[0] != link[1]),
    min_size=2,
    max_size=20,
    unique=True,
)


def segment_graph(network: RoadNetwork) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(network)))
    pattern = network.successors.tocoo()
    graph.add_edges_from(zip(pattern.row.tolist(), pattern.col.tolist(), strict=True))
    return graph


@settings(max_examples=80, deadline=None)
@given(links=networks, data=st.data())
def test_hops_are_the_fewest_transitions(build, links, data):
    network = build(links)
    closed = data.draw(st.lists(st.integers(0, len(network) - 1), max_size=3))
    network = network.without(np.array(closed, dtype=np.int64))
    destinations = np.array(data.draw(st.lists(st.integers(0, len(network) - 1), min_size=1, max_size=4)))
    found = hops_to(network, destinations)
    backwards = segment_graph(network).reverse()
    for row, destination in enumerate(destinations.tolist()):
        known = nx.single_source_shortest_path_length(backwards, destination)
        assert found[row].tolist() == [known.get(segment, UNREACHABLE) for segment in range(len(network))]


@settings(max_examples=80, deadline=None)
@given(links=networks, data=st.data())
def test_costs_are_those_of_the_cheapest_way_between_nodes(build, links, data):
    network = build(links)
    closed = set(data.draw(st.lists(st.integers(0, len(network) - 1), max_size=3)))
    network = network.without(np.array(sorted(closed), dtype=np.int64))
    cost = np.array(data.draw(st.lists(st.floats(0.01, 100), min_size=len(network), max_size=len(network))))
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(NODES))
    for segment, (u, v) in enumerate(links):
        if segment not in closed:
            graph.add_edge(v, u, weight=cost[segment])
    goals = np.array(data.draw(st.lists(st.integers(0, NODES - 1), min_size=1, max_size=3)))
    found = cost_to_nodes(network, cost, goals)
    for row, goal in enumerate(goals.tolist()):
        known = nx.single_source_dijkstra_path_length(graph, goal)
        np.testing.assert_allclose(found[row], [known.get(node, FAR) for node in range(NODES)], rtol=1e-6)


def test_of_two_parallel_streets_the_cheaper_counts(make_network):
    network = make_network([(0, 1), (0, 1), (1, 0)], np.array([[0.0, 0.0], [100.0, 0.0]]))
    assert cost_to_nodes(network, np.array([5.0, 2.0, 1.0]), np.array([1])).tolist() == [[2.0, 0.0]]


@settings(max_examples=80, deadline=None)
@given(links=networks, data=st.data())
def test_a_search_that_stops_knows_all_it_has_come_to(build, links, data):
    network = build(links)
    ends = st.lists(st.integers(0, NODES - 1), min_size=3, max_size=3)
    cost = np.array(data.draw(st.lists(st.floats(0.01, 100), min_size=len(network), max_size=len(network))))
    goals, origins = np.array(data.draw(ends)), np.array(data.draw(ends))
    whole = cost_to_nodes(network, cost, goals)
    found = np.empty_like(whole)
    NodeSearch.of(network).about(cost, goals, origins, found)
    known = found != UNKNOWN
    np.testing.assert_array_equal(found[known], whole[known])
    limit = REACH * whole[np.arange(3), origins] + SLACK * cost.mean()
    assert known[whole <= limit[:, None] * (1 - 1e-6)].all()
    assert not known[(whole > limit[:, None] * (1 + 1e-6)) & (whole < FAR)].any()


@settings(max_examples=80, deadline=None)
@given(links=networks, data=st.data())
def test_hops_within_a_bound_are_all_hops_up_to_it(build, links, data):
    network = build(links)
    ends = st.lists(st.integers(0, len(network) - 1), min_size=3, max_size=3)
    origins, destinations = np.array(data.draw(ends)), np.array(data.draw(ends))
    slack = data.draw(st.integers(0, 3))
    whole = hops_to(network, destinations)
    least = whole[np.arange(3), origins]
    found, limit = hops_within(network, origins, destinations, detour=1.5, slack=slack)
    np.testing.assert_array_equal(limit, np.ceil(1.5 * least) + slack)
    np.testing.assert_array_equal(found, np.where(whole <= limit[:, None], whole, UNREACHABLE))


def test_costs_of_many_destinations_do_not_depend_on_how_many(make_grid):
    network = make_grid(18)
    goals = np.arange(300)
    found = cost_to_nodes(network, network.length_m, goals)
    np.testing.assert_array_equal(found[299:], cost_to_nodes(network, network.length_m, goals[299:]))
    np.testing.assert_array_equal(found[:3], cost_to_nodes(network, network.length_m, goals[:3]))
