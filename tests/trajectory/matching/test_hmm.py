"""The matcher's parts against plain searches, and the whole against enumeration and against another implementation."""

from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest
import shapely

from suffuse.trajectory.demand import DemandConfig, simulate
from suffuse.trajectory.matching import MatchConfig, match
from suffuse.trajectory.matching.candidates import candidates_of
from suffuse.trajectory.matching.hmm import Matcher
from suffuse.trajectory.matching.turns import legal_way, turns_back
from suffuse.trajectory.matching.viterbi import likeliest, step_metres
from suffuse.trajectory.matching.way import spaced
from suffuse.trajectory.matching.ways import Ways, between
from suffuse.trajectory.roads.cities import load_city

REACH_M = 900.0


@pytest.fixture(scope="module")
def matcher(town):
    return Matcher(town, MatchConfig(), REACH_M)


@pytest.fixture(scope="module")
def roads(matcher):
    """Nodes of the matcher's graph, joined by its chains."""
    graph = nx.DiGraph()
    for chain, (u, v) in enumerate(zip(matcher.graph.tail.tolist(), matcher.graph.head.tolist(), strict=True)):
        graph.add_edge(u, v, metres=float(matcher.graph.length[chain]))
    return graph


@pytest.fixture(scope="module")
def turns(matcher):
    """Chains joined where one may follow another; going on costs the length of the next."""
    graph = nx.DiGraph()
    for a, node in enumerate(matcher.graph.head.tolist()):
        for b in np.flatnonzero(matcher.graph.tail == node).tolist():
            if b != matcher.graph.barred[a]:
                graph.add_edge(a, b, metres=float(matcher.graph.length[b]))
    return graph


@pytest.fixture(scope="module")
def table(matcher):
    return Ways(matcher.graph, REACH_M).from_nodes(np.arange(len(matcher.graph.place)))


def test_chains_have_all_segments_once_and_the_corners_of_a_street_are_passed(town, matcher):
    graph = matcher.graph
    assert sorted(graph.member.tolist()) == list(range(len(town)))
    assert len(graph.tail) == len(town) - 8  # two directions at each of four corners
    assert graph.length.sum() == pytest.approx(matcher.length_m.sum())
    for chain in range(len(graph.tail)):
        for a, b in pairwise(graph.member[graph.member_start[chain] : graph.member_start[chain + 1]].tolist()):
            assert town.to_node[a] == town.from_node[b]


def test_only_u_turns_are_barred_and_just_those_that_may_not_follow(town, matcher):
    graph = matcher.graph
    for a in range(len(graph.tail)):
        last = graph.member[graph.member_start[a + 1] - 1]
        for b in np.flatnonzero(graph.tail == graph.head[a]).tolist():
            legal = graph.member[graph.member_start[b]] in town.successors[[last]].indices
            assert legal == (graph.barred[a] != b)


def test_candidates_are_the_nearest_chains_with_the_place_nearest_to_the_fix(town, matcher):
    graph = matcher.graph
    low, high = graph.place.min(axis=0) - 80, graph.place.max(axis=0) + 80
    xy = np.random.default_rng(0).uniform(low, high, (300, 2))
    found = candidates_of(graph, xy, 60.0, 3)
    lines = [shapely.LineString(graph.corner[graph.owner == chain]) for chain in range(len(graph.tail))]
    for fix, point in enumerate(shapely.points(xy)):
        rows = slice(found.start[fix], found.start[fix + 1])
        distance = shapely.distance(lines, point)
        np.testing.assert_allclose(found.off[rows], np.sort(distance[distance <= 60.0])[:3], atol=1e-6)
        for chain, offset, off in zip(found.chain[rows], found.offset[rows], found.off[rows], strict=True):
            assert distance[chain] == pytest.approx(off, abs=1e-6)
            assert shapely.line_interpolate_point(lines[chain], offset).distance(point) == pytest.approx(off, abs=1e-6)
    assert np.array_equal(matcher.near_road(xy), [shapely.distance(lines, p).min() <= 60 for p in shapely.points(xy)])


def test_the_table_has_all_ways_within_reach_and_no_other(roads, table):
    for source in (0, 7, 42):
        exact = nx.single_source_dijkstra_path_length(roads, source, cutoff=REACH_M, weight="metres")
        for target in roads:
            assert between(table, source, target) == pytest.approx(exact.get(target, np.inf), rel=1e-6)


def test_a_table_that_is_full_is_begun_anew(matcher, monkeypatch):
    ways = Ways(matcher.graph, REACH_M)
    ways.from_nodes(np.array([3, 4]))
    monkeypatch.setattr("suffuse.trajectory.matching.ways.MOST", 1)
    table = ways.from_nodes(np.array([5]))
    assert table.start[3] < 0
    assert between(table, 5, 5) == 0.0


def test_legal_ways_are_the_shortest_that_obey(matcher, turns, table):
    graph = matcher.graph
    barred = 0
    for a, b in np.random.default_rng(1).integers(len(graph.tail), size=(150, 2)).tolist():
        if a == b:
            continue
        way, metres = legal_way(graph, a, b, np.inf)
        exact = nx.dijkstra_path_length(turns, a, b, weight="metres") - graph.length[b]
        assert metres == pytest.approx(exact)
        driven = [a, *way[::-1].tolist(), b]
        assert all(turns.has_edge(*pair) for pair in pairwise(driven))
        shortest = between(table, graph.head[a], graph.tail[b])
        if shortest < np.inf:
            assert turns_back(graph, table, a, b) == (shortest < metres - 1e-3)
            barred += turns_back(graph, table, a, b)
    assert barred > 5
    assert legal_way(graph, a, b, metres / 2)[1] == np.inf


@pytest.mark.parametrize("obey", [False, True])
def test_the_likeliest_way_is_the_best_of_all(matcher, table, obey):
    graph, generator = matcher.graph, np.random.default_rng(2)
    for _ in range(6):
        xy = graph.place[44] + np.cumsum(generator.normal(0, 70, (4, 2)), axis=0)
        found = candidates_of(graph, xy, 60.0, 4)
        if (np.diff(found.start) == 0).any():
            continue
        chosen, begins, score = likeliest(graph, table, np.array([0, 4]), xy, *found, 15.0, 20.0, obey, REACH_M)
        best = -np.inf
        for way in product(*(range(a, b) for a, b in pairwise(found.start.tolist()))):
            value = -0.5 * ((found.off[list(way)] / 15.0) ** 2).sum()
            for fix, (a, b) in enumerate(pairwise(way)):
                metres = step_metres(
                    graph, table, found.chain[a], found.offset[a], found.chain[b], found.offset[b], 20.0, obey,
                    np.inf, REACH_M,
                )  # fmt: skip
                straight = max(np.hypot(*(xy[fix + 1] - xy[fix])), 1.0)
                value += min(np.log(straight / max(metres, 1.0)), 0.0)
            best = max(best, value)
        assert score[chosen[3]] == pytest.approx(best)
        assert begins.tolist() == [True, False, False, False]


def test_without_the_rules_it_finds_what_fastmm_finds(recorder, tmp_path, capfd):
    """An independent implementation (C++) of the same model, which knows no rules for U-turns."""
    fastmm = pytest.importorskip("fastmm", reason="the development group is not installed")
    city, config, reach_m = load_city("la-serena"), MatchConfig(), 1500.0
    points = recorder(simulate(city, DemandConfig(), 60, seed=3), city, 20, 12.0)
    xy = city.to_metres(points.lonlat)
    traces = [xy[a:b][spaced(xy[a:b], 30.0)] for a, b in pairwise(points.start.tolist())]
    matcher, network = Matcher(city, config, reach_m), fastmm.Network()
    graph = matcher.graph
    for chain, (tail, head) in enumerate(zip(graph.tail.tolist(), graph.head.tolist(), strict=True)):
        corners = list(map(tuple, graph.corner[graph.owner == chain].tolist()))
        network.add_edge(chain, source=tail, target=head, geom=corners)
    network.finalize()
    model = fastmm.FastMapMatch(
        network, fastmm.TransitionMode.SHORTEST, max_distance_between_candidates=reach_m, cache_dir=str(tmp_path)
    )
    same = 0
    for ours, trace in zip(matcher(traces), traces, strict=True):
        theirs = model.match(
            fastmm.Trajectory.from_xy_tuples(list(map(tuple, trace.tolist()))), max_candidates=12,
            candidate_search_radius=60.0, gps_error=15.0, reverse_tolerance=20.0,
        ).subtrajectories[0]  # fmt: skip
        path = [edge.edge_id for piece in theirs.segments for edge in piece.edges]
        path = [edge for at, edge in enumerate(path) if at == 0 or path[at - 1] != edge]
        segments = [graph.member[graph.member_start[chain] : graph.member_start[chain + 1]] for chain in path]
        same += np.array_equal(np.concatenate(segments), ours[0].path)
    capfd.readouterr()  # it logs its every step
    assert same >= 0.9 * len(traces)  # which of two equal ways, or of two equal places, is a matter of order


def u_shaped(town, steps, seconds):
    """Out along a street, and back on it from the middle of a block."""
    a, b = town.node_lonlat[0], town.node_lonlat[9]
    share = np.concatenate([np.linspace(0.05, 0.5, steps), np.linspace(0.5, 0.05, steps)])
    return a + share[:, None] * (b - a), np.arange(2 * steps) * seconds


def test_a_vehicle_that_turned_in_the_street_has_turned(town, trace):
    _, report = match(trace(*u_shaped(town, 20, 5.0)), town, config=MatchConfig(cut=True))
    assert report.kinds == {"u-turn": 1}
    assert report.trips == 2


def test_a_fix_in_a_side_street_is_no_u_turn(town, trace):
    """Far along the side street, with time enough to have driven round the block instead."""
    lonlat = town.node_lonlat[[20, 22, 24, 26]].copy()
    lonlat[:, 1] += 0.0002
    lonlat[2] = town.node_lonlat[24] + [0.0008, 0.0]
    found, report = match(trace(lonlat, np.arange(4) * 120.0), town)
    assert (report.whole, report.problems) == (1, [])
    follow = town.successors
    assert all(follow[a, b] for a, b in pairwise(found.segment.tolist()))
    with pytest.raises(Exception, match="turns into segment"):
        match(trace(lonlat, np.arange(4) * 120.0), town, config=MatchConfig(u_turn=1.0), on_error="fail")
    with pytest.raises(Exception, match="turns into segment"):  # nobody drives that fast
        match(trace(lonlat, np.arange(4) * 25.0), town, on_error="fail")
