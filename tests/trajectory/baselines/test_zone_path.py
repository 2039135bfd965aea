import networkx as nx
import numpy as np
import pytest

from suffuse.trajectory.baselines import Dijkstra, ZonePath
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.zone_path import CHOICES, ZonePathSettings, hold_out, tune, turn_costs
from suffuse.trajectory.metrics.overlap import overlaps
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.trips.table import Trips


def test_the_route_is_the_cheapest_of_all(ladder, make_walks):
    """Against every route of a network without circles."""
    trips = Trips.from_lists([[0], [5], [len(ladder) - 1]])
    settings = ZonePathSettings(depth=1, smoothing=1.0, per_km=3.0)
    fitted = ZonePath.fit(ladder, trips, settings=settings)
    graph = TurnGraph.of(ladder)
    destination = len(ladder) - 1
    zone = int(fitted.turns.zone_of[destination])
    cost = turn_costs(graph, ladder, fitted.turns, settings, zone) + 0.0
    network = nx.DiGraph(list(zip(graph.before.tolist(), graph.after.tolist(), strict=True)))
    routes = [np.array(route) for route in nx.all_simple_paths(network, 0, destination)]
    least = min(cost[graph.find(route[:-1], route[1:])].sum() for route in routes)
    asked = Requests.from_trips(Trips.from_lists([[0, destination]]))
    found = fitted.sample(asked).segments_of(0)
    assert cost[graph.find(found[:-1], found[1:])].sum() == pytest.approx(least)


def test_costs_are_surprise_and_kilometres(grid, make_walks):
    settings = ZonePathSettings(depth=2, smoothing=2.0, per_km=5.0)
    fitted = ZonePath.fit(grid, make_walks(grid, 300, 0), settings=settings)
    graph = TurnGraph.of(grid)
    cost = turn_costs(graph, grid, fitted.turns, settings, 1)
    chance = np.exp(-(cost - 5.0 * grid.length_m[graph.after] / 1000))
    np.testing.assert_allclose(np.bincount(graph.before, chance, len(grid)), 1)


@pytest.fixture(scope="module")
def detours(grid) -> Trips:
    """What drivers do who avoid the streets in the middle of the city, whatever the distance."""
    xy = grid.to_metres(grid.centroid_lonlat)
    dislike = np.exp(-((np.linalg.norm(xy, axis=1) / 150) ** 2))
    graph = TurnGraph.of(grid)
    cost = (grid.length_m * (1 + 6 * dislike))[graph.after]
    rng = np.random.default_rng(0)
    ends = [rng.choice(len(grid), 2, replace=False).tolist() for _ in range(1500)]
    return Trips.from_lists([graph.cheapest_route(cost, a, b).tolist() for a, b in ends])


def test_habits_of_drivers_are_learned(grid, detours):
    """On requests it has not seen, the zone path shares more with them than the shortest path does."""
    seen, unseen = hold_out(detours, seed=0)
    asked = Requests.from_trips(unseen)
    pairs = np.stack([np.arange(len(unseen))] * 2, axis=-1)
    learned = overlaps(grid, unseen, ZonePath.fit(grid, seen).sample(asked), pairs).mean()
    shortest = overlaps(grid, unseen, Dijkstra.fit(grid, seen).sample(asked), pairs).mean()
    assert learned > shortest + 0.05


def test_tuning_ends_where_no_neighbour_is_better(grid, detours):
    best = tune(grid, detours, seed=3)
    counted, held = hold_out(detours, seed=3)
    pairs = np.stack([np.arange(len(held))] * 2, axis=-1)

    def score(settings: ZonePathSettings) -> float:
        found = ZonePath.fit(grid, counted, settings=settings).sample(Requests.from_trips(held))
        return float(overlaps(grid, held, found, pairs).mean())

    reached = score(best)
    assert reached >= score(ZonePathSettings())
    for field, choices in CHOICES.items():
        place = choices.index(getattr(best, field))
        for neighbour in choices[max(place - 1, 0) : place + 2]:
            changed = {"depth": best.depth, "smoothing": best.smoothing, "per_km": best.per_km, field: neighbour}
            assert score(ZonePathSettings(**changed)) <= reached + 1e-12


def test_held_out_trips_are_not_counted(detours):
    counted, held = hold_out(detours, seed=1)
    assert len(counted) + len(held) == len(detours)
    assert len(held) == len(detours) // 10
    assert not set(counted.trip_id) & set(held.trip_id)


def test_few_trips_are_not_tuned_on(grid, detours):
    assert tune(grid, detours.take(np.arange(50))) == ZonePathSettings()


@pytest.mark.parametrize(
    ("wrong", "said"), [({"depth": 15}, "0 to 14"), ({"smoothing": 0.0}, "above 0"), ({"per_km": -1.0}, "0 or more")]
)
def test_settings_out_of_range_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        ZonePathSettings(**wrong)
