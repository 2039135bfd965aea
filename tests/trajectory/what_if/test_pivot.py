"""The incremental logit against the definition, and the shares of drivers it leads to at a fork."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.model.candidates import Candidates
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator, changed
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.what_if import Changes, Pivot
from suffuse.trajectory.what_if.pivot import MOST, NATS_PER_MINUTE

NORTH, SOUTH = [0, 1, 2, 5, 6], [0, 3, 4, 5, 6]
Generator = Callable[..., TripGenerator]


@pytest.fixture(scope="module")
def generator(fork: RoadNetwork) -> TripGenerator:
    """A model that finds everything equally likely, in a city where half were seen to go by the north."""
    torch.manual_seed(0)
    model = TrajectoryModel(width=8, depth=1, heads=1, road_width=8, road_depth=1, road_heads=1, scorer_width=8)
    torch.nn.init.zeros_(model.scorer.score.weight)
    torch.nn.init.zeros_(model.scorer.direct.weight)
    observed = count_usage(fork, Trips.from_lists([NORTH, SOUTH] * 25))
    return TripGenerator(model=model, city=CityFeatures(fork, observed), directory=Path(), facts={})


def share_by_north(generator: TripGenerator, count: int = 2000) -> float:
    requests = Requests(
        origin=np.zeros(count, dtype=np.int64),
        destination=np.full(count, 6),
        depart=np.full(count, np.datetime64("2024-03-04T08:00:00", "s")),
        request_id=np.arange(count).astype(str).astype(object),
    )
    config = GenerationConfig(temperature=1.0, spread=0.0, route_choice=0.0, least=0.0)
    trips = generator.sample(requests, config=config)
    assert {tuple(trips.segments_of(row)) for row in range(count)} <= {tuple(NORTH), tuple(SOUTH)}
    return float(np.isin(trips.segment, 1).sum() / count)


@pytest.mark.parametrize(("segment", "minutes"), [(1, 1.0), (2, 1.0), (4, 1.5)])
def test_a_slower_branch_loses_what_the_logit_says(
    fork: RoadNetwork, generator: TripGenerator, segment: int, minutes: float
) -> None:
    """Equal chances before; n minutes more on one side divide its odds by exp(n times `NATS_PER_MINUTE`)."""
    assert share_by_north(generator) == pytest.approx(0.5, abs=0.04)
    slow = Changes(speed_kmh=((segment, 36 / (1 + minutes)),)).on(fork)  # a minute each at 36 km/h
    odds = np.exp(-NATS_PER_MINUTE * minutes)
    expected = odds / (1 + odds) if segment in NORTH else 1 / (1 + odds)
    assert share_by_north(generator.on(slow)) == pytest.approx(expected, abs=0.04)


def test_a_closed_branch_is_left_and_the_way_back_is_the_way_it_was(
    fork: RoadNetwork, generator: TripGenerator
) -> None:
    there = generator.on(fork.without(np.array([2])))
    assert share_by_north(there, 50) == 0
    back = there.on(fork)
    assert back.city.before is None
    assert share_by_north(back) == share_by_north(generator)


def test_what_all_ways_lose_changes_no_choice(fork: RoadNetwork, generator: TripGenerator) -> None:
    slow = Changes(speed_kmh=((5, 6.0), (6, 4.0), (1, 18.0), (3, 18.0))).on(fork)
    assert share_by_north(generator.on(slow)) == share_by_north(generator)


def test_log_odds_are_the_change_in_cost(fork: RoadNetwork, generator: TripGenerator) -> None:
    """Against shortest paths of networkx, for every segment as the next one and every destination."""
    changes = Changes(closed=(2,), speed_kmh=((3, 10.0), (5, 20.0)))
    there = changes.on(fork)
    city = changed(there, generator.city.observed, fork)
    destinations = np.array([5, 6, 4])
    pivot = Pivot.towards(city, fork, destinations)

    def cost(network: RoadNetwork, segment: int, trip: int) -> float:
        last = int(destinations[trip])
        learned = CityFeatures(fork, generator.city.observed).learned_cost(int(city.zones[1][last]))
        each = learned + NATS_PER_MINUTE * network.free_flow_s / 60
        if segment == last:
            return float(each[last])
        graph = nx.DiGraph()
        for row in set(range(len(fork))) - network.closed:
            graph.add_edge(int(fork.from_node[row]), int(fork.to_node[row]), cost=float(each[row]))
        ends = int(fork.to_node[segment]), int(fork.from_node[last])
        try:
            onward = nx.shortest_path_length(graph, *ends, weight="cost")
        except (nx.NetworkXNoPath, nx.NodeNotFound):
            return float("inf")
        return float(each[segment] + onward + each[last])

    for trip in range(len(destinations)):
        found = pivot.log_odds(one_position(trip, [*range(7), 7]))
        assert found[7] == 0, "the end of a trip costs nothing"
        for segment in range(7):
            before, now = cost(fork, segment, trip), cost(there, segment, trip)
            if np.isfinite(before) and np.isfinite(now):
                assert found[segment] == pytest.approx(before - now, abs=1e-4)
            elif np.isfinite(before):
                assert found[segment] <= -MOST


def test_a_recursive_logit_hears_of_speeds_alone(fork: RoadNetwork, generator: TripGenerator) -> None:
    """Of closed segments it knows by itself: its second share of the change has the speeds only."""
    trips = Trips.from_lists([NORTH] * 30 + [SOUTH] * 30)
    logit = BASELINES["recursive-logit"].fit(fork, trips)
    both = replace(generator, logit=logit)  # type: ignore[arg-type]
    last = np.array([6])
    closed = both.on(fork.without(np.array([2])))
    assert Pivot.needed(closed.city, last, also_speeds=True)[1] is None
    there = both.on(Changes(closed=(2,), speed_kmh=((4, 12.0),)).on(fork))
    whole, speeds = Pivot.needed(there.city, last, also_speeds=True)
    assert whole is not None
    assert speeds is not None
    here = one_position(0, [1, 3])
    assert whole.log_odds(here)[0] <= -MOST
    assert speeds.log_odds(here)[1] == pytest.approx(-2 * NATS_PER_MINUTE, abs=1e-4)
    assert Pivot.needed(generator.city, last, also_speeds=True) == (None, None)


def one_position(trip: int, segments: list[int]) -> Candidates:
    """Candidates for one position of a trip, beside segment 0."""
    return Candidates(
        row=np.array([trip]), position=np.array([1]), start=np.array([0, len(segments)]),
        segment=np.array(segments, dtype=np.int32), left=np.array([0]), left_gap=np.array([1]),
        right=np.array([-1]), right_gap=np.array([0]),
    )  # fmt: skip
