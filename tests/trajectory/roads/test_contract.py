"""Parts, connected parts and contraction, against networkx on random small networks."""

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.assemble import assemble
from suffuse.trajectory.roads.contract import clean, connected_part, contract, part_of
from suffuse.trajectory.roads.network import RoadNetwork


@st.composite
def streets(draw: st.DrawFn) -> dict[str, Any]:
    """What `assemble` takes: up to 14 nodes and 46 segments, mostly streets in a row, some parallel or loops."""
    nodes = draw(st.integers(2, 14))
    node = st.integers(0, nodes - 1)
    drawn = draw(st.lists(st.tuples(node, node, st.booleans()), max_size=10))
    drawn += [(u, u + 1, draw(st.booleans())) for u in range(nodes - 1)]
    links = [(u, v) for u, v, _ in drawn] + [(v, u) for u, v, two_way in drawn if two_way]
    count = len(links)
    return dict(
        source="random",
        name="random",
        tail=np.array([u for u, _ in links]),
        head=np.array([v for _, v in links]),
        node_ids=np.arange(nodes),
        node_lonlat=np.array([(0.001 * (n % 4), 0.001 * (n // 4)) for n in range(nodes)]),
        lines=np.full(count, None, dtype=object),
        segment_ids=np.array(draw(st.permutations(range(100, 100 + count)))),
        length_m=np.array(draw(st.lists(st.floats(1, 500), min_size=count, max_size=count))),
        speed_kmh=np.array(draw(st.lists(st.floats(5, 100), min_size=count, max_size=count))),
        lanes=np.array(draw(st.lists(st.integers(1, 3), min_size=count, max_size=count)), dtype=float),
        highway=np.array(draw(st.lists(st.sampled_from(["primary", "service"]), min_size=count, max_size=count))),
        source_ids=np.array([f"w{row}" for row in range(count)], dtype=object),
    )


def graph_of(network: RoadNetwork, weight: np.ndarray) -> nx.MultiDiGraph:
    """Nodes by id, edges with `weight`."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(network.node_ids.tolist())
    for u, v, value in zip(network.from_node, network.to_node, weight.tolist(), strict=True):
        graph.add_edge(int(network.node_ids[u]), int(network.node_ids[v]), weight=value)
    return graph


@given(streets())
@settings(max_examples=50, deadline=None)
def test_the_connected_part_is_the_strong_component_with_the_most_segments(columns: dict[str, Any]) -> None:
    network = assemble(**columns)
    graph = graph_of(network, network.length_m)
    sizes = [graph.subgraph(part).number_of_edges() for part in nx.strongly_connected_components(graph)]
    if max(sizes) == 0:
        with pytest.raises(RoadNetworkError, match="no place from which a trip could come back"):
            connected_part(network)
        return
    part = connected_part(network)
    assert len(part) == max(sizes)
    assert nx.is_strongly_connected(graph_of(part, part.length_m))
    assert connected_part(part) is part
    row = [network.index_of[int(name)] for name in part.segment_ids]
    assert np.array_equal(part.length_m, network.length_m[row])
    assert np.array_equal(part.node_ids[part.from_node], network.node_ids[network.from_node[row]])
    assert np.array_equal(part.node_lonlat[part.to_node], network.node_lonlat[network.to_node[row]])


@given(streets())
@settings(max_examples=50, deadline=None)
def test_contraction_keeps_lengths_times_and_all_shortest_ways(columns: dict[str, Any]) -> None:
    network = assemble(**columns)
    joined = contract(network)
    assert joined.length_m.sum() == pytest.approx(network.length_m.sum())
    assert joined.free_flow_s.sum() == pytest.approx(network.free_flow_s.sum(), rel=1e-5)
    assert (joined.lanes * joined.length_m).sum() == pytest.approx((network.lanes * network.length_m).sum())
    assert shapely.length(joined.geometry).sum() == pytest.approx(shapely.length(network.geometry).sum())
    assert set(joined.segment_ids) <= set(network.segment_ids)
    assert sorted(" ".join(joined.source_ids).split()) == sorted(network.source_ids)
    before, after = graph_of(network, network.length_m), graph_of(joined, joined.length_m)
    ways = dict(nx.all_pairs_dijkstra_path_length(before))
    for node, reached in nx.all_pairs_dijkstra_path_length(after):
        assert reached == pytest.approx({other: ways[node][other] for other in ways[node] if other in after})
    ends = shapely.get_coordinates(shapely.get_point(joined.geometry, 0))
    assert np.array_equal(ends, joined.node_lonlat[joined.from_node])
    assert np.array_equal(contract(joined).segment_ids, joined.segment_ids)


@given(streets())
@settings(max_examples=50, deadline=None)
def test_contraction_makes_no_loop_and_no_parallel_segment(columns: dict[str, Any]) -> None:
    network = assemble(**columns)
    joined = contract(network)
    before = graph_of(network, network.length_m)
    for u, v in set(graph_of(joined, joined.length_m).edges()):
        assert graph_of(joined, joined.length_m).number_of_edges(u, v) <= max(1, before.number_of_edges(u, v))
        assert u != v or before.has_edge(u, v)


def test_a_two_way_street_loses_the_nodes_inside_it(make_network: Callable[..., RoadNetwork]) -> None:
    streets = [(0, 1), (1, 2), (2, 5)]
    network = make_network(
        [*streets, *((v, u) for u, v in streets)],
        length_m=np.array([100.0, 50.0, 50.0, 100.0, 50.0, 50.0]),
        speed_kmh=np.array([36.0, 18.0, 18.0, 36.0, 18.0, 18.0]),
        lanes=np.array([3.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        source_ids=np.array(["a", "b", "b", "a", "b", "b"], dtype=object),
    )
    joined = contract(network)
    assert joined.segment_ids.tolist() == [0, 5]
    assert joined.node_ids.tolist() == [0, 5]
    assert joined.length_m.tolist() == [200, 200]
    assert joined.free_flow_s.tolist() == [30, 30]
    assert joined.lanes.tolist() == [2, 1]
    assert joined.source_ids.tolist() == ["a b", "b a"]
    assert shapely.get_num_points(joined.geometry).tolist() == [4, 4]
    assert joined.geometry[0].equals(joined.geometry[1].reverse())


@pytest.mark.parametrize(
    ("links", "highway"),
    [
        ([(0, 1), (1, 2)], ["primary", "secondary"]),  # the class changes
        ([(0, 1), (1, 2), (2, 1)], ["primary"] * 3),  # one-way on one side only
        ([(0, 1), (1, 0)], ["primary"] * 2),  # a dead end on both sides
        ([(0, 1), (1, 2), (0, 2), (2, 0)], ["primary"] * 4),  # would lie beside 0 - 2
        ([(0, 1), (1, 2), (4, 1)], ["primary"] * 3),  # a junction
    ],
)
def test_nodes_where_something_changes_stay(
    make_network: Callable[..., RoadNetwork], links: list[tuple[int, int]], highway: list[str]
) -> None:
    assert len(contract(make_network(links, highway=highway))) == len(links)


def test_a_ring_keeps_two_nodes(make_network: Callable[..., RoadNetwork]) -> None:
    ring = make_network([(0, 1), (1, 2), (2, 5), (5, 0)])
    assert len(contract(ring)) == 2


def test_closures_follow_their_segments(make_network: Callable[..., RoadNetwork]) -> None:
    network = make_network([(0, 1), (1, 2), (2, 0), (3, 4)]).without(np.array([1]))
    assert part_of(network, np.array([False, True, True, True])).closed == {0}
    assert contract(network).closed == {0}
    assert clean(network, join=False).closed == {1}
