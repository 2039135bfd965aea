"""Candidates against the enumeration of every walk there is, on small random road networks."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suffuse.trajectory.model.candidates import Candidates, collect_candidates
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.reachability import hops_to

NODES = 5


@pytest.fixture(scope="module")
def build(make_network):
    places = np.random.default_rng(5).uniform(0, 1000, (NODES, 2))

    def network(links: list[tuple[int, int]]) -> RoadNetwork:
        return make_network(links, places)

    return network


links_of_a_network = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)).filter(lambda link: link[0] != link[1]),
    min_size=2,
    max_size=9,
    unique=True,
)


def follow(network: RoadNetwork, token: int, destination: int) -> list[int]:
    """What may stand after a token: its successors; the end after the destination and after the end."""
    end = len(network)
    if token == end:
        return [end]
    ahead = network.successors
    onward = ahead.indices[ahead.indptr[token] : ahead.indptr[token + 1]].tolist()
    return [*onward, end] if token == destination else onward


def all_walks(network: RoadNetwork, first: int, steps: int, destination: int) -> Iterator[list[int]]:
    """Every walk of so many steps from a token."""
    if steps == 0:
        yield [first]
        return
    for token in follow(network, first, destination):
        for rest in all_walks(network, token, steps - 1, destination):
            yield [first, *rest]


def by_position(found: Candidates) -> dict[tuple[int, int], list[int]]:
    return {
        (int(row), int(position)): sorted(found.segment[found.start[j] : found.start[j + 1]].tolist())
        for j, (row, position) in enumerate(zip(found.row, found.position, strict=True))
    }


def random_walk(network: RoadNetwork, first: int, steps: int, destination: int, pick: list[int]) -> list[int]:
    walk = [first]
    for step in range(steps):
        onward = follow(network, walk[-1], destination)
        if not onward:
            return []
        walk.append(onward[pick[step] % len(onward)])
    return walk


@settings(max_examples=120, deadline=None)
@given(data=st.data(), links=links_of_a_network)
def test_candidates_of_training_are_the_tokens_of_all_walks_that_fit(build, data, links):
    network = build(links)
    assume((np.diff(network.successors.indptr) > 0).all())  # training networks are strongly connected: no dead ends
    end, length = len(network), data.draw(st.integers(2, 7))
    trips, masks, blocks, goals = [], [], [], []
    for _ in range(data.draw(st.integers(1, 3))):
        destination, first = (data.draw(st.integers(0, end - 1)) for _ in range(2))
        picks = data.draw(st.lists(st.integers(0, 20), min_size=length, max_size=length))
        walk = random_walk(network, first, length - 1, destination, picks)
        assume(walk)
        size, offset = data.draw(st.integers(1, length)), data.draw(st.integers(0, 3))
        trips.append(walk)
        masks.append([False, *data.draw(st.lists(st.booleans(), min_size=length - 1, max_size=length - 1))])
        blocks.append([-1, *((np.arange(length - 1) + offset) // size).tolist()])
        goals.append(destination)
    found = collect_candidates(network, np.array(trips), np.array(masks), np.array(blocks), np.array(goals))
    answer = by_position(found)
    assert set(answer) == {(int(r), int(p)) for r, p in zip(*np.nonzero(masks), strict=True)}

    for trip, (walk, masked, block, destination) in enumerate(zip(trips, masks, blocks, goals, strict=True)):
        # a gap starts behind a committed token, or where its block does: an earlier block counts as committed
        for position in np.flatnonzero(masked):
            left = position - 1
            while masked[left] and block[left] == block[position]:
                left -= 1
            last = position
            while last + 1 < length and masked[last + 1] and block[last + 1] == block[position]:
                last += 1
            bound = last + 1 < length and block[last + 1] == block[position]
            fits = [
                other
                for other in all_walks(network, walk[left], last - left + bound, destination)
                if not bound or other[-1] == walk[last + 1]
            ]
            assert answer[trip, position] == sorted({other[position - left] for other in fits})

    for j, (trip, position) in enumerate(zip(found.row, found.position, strict=True)):
        assert found.left[j] == trips[trip][position - found.left_gap[j]]
        if found.right_gap[j]:
            assert found.right[j] == trips[trip][position + found.right_gap[j]]
        else:
            assert found.right[j] == -1


@settings(max_examples=120, deadline=None)
@given(data=st.data(), links=links_of_a_network)
def test_candidates_of_sampling_are_the_tokens_of_all_trips_that_arrive_in_time(build, data, links):
    network = build(links)
    end = len(network)
    origin, destination = (data.draw(st.integers(0, end - 1)) for _ in range(2))
    limit = data.draw(st.integers(1, 6))
    in_time = [walk for walk in all_walks(network, origin, limit + 1, destination) if walk[-1] == end]
    assume(in_time)
    trip = in_time[data.draw(st.integers(0, len(in_time) - 1))]
    # a canvas: committed up to the window, some of it committed inside, nothing after it
    start = data.draw(st.integers(1, limit + 1))
    width = data.draw(st.integers(1, limit + 2 - start))
    window = np.zeros(limit + 2, dtype=bool)
    window[start : start + width] = True
    masked = window & np.array(data.draw(st.lists(st.booleans(), min_size=limit + 2, max_size=limit + 2)))
    known = (np.arange(limit + 2) < start + width) & ~masked
    assume(masked.any())

    # of what is committed the rest of the window follows: only completions that agree with it count
    agree = [walk for walk in in_time if all(walk[p] == trip[p] for p in np.flatnonzero(known))]
    tokens = np.where(known, trip, end)
    found = collect_candidates(
        network,
        tokens[None],
        masked[None],
        window.astype(np.int64)[None],
        np.array([destination]),
        hops=hops_to(network, np.array([destination])),
        hops_row=np.array([0]),
        limit=np.array([limit]),
    )
    answer = by_position(found)
    for position in np.flatnonzero(masked):
        assert answer[0, position] == sorted({walk[position] for walk in agree}), position


def test_the_end_follows_the_destination_and_itself_only(build):
    # 0: a -> b, 1: b -> c, 2: c -> a: a circle, destination 1
    network = build([(0, 1), (1, 2), (2, 0)])
    tokens = np.array([[0, 9, 9, 9, 9]])
    masked = np.array([[False, True, True, True, True]])
    found = by_position(collect_candidates(network, tokens, masked, np.zeros((1, 5), dtype=np.int64), np.array([1])))
    assert found == {(0, 1): [1], (0, 2): [2, 3], (0, 3): [0, 3], (0, 4): [1, 3]}


def test_a_level_wider_than_any_buffer_is_still_exact(make_network):
    """One street in, 5,000 ways out, which all meet again: all may stand in the gap, from the left and from both."""
    ways = 5000
    angle = np.linspace(0, 2 * np.pi, ways, endpoint=False)
    rim = 1000 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    hub, meet, before = ways, ways + 1, ways + 2
    places = np.concatenate([rim, [[0.0, 0.0], [0.0, 2000.0], [0.0, -2000.0]]])
    links = [(hub, k) for k in range(ways)] + [(k, meet) for k in range(ways)] + [(before, hub), (meet, before)]
    network = make_network(links, places)
    first, last = 2 * ways, 2 * ways + 1
    tokens = np.array([[first, 0, 0, last, 0], [first, 0, 0, 0, 0]])
    masked = np.array([[False, True, True, False, False], [False, True, True, True, False]])
    found = by_position(collect_candidates(network, tokens, masked, np.array([[0] * 4 + [1]] * 2), np.array([7, last])))
    out, on = list(range(ways)), list(range(ways, 2 * ways))
    assert found == {(0, 1): out, (0, 2): on, (1, 1): out, (1, 2): on, (1, 3): [last]}


def test_nothing_masked_has_no_candidates(grid):
    tokens = np.array([[0, 1]])
    found = collect_candidates(grid, tokens, np.zeros((1, 2), dtype=bool), np.zeros((1, 2), np.int64), np.array([1]))
    assert len(found) == 0
    assert found.start.tolist() == [0]
