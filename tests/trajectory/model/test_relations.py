"""Features of tokens and candidates on grids where everything can be worked out: 150 m a street, 15 s a street."""

import networkx as nx
import numpy as np
import pytest

from suffuse.trajectory.model.candidates import Candidates, collect_candidates
from suffuse.trajectory.model.city import POPULARITY_GAIN, SURPRISE_PER_KM, CityFeatures
from suffuse.trajectory.model.relations import SMOOTHING, candidate_features, reach, token_features
from suffuse.trajectory.model.trajectory_model import CANDIDATE_ABOUT_DESTINATION, TOKEN_ABOUT_DESTINATION
from suffuse.trajectory.model.usage import STANDARD_TRIPS, count_usage, zone_of
from suffuse.trajectory.roads.costs import UNKNOWN
from suffuse.trajectory.trips.table import Trips

TIME, LENGTH = 0, 1
BESIDE, BEYOND, TO_GO = (8, 9, 10, 37), (11, 12, 13, 38), (14, 15, 16, 39)
"""Columns by metric: extra cost of a direct successor, of a candidate further on, and what remains after it."""


@pytest.fixture(scope="module")
def bare(grid) -> CityFeatures:
    return CityFeatures(grid)


@pytest.fixture(scope="module")
def seen(grid, make_walks) -> CityFeatures:
    return CityFeatures(grid, count_usage(grid, make_walks(grid, 60, seed=7)))


def segment_between(network, u: int, v: int) -> int:
    return int(np.flatnonzero((network.from_node == u) & (network.to_node == v))[0])


def squeeze(x: float) -> float:
    return float(np.sign(x) * np.log1p(abs(x)))


def ask(city: CityFeatures, tokens, masked, destination, *, block=None) -> tuple[Candidates, np.ndarray]:
    tokens, masked = np.atleast_2d(tokens), np.atleast_2d(masked)
    block = np.zeros_like(tokens) if block is None else np.atleast_2d(block)
    goal = np.atleast_1d(destination)
    found = collect_candidates(city.network, tokens, masked, block, goal)
    features = candidate_features(
        city, found, tokens, masked, block, goal, np.arange(len(goal)), city.costs_to_go(goal)
    )
    return found, features


def to_go(city: CityFeatures, cost: np.ndarray, destination: int) -> list[float]:
    """Cost from the end of each segment to the end of the destination, by networkx."""
    network, graph = city.network, nx.DiGraph()
    for segment, value in enumerate(cost):
        graph.add_edge(network.to_node[segment], network.from_node[segment], weight=float(value))
    known = nx.single_source_dijkstra_path_length(graph, network.from_node[destination])
    return [
        0.0 if segment == destination else known[network.to_node[segment]] + float(cost[destination])
        for segment in range(len(network))
    ]


def metrics(city: CityFeatures, destination: int) -> list[np.ndarray]:
    return [*city.cost, city.learned_cost(int(zone_of(city.network, 1)[destination]))]


def test_the_token_before_the_destination_is_one_street_away(bare):
    network = bare.network
    goal = segment_between(network, 2, 3)  # nodes 0 to 3 go north along the western edge
    tokens = np.array([segment_between(network, 1, 2), goal, len(network), segment_between(network, 0, 1)])
    found = token_features(
        bare, tokens, np.full(4, goal), np.zeros(4, dtype=np.int64), bare.costs_to_go(np.array([goal]))
    )
    # 15 s and 150 m of the destination itself remain
    assert found[0, 1:4].tolist() == pytest.approx(
        [np.log1p(2 * 0.25), np.log1p(2 * 0.15), np.log1p(2 * 0.15)], rel=1e-3
    )
    assert found[0, 4] == pytest.approx(0, abs=1e-6)
    assert found[1, 1:4].tolist() == [0, 0, 0]
    assert found[:, 7].tolist() == [0, 1, 0, 0]
    assert found[2].tolist() == [1] + [0] * 11
    assert found[3, 1] == pytest.approx(np.log1p(2 * 0.5), rel=1e-3)
    assert found[3, 4] == pytest.approx(
        np.log1p(4 * 0.15), rel=5e-3
    )  # one street from its end to the destination's start
    assert found[3, 5:7].tolist() == pytest.approx([1, 0], abs=5e-3)  # straight ahead
    assert found[3, 9:11].tolist() == pytest.approx([0, 0.15 / 5], abs=1e-3)


@pytest.mark.parametrize("which", ["bare", "seen"])
def test_extra_cost_is_what_a_step_adds_to_the_cheapest_way(which, request):
    """For direct successors and for candidates further on, in all four metrics."""
    city = request.getfixturevalue(which)
    generator = np.random.default_rng(3)
    for _ in range(6):
        origin, goal = (int(x) for x in generator.integers(0, len(city.network), 2))
        found, features = ask(city, [origin, 0, 0], [False, True, True], goal)
        for metric, cost in enumerate(metrics(city, goal)):
            left = to_go(city, cost, goal)
            for j in range(2):
                part = slice(found.start[j], found.start[j + 1])
                for candidate, row in zip(found.segment[part].tolist(), features[part], strict=True):
                    if candidate == len(city.network):
                        continue
                    extra = left[candidate] + float(cost[candidate]) - left[origin]
                    near, far = (squeeze(4 * extra), 0.0) if j == 0 else (0.0, squeeze(4 * extra / 2))
                    assert row[BESIDE[metric]] == pytest.approx(near, abs=2e-5)
                    assert row[BEYOND[metric]] == pytest.approx(far, abs=2e-5)
                    assert row[TO_GO[metric]] == pytest.approx(np.log1p(2 * left[candidate]), abs=2e-5)


def test_a_step_along_a_shortest_path_is_no_detour_and_any_other_is(bare):
    network = bare.network
    origin, goal = segment_between(network, 0, 1), segment_between(network, 11, 15)  # to the far corner, north-east
    found, features = ask(bare, [origin, 0], [False, True], goal)
    detour = dict(zip(found.segment.tolist(), features[:, BESIDE[LENGTH]].tolist(), strict=True))
    on, right = segment_between(network, 1, 2), segment_between(network, 1, 5)
    assert detour[on] == pytest.approx(0, abs=1e-5)
    assert detour[right] == pytest.approx(0, abs=1e-5)
    # coming from the east: straight on and south are 300 m more, north is on the way, back is not to be had
    found, features = ask(bare, [segment_between(network, 9, 5), 0], [False, True], goal)
    detour = dict(zip(found.segment.tolist(), features[:, BESIDE[LENGTH]].tolist(), strict=True))
    assert detour[segment_between(network, 5, 4)] == pytest.approx(squeeze(4 * 0.3), rel=1e-3)
    assert detour[segment_between(network, 5, 1)] == pytest.approx(squeeze(4 * 0.3), rel=1e-3)
    assert detour[segment_between(network, 5, 6)] == pytest.approx(0, abs=1e-5)
    assert segment_between(network, 5, 9) not in detour


def test_popular_streets_count_as_shorter(seen):
    busy = np.log1p(seen.usage.flow)
    expected = 0.15 * (1 + POPULARITY_GAIN * (1 - busy / busy.max()))
    np.testing.assert_allclose(seen.cost[2], expected, rtol=1e-5)
    np.testing.assert_allclose(seen.cost[:2], [[0.25] * 48, [0.15] * 48], rtol=1e-5)


def test_learned_cost_is_the_surprise_of_a_choice(grid):
    """Node 5 has four ways on; nine of ten drivers take the same one, all of them to one zone."""
    network = grid
    into, usual, rare = (segment_between(network, *ends) for ends in ((1, 5), (5, 9), (5, 6)))
    city = CityFeatures(network, count_usage(network, Trips.from_lists([[into, usual]] * 9 + [[into, rare]])))
    zone = int(zone_of(network, 1)[usual])
    one = STANDARD_TRIPS / 10
    prior = 0.25
    all_traffic = [(count * one + 5 * prior) / (10 * one + 5) for count in (9, 1)]
    same_zone = zone == int(zone_of(network, 1)[rare])
    coarse = [(count * one + 5 * share) / (10 * one + 5) for count, share in zip((9, 1), all_traffic, strict=True)]
    fine = (10 if same_zone else 9) * one
    share = (9 * one + 5 * coarse[0]) / (fine + 5)
    assert city.learned_cost(zone)[usual] == pytest.approx(-np.log(share) + SURPRISE_PER_KM * 0.15, rel=1e-4)
    assert city.learned_cost(zone)[rare] > 2


def test_turn_shares_are_hand_counts_that_back_off(grid):
    network = grid
    into, usual, rare = (segment_between(network, *ends) for ends in ((1, 5), (5, 9), (5, 6)))
    other = segment_between(network, 9, 13)  # where three of the nine go on to
    routes = [[into, usual]] * 6 + [[into, usual, other]] * 3 + [[into, rare]]
    city = CityFeatures(network, count_usage(network, Trips.from_lists(routes)))
    one, smooth = STANDARD_TRIPS / 10, float(SMOOTHING)
    found, features = ask(city, [into, 0], [False, True], other)
    row = features[found.segment.tolist().index(usual)]
    overall = (9 * one + smooth / 3) / (10 * one + smooth)  # three ways on: no U-turn
    expected = [overall]
    for level in range(2):
        zone = zone_of(network, level)
        there = [route for route in routes if zone[route[-1]] == zone[other]]
        turned = sum(route[1] == usual for route in there)
        expected.append((turned * one + smooth * expected[-1]) / (len(there) * one + smooth))
    assert row[31:34].tolist() == pytest.approx(np.log(expected).tolist(), rel=1e-4)
    fine = zone_of(network, 1)
    passing = sum(fine[route[-1]] == fine[other] for route in routes)
    assert row[34] == pytest.approx(np.log1p(passing * one) / 4, rel=1e-4)
    assert row[28] == pytest.approx(np.log1p(9 * one) / 4, rel=1e-4)
    assert row[36] == 1
    # with the next segment committed, the share of those who went on to it
    found, features = ask(city, [into, 0, other], [False, True, False], other)
    row = features[found.segment.tolist().index(usual)]
    assert row[35] == pytest.approx(np.log((3 * one + smooth / 3) / (3 * one + smooth)), rel=1e-4)
    assert row[2:4].tolist() == [1, 1]


def test_turns_and_u_turns(make_network):
    """A dead end to the north of a crossing; angles are those between the streets."""
    places = np.array([[0.0, 0.0], [0.0, 150.0], [150.0, 0.0], [-150.0, 0.0], [0.0, -150.0]])
    links = [(4, 0), (0, 1), (1, 0), (0, 2), (2, 0), (0, 3), (3, 0), (0, 4)]
    city = CityFeatures(make_network(links, places))
    found, features = ask(city, [0, 0], [False, True], 1)
    turn = {segment: row[20:23].tolist() for segment, row in zip(found.segment.tolist(), features, strict=True)}
    assert turn[1] == pytest.approx([1, 0, 0], abs=1e-2)  # straight on, north
    assert turn[3] == pytest.approx([0, -1, 0], abs=1e-2)  # right
    assert turn[5] == pytest.approx([0, 1, 0], abs=1e-2)  # left
    found, features = ask(city, [1, 0], [False, True], 3)
    assert found.segment.tolist() == [2]
    assert features[0, 20:23].tolist() == pytest.approx([-1, 0, 1], abs=1e-2)


def test_where_the_trip_has_been_is_known_but_not_behind_its_own_masks(grid):
    network = grid
    here, there, back = (segment_between(network, *ends) for ends in ((0, 1), (1, 5), (5, 1)))
    on, goal = segment_between(network, 1, 2), segment_between(network, 11, 15)
    west, home = segment_between(network, 5, 4), segment_between(network, 4, 0)
    tokens = [here, there, west, home, here, 0]
    asked = [False, False, False, False, False, True]

    def been(masked, block):
        found, features = ask(CityFeatures(network), tokens, masked, goal, block=block)
        last = slice(found.start[-2], found.start[-1])
        return {s: tuple(row[26:28]) for s, row in zip(found.segment[last].tolist(), features[last], strict=True)}

    open_ = been(asked, [0] * 6)
    assert open_[there] == (1, 0)
    assert open_[on] == (0, 0)
    hidden = [False, True, True, True, False, True]
    assert been(hidden, [0] * 6)[there] == (0, 0)
    assert been(hidden, [0, 1, 1, 1, 2, 2])[there] == (1, 0)  # masked there, but in an earlier block
    # the other direction of a street that was taken
    tokens = [segment_between(network, 6, 5), back, segment_between(network, 1, 0), home, 0, 0]
    tokens[3] = segment_between(network, 0, 4)
    tokens[4] = segment_between(network, 4, 5)
    found, features = ask(CityFeatures(network), tokens, asked, goal)
    flags = {s: tuple(row[26:28]) for s, row in zip(found.segment.tolist(), features, strict=True)}
    assert flags[segment_between(network, 5, 6)] == (0, 1)
    assert flags[segment_between(network, 5, 9)] == (0, 0)


def test_the_end_is_described_by_what_stands_before_it(bare):
    end, goal = len(bare.network), segment_between(bare.network, 0, 1)
    tokens = [
        [segment_between(bare.network, 4, 0), goal, 0],
        [goal, end, 0],
        [segment_between(bare.network, 4, 0), 0, 0],
    ]
    masked = [[False, False, True], [False, False, True], [False, True, True]]
    found, features = ask(bare, tokens, masked, [goal] * 3)
    ends = {
        (int(found.row[j]), int(found.position[j])): features[i]
        for j in range(len(found))
        for i in range(found.start[j], found.start[j + 1])
        if found.segment[i] == end
    }
    assert set(ends) == {(0, 2), (1, 2), (2, 2)}
    assert ends[0, 2].nonzero()[0].tolist() == [0, 4, 6]  # beside its left neighbour, the end, after the destination
    assert ends[1, 2].nonzero()[0].tolist() == [0, 4, 5]  # after another end
    assert ends[2, 2].nonzero()[0].tolist() == [1, 4]  # two steps on
    assert ends[2, 2][1] == pytest.approx(np.log(2))


def test_features_do_not_depend_on_batch_mates(seen, make_walks):
    network = seen.network
    walks = make_walks(network, 6, seed=11, longest=6)
    width = int(walks.lengths.max()) + 1
    tokens = np.full((6, width), len(network))
    for row in range(6):
        tokens[row, : walks.lengths[row]] = walks.segments_of(row)
    masked = np.random.default_rng(0).random(tokens.shape) < 0.6
    masked[:, 0] = False
    found, features = ask(seen, tokens, masked, walks.destination)
    for row in range(6):
        alone, own = ask(seen, tokens[row], masked[row], walks.destination[[row]])
        mine = np.repeat(found.row == row, np.diff(found.start))
        np.testing.assert_array_equal(found.segment[mine], alone.segment)
        np.testing.assert_array_equal(features[mine], own)


def test_costs_about_a_trip_are_made_whole_where_a_candidate_lies_beyond(make_grid):
    """Of two trips only the one whose candidates were not come to changes, and then it is as if searched whole."""
    network = make_grid(18)
    city = CityFeatures(network)
    goal, near = segment_between(network, 2, 3), segment_between(network, 1, 2)
    far = int(np.argmax(np.hypot(*(network.node_metres[network.to_node] - network.node_metres[0]).T)))
    goals = np.array([goal, goal])
    costs = city.costs_to_go(goals, np.array([near, near]))
    whole = city.costs_to_go(goals)
    assert (costs.distance[:, :, network.to_node[far]] == UNKNOWN).all()
    before = costs.distance.copy()
    tokens, masked = np.array([[near, 0], [far, 0]]), np.array([[False, True]] * 2)
    found = collect_candidates(network, tokens, masked, np.zeros_like(tokens), goals)
    reach(city, found.row, found.start, found.segment, goals, costs)
    np.testing.assert_array_equal(costs.distance[:, 0], before[:, 0])
    np.testing.assert_array_equal(costs.distance[:, 1], whole.distance[:, 1])


def test_without_the_columns_about_the_destination_none_is_left(seen):
    """What classifier-free guidance hides is all that changes with the destination, but for the presence of the end."""
    network = seen.network
    origin = segment_between(network, 5, 6)
    answers = []
    for goal in (segment_between(network, 0, 1), segment_between(network, 15, 14)):
        found, features = ask(seen, [origin, 0, 0], [False, True, True], goal)
        about = token_features(
            seen, np.array([origin]), np.array([goal]), np.array([0]), seen.costs_to_go(np.array([goal]))
        )
        answers.append((found.segment, features, about))
    (first, one, token), (second, other, another) = answers
    np.testing.assert_array_equal(first, second)
    kept = np.setdiff1d(np.arange(one.shape[1]), CANDIDATE_ABOUT_DESTINATION)
    np.testing.assert_array_equal(one[:, kept], other[:, kept])
    kept = np.setdiff1d(np.arange(token.shape[1]), TOKEN_ABOUT_DESTINATION)
    np.testing.assert_array_equal(token[:, kept], another[:, kept])
    changed = np.flatnonzero((one != other).any(axis=0))
    assert set(changed) <= set(CANDIDATE_ABOUT_DESTINATION)
    assert len(changed) > 15
