"""The recursive logit beside the network: the same probabilities as it samples with, and nothing where it is silent."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from suffuse.backbone.discrete import ConfidenceDecoding
from suffuse.trajectory.api import generate
from suffuse.trajectory.describe import describe_model
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.candidates import collect_candidates
from suffuse.trajectory.model.canvas import Encoded, RoadCanvas
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import GenerationConfig, Sharpness, caching, generate_trips, temperatures
from suffuse.trajectory.model.pretrained import TripGenerator, load_model, read_sharpness, sharpness_on
from suffuse.trajectory.model.recipes import tiny
from suffuse.trajectory.model.route_choice import RouteChoice
from suffuse.trajectory.model.training import GENERATION_FILE, ROUTE_CHOICE_FOLDER, train_model
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.roads.reachability import hops_to
from suffuse.trajectory.workers import Job, Worker

ONE_BY_ONE = ConfidenceDecoding(block=1, steps=1)


@pytest.mark.parametrize("closed", [(), (5,)])
def test_log_odds_are_those_that_the_recursive_logit_samples_with(network, logit, closed):
    open_network = network.without(np.array(closed)) if closed else network
    here = logit.on(open_network)
    rng = np.random.default_rng(0)
    usable = np.setdiff1d(np.arange(len(network)), closed)
    origin, destination = rng.choice(usable, (2, 40))
    origin[3] = destination[3]
    tokens = np.zeros((40, 4), dtype=np.int64)
    tokens[:, 0] = origin
    masked = np.ones((40, 4), dtype=bool)
    masked[:, 0] = False
    candidates = collect_candidates(open_network, tokens, masked, np.ones((40, 4), dtype=np.int64), destination)
    odds = RouteChoice.towards(here, destination).log_odds(candidates)
    heard = 0
    for query in range(len(candidates)):
        rows = slice(candidates.start[query], candidates.start[query + 1])
        trip = candidates.row[query]
        if candidates.left_gap[query] > 1 or origin[trip] == destination[trip]:
            assert (odds[rows] == 0).all()
            continue
        function = here.value_function(int(here.turns.zone_of[destination[trip]]))
        weights = function.choice_weights(int(destination[trip]))
        turns = here.graph.find(np.repeat(origin[trip], len(odds[rows])), candidates.segment[rows].astype(np.int64))
        wanted = weights[turns] / weights[turns].sum()
        found = np.exp(odds[rows] - odds[rows].max())
        np.testing.assert_allclose(found / found.sum(), wanted, rtol=1e-4, atol=1e-7)
        heard += 1
    assert heard > 30


def test_without_weight_the_trips_are_those_without_a_recursive_logit(
    model, network, trips, logit, requests_on, assert_same
):
    city = CityFeatures(network, count_usage(network, trips))
    asked = requests_on(network, 12, 1)
    plain = generate_trips(model, city, asked, GenerationConfig(seed=3))
    assert_same(generate_trips(model, city, asked, GenerationConfig(seed=3, route_choice=0.0), logit=logit), plain)
    assert_same(generate_trips(model, city, asked, GenerationConfig(seed=3, spread=0.0), logit=logit), plain)


def test_a_great_weight_drowns_the_network(model, network, trips, logit, requests_on):
    city = CityFeatures(network, count_usage(network, trips))
    asked = requests_on(network, 25, 2)
    config = GenerationConfig(decoding=ONE_BY_ONE, temperature=0.0, route_choice=100.0)
    drawn = generate_trips(model, city, asked, config, logit=logit)
    for row in range(len(asked)):
        origin, destination = int(asked.origin[row]), int(asked.destination[row])
        weights = logit.value_function(int(logit.turns.zone_of[destination])).choice_weights(destination)
        for here, following in zip(drawn.segments_of(row)[:-1], drawn.segments_of(row)[1:], strict=True):
            if here == destination:
                break
            ways = slice(logit.graph.start[here], logit.graph.start[here + 1])
            chosen = weights[logit.graph.find(np.array([here]), np.array([following]))[0]]
            assert chosen > 0.9 * weights[ways].max()
        assert drawn.segments_of(row)[0] == origin


def test_a_trip_has_its_own_temperature_whoever_else_is_asked_for(
    model, network, trips, logit, requests_on, assert_same
):
    city = CityFeatures(network, count_usage(network, trips))
    asked = requests_on(network, 30, 3)
    config = GenerationConfig(seed=1, temperature=0.9, spread=0.7, route_choice=0.6)
    whole = generate_trips(model, city, asked, config, logit=logit)
    alone = generate_trips(model, city, asked.take(np.arange(7, 9)), config, first=7, logit=logit)
    assert_same(alone, whole.take(np.arange(7, 9)))
    same = generate_trips(model, city, asked, replace(config, spread=0.0), logit=logit)
    assert len(same.segment) != len(whole.segment) or (same.segment != whole.segment).any()


def test_where_the_recursive_logit_is_silent_the_network_speaks_for_both(model, network, trips, logit, requests_on):
    city = CityFeatures(network, count_usage(network, trips))
    asked = requests_on(network, 6, 5)
    hops = hops_to(network, asked.destination)
    limit = hops[np.arange(6), asked.origin] + 8
    canvas = RoadCanvas(
        Encoded.of(model, city), asked.origin, asked.destination, asked.hour, hops, limit,
        np.full((6, 1 + 8 * 4), 0.5), temperature=np.full(6, 1.7), weight=1.5,
        route_choice=RouteChoice.towards(logit, asked.destination), **caching(ConfidenceDecoding(), 33),
    )  # fmt: skip
    canvas.propose(torch.zeros(6, dtype=torch.long), 8)
    candidates, logits, probability, _ = canvas.proposal
    silent = ~canvas.route_choice.speaks(candidates)
    assert 0 < silent.sum() < len(silent)
    for query in range(len(candidates)):
        rows = slice(candidates.start[query], candidates.start[query + 1])
        power = 2.5 / 1.7 if silent[query] else 1 / 1.7
        wanted = np.exp(power * (logits[rows].astype(np.float64) - logits[rows].max()))
        np.testing.assert_allclose(probability[rows], wanted / wanted.sum(), atol=1e-5)


def test_temperatures_are_log_normal_about_their_median():
    uniform = (np.arange(10_000) + 0.5) / 10_000
    logs = np.log(temperatures(Sharpness(temperature=0.5, spread=0.6), uniform))
    assert np.median(logs) == pytest.approx(np.log(0.5), abs=1e-3)
    assert logs.std() == pytest.approx(0.6, rel=0.01)
    np.testing.assert_array_equal(temperatures(Sharpness(temperature=0.5), uniform), 0.5)


def test_a_model_directory_keeps_how_it_is_used(network, trips, requests_on, tmp_path, assert_same):
    recipe = replace(tiny(steps=2, batch=8), sharpness=Sharpness(temperature=1.1, spread=0.3, route_choice=0.5))
    train_model(network, trips, tmp_path, recipe)
    loaded = load_model(tmp_path, network)
    assert isinstance(loaded, TripGenerator)
    assert loaded.own == recipe.sharpness
    facts = describe_model(tmp_path)
    assert facts["generation"] == {"temperature": 1.1, "spread": 0.3, "route_choice": 0.5}
    assert facts["recursive_logit"] is True
    assert sharpness_on(tmp_path, network) == recipe.sharpness
    asked = requests_on(network, 15, 4)
    said = GenerationConfig(temperature=1.1, spread=0.3, route_choice=0.5)
    assert_same(loaded.sample(asked, seed=2), loaded.sample(asked, seed=2, config=said))
    plain = loaded.sample(asked, seed=2, config=GenerationConfig(temperature=1.1, spread=0.3, route_choice=0.0))
    assert_same(plain, replace(loaded, logit=None).sample(asked, seed=2, config=replace(said, route_choice=0.0)))
    shut = loaded.on(network.without(np.array([3])))
    away = asked.take(np.flatnonzero((asked.origin != 3) & (asked.destination != 3)))
    assert 3 not in shut.sample(away).segment


def test_abroad_nothing_is_known_of_route_choice(network, trips, make_grid, requests_on, tmp_path):
    recipe = replace(tiny(steps=2, batch=8), sharpness=Sharpness(temperature=1.1, route_choice=0.5))
    train_model(network, trips, tmp_path, recipe)
    other = make_grid(5)
    abroad = load_model(tmp_path, other)
    assert isinstance(abroad, TripGenerator)
    assert abroad.own == sharpness_on(tmp_path, other) == Sharpness()
    asked = requests_on(other, 5, 0)
    assert len(abroad.sample(asked)) == 5
    with pytest.raises(ModelError, match=r"route_choice is 0\.5, but must be 0: .* holds no recursive logit"):
        abroad.sample(asked, config=GenerationConfig(route_choice=0.5))

    shutil.rmtree(tmp_path / ROUTE_CHOICE_FOLDER)
    with pytest.raises(ModelError, match=r"asks for a recursive logit, but there is no folder .*route-choice"):
        load_model(tmp_path, network)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "holds no JSON object"),
        ("{", "cannot be read as JSON"),
        (json.dumps({"heat": 1}), "has the unknown field 'heat'"),
        (json.dumps({"temperature": "1"}), "temperature is '1', but must be a number"),
        (json.dumps({"temperature": True}), "temperature is True, but must be a number"),
        ('{"temperature": NaN}', "temperature must be a finite number of at least 0, got nan"),
        (json.dumps({"spread": 3.5}), "spread must be a finite number of at least 0 and at most 3, got 3.5"),
        (
            json.dumps({"route_choice": -1}),
            "route_choice must be a finite number of at least 0 and at most 100, got -1.0",
        ),
    ],
)
def test_a_broken_generation_file_is_named(tmp_path, content, said):
    (tmp_path / GENERATION_FILE).write_text(content)
    with pytest.raises(ModelError, match=said):
        read_sharpness(tmp_path)


def test_a_best_guess_is_of_draws_without_spread(network, trips, requests_on, tmp_path, assert_same):
    recipe = replace(tiny(steps=2, batch=8), sharpness=Sharpness(temperature=1.1, spread=2.0))
    train_model(network, trips, tmp_path, recipe)
    asked = requests_on(network, 20, 4)
    answers = [
        Worker(Job(city="", model=str(tmp_path), config=GenerationConfig(spread=spread), best_of=3), network)(asked, 0)
        for spread in (None, 0.0, 2.0)
    ]
    assert_same(answers[0], answers[1])
    assert_same(answers[0], generate(load_model(tmp_path, network), network, requests=asked, best_of=3))
    assert len(answers[0].segment) != len(answers[2].segment) or (answers[0].segment != answers[2].segment).any()
