"""Costs read off the roads: what a turn is, whose weights they are, and files that hold none."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from suffuse.trajectory.baselines.likelihood import Estimate
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model import road_logit
from suffuse.trajectory.model.road_logit import (
    ATTRIBUTES,
    ROAD_LOGIT_FILE,
    RoadLogit,
    attributes,
    attributes_of,
    fit_road_logit,
)
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.modes import for_mode
from suffuse.trajectory.trips.table import Trips

TRUTH = (5.0, 0.4, 0.2, 1.2, 1.3, 4.0, 0.0, -2.0, 0.0, 0.0)


def estimate(weights: tuple[float, ...]) -> dict[str, Estimate]:
    return {"drive": Estimate(weights)}


def drawn(logit: RoadLogit, count: int, seed: int) -> Trips:
    """Trips of drivers who choose as this logit says."""
    generator = np.random.default_rng(seed)
    ends = generator.integers(0, len(logit.network), (count, 2))
    asked = Requests(
        origin=ends[:, 0],
        destination=ends[:, 1],
        depart=np.full(count, np.datetime64("2024-03-04T08:00:00", "s")),
        request_id=np.arange(count).astype(object),
    )
    return logit.sample(asked, seed=seed)


def with_main_street(network):
    """The same streets, a third of which are primary roads."""
    network.highway[::3] = "primary"
    return network


def test_a_turn_is_what_its_angle_says(make_network):
    places = np.array([[0, 0], [100, 0], [200, 0], [100, 200], [190, 40], [20, 20]], dtype=float)
    links = [(0, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 0), (3, 1), (2, 1), (4, 1), (5, 1)]
    network = make_network(links, places)
    network.highway[2] = "motorway"
    network.highway[1] = "tertiary"
    graph = TurnGraph.of(network)
    found = attributes(graph, network)[graph.find(np.zeros(4, dtype=np.int64), np.array([1, 2, 3, 4]))]
    named = [dict(zip(ATTRIBUTES, row, strict=True)) for row in found.tolist()]
    kinds = ("slight", "turn", "sharp", "u_turn")
    assert [[kind for kind in kinds if row[kind]] for row in named] == [[], ["turn"], ["slight"], ["sharp"]]
    np.testing.assert_allclose([row["km"] for row in named], network.length_m[1:5] / 1000)
    assert [row["km_fast"] for row in named] == [0, named[1]["km"], 0, 0]
    assert [row["km_tertiary"] for row in named] == [named[0]["km"], 0, 0, 0]
    assert all(row["segment"] == 1 for row in named)
    around = graph.find(np.array([2]), np.array([6]))
    assert dict(zip(ATTRIBUTES, attributes(graph, network)[around[0]], strict=True))["u_turn"] == 1


def test_the_likeliest_weights_are_those_that_the_trips_were_drawn_with(make_grid):
    """Two towns, in the second of which drivers are half as particular."""
    towns = [with_main_street(make_grid(side)) for side in (6, 5)]
    scales = (1.0, 0.6)
    trips = [
        drawn(RoadLogit(town, estimate(tuple(scale * weight for weight in TRUTH))), 400, seed)
        for seed, (town, scale) in enumerate(zip(towns, scales, strict=True))
    ]
    found = fit_road_logit(list(zip(towns, trips, strict=True)))["drive"]
    assert found.trips == pytest.approx(sum(len(part) for part in trips), rel=0.2)
    for name in ("km", "segment", "turn", "km_main"):
        place = ATTRIBUTES.index(name)
        assert abs(found.weights[place] - TRUTH[place]) < 4 * found.standard_error[place] + 0.05, name
    # every street of a grid is as long as any other: km and segment are told apart by the prior alone
    whole = 0.15 * found.weights[0] + found.weights[1]
    assert whole == pytest.approx(0.15 * TRUTH[0] + TRUTH[1], rel=0.15)


def test_scores_are_the_slope_of_the_likelihood(make_grid):
    town = with_main_street(make_grid(4))
    seen = road_logit._Observed.of(town, drawn(RoadLogit(town, estimate(TRUTH)), 30, 0), 0)
    weights = np.array(TRUTH) * 1.1
    value, scores = seen.scores(weights)
    for place in (0, 1, 3, 7):
        step = np.zeros(len(weights))
        step[place] = 1e-5
        slope = (seen.scores(weights + step)[0] - seen.scores(weights - step)[0]) / 2e-5
        assert scores.sum(axis=0)[place] == pytest.approx(slope, rel=1e-4, abs=1e-4)
    assert value < 0


def test_trips_that_have_no_likelihood_are_left_out(grid):
    legal = drawn(RoadLogit(grid, estimate(TRUTH)), 10, 3)
    routes = [legal.segments_of(row).tolist() for row in range(10)]
    illegal = [[0, int(np.setdiff1d(np.arange(48), grid.successors.indices[: grid.successors.indptr[1]])[0])]]
    seen = road_logit._Observed.of(grid, Trips.from_lists(routes + illegal), 0)
    assert len(seen.ends) == sum(len(route) > 1 for route in routes)
    with pytest.raises(ModelError, match="no trip in 'small' takes legal turns"):
        fit_road_logit([(grid, Trips.from_lists(illegal))])


def test_it_answers_on_any_network_even_where_its_costs_are_too_low(grid, town):
    cheap = RoadLogit(grid, estimate(tuple(0.1 * weight for weight in TRUTH)))
    for logit in (cheap, cheap.on(town), cheap.on(town.without(np.array([3])))):
        trips = drawn_open(logit)
        assert (trips.destination == 7).all()
        for row in range(len(trips)):
            route = trips.segments_of(row).tolist()
            assert all(logit.network.successors[a, b] for a, b in pairwise(route))


def test_a_minute_lost_costs_a_nat(grid, town):
    speed = grid.speed_kmh.copy()
    speed[5] /= 3
    slower = RoadLogit(grid, estimate(TRUTH)).on(replace(grid, speed_kmh=speed))
    added = slower.cost(0) - RoadLogit(grid, estimate(TRUTH)).cost(0)
    lost = 2 * grid.length_m[5] / grid.speed_kmh[5] * 3.6 / 60
    assert np.allclose(added, np.where(slower.graph.after == 5, lost, 0), atol=1e-6)
    assert np.array_equal(slower.on(grid).cost(0), RoadLogit(grid, estimate(TRUTH)).cost(0)), "and back"
    assert np.array_equal(slower.on(town).cost(0), RoadLogit(town, estimate(TRUTH)).cost(0)), "elsewhere nothing is"


def drawn_open(logit: RoadLogit) -> Trips:
    return logit.sample(
        Requests(
            origin=np.array([0, 20, 31]),
            destination=np.array([7, 7, 7]),
            depart=np.full(3, np.datetime64("2024-03-04T08:00:00", "s")),
            request_id=np.array(["a", "b", "c"], dtype=object),
        )
    )


def test_weights_travel_by_file(grid, town, tmp_path):
    RoadLogit(grid, {"drive": Estimate(TRUTH, TRUTH, -1.0, 5)}).save(tmp_path)
    there = RoadLogit.load(tmp_path, town)
    assert there.estimate.weights == TRUTH
    np.testing.assert_array_equal(there.cost(0), RoadLogit(town, estimate(TRUTH)).cost(0))


def test_a_file_from_before_modes_is_of_drivers(grid, tmp_path):
    (tmp_path / ROAD_LOGIT_FILE).write_text(json.dumps({"weights": dict(zip(ATTRIBUTES, TRUTH, strict=True))}))
    assert RoadLogit.load(tmp_path, grid).estimate.weights == TRUTH
    with pytest.raises(ModelError, match=r"knows trips of mode drive, but road network 'small' is of mode walk"):
        RoadLogit.load(tmp_path, for_mode(grid, "walk"))


def test_each_mode_has_weights_of_its_own(make_grid, tmp_path):
    """Cyclists of one town and drivers of another, fitted together: neither has a say in the other's weights."""
    town = with_main_street(make_grid(5))
    lanes = for_mode(town, "bike")
    lanes.highway[1::3] = "cycleway"
    of_bikes = (5.0, 0.4, 0.2, 0.5, 1.0, 3.0, 0.0, 3.0, 0.0, 0.0, -1.5, 0.0, 0.5)
    truth = {"drive": Estimate(TRUTH), "bike": Estimate(of_bikes)}
    cities = [(place, drawn(RoadLogit(place, truth), 500, 3)) for place in (lanes, town)]
    found = fit_road_logit(cities)
    assert list(found) == ["drive", "bike"]
    assert found["drive"] == fit_road_logit(cities[1:])["drive"]
    for name in ("turn", "km_main", "km_cycleway", "crossing"):
        place = attributes_of("bike").index(name)
        assert abs(found["bike"].weights[place] - of_bikes[place]) < 4 * found["bike"].standard_error[place], name
    RoadLogit(town, found).save(tmp_path)
    for network in (town, lanes):
        there = RoadLogit.load(tmp_path, network)
        assert there.estimate.weights == found[network.mode].weights
        assert there.on(town).estimate.weights == found["drive"].weights


def test_what_cyclists_cross(make_network):
    """From the west street over the main road that runs from south to north, and into it."""
    places = np.array([[0, 0], [100, 0], [200, 0], [100, 100], [100, -100]], dtype=float)
    network = make_network([(0, 1), (1, 2), (1, 3), (4, 1), (2, 1)], places)
    network.highway[:] = ["cycleway", "residential", "secondary", "secondary", "footway"]
    network = for_mode(network, "bike")
    graph = TurnGraph.of(network)
    rows = attributes(graph, network)[graph.find(np.array([0, 0, 3]), np.array([1, 2, 1]))]
    named = [dict(zip(attributes_of("bike"), row, strict=True)) for row in rows.tolist()]
    assert [row["crossing"] for row in named] == [1, 0, 0]
    assert [row["km_main"] > 0 for row in named] == [False, True, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda said: said["drive"]["weights"].pop("km"), "weights of mode drive must be those of km, segment"),
        (lambda said: said["drive"].pop("weights"), "weights of mode drive must be those of km, segment"),
        (lambda said: said.update(drive=[1.0]), "weights of mode drive must be those of km, segment"),
        (lambda said: said.update(swim=said["drive"]), "must have weights by mode: drive, bike, walk"),
        (lambda said: said.clear(), "must have weights by mode: drive, bike, walk"),
        (
            lambda said: said["drive"]["weights"].update(turn="much"),
            "the weight of turn is 'much', but must be a number",
        ),
        (
            lambda said: said["drive"]["weights"].update(turn=1e9),
            "the weight of turn is 1000000000.0, but must be a number below",
        ),
    ],
)
def test_files_that_hold_no_weights(grid, tmp_path, change, said):
    RoadLogit(grid, estimate(TRUTH)).save(tmp_path)
    content = json.loads((tmp_path / ROAD_LOGIT_FILE).read_text())
    change(content)
    (tmp_path / ROAD_LOGIT_FILE).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=said):
        RoadLogit.load(tmp_path, grid)
