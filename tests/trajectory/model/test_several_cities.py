"""Training on several cities for others: whose batches they are, what is turned, what is known beside, what is kept."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from suffuse.backbone.discrete import BetaCurriculum, NoiseConfig
from suffuse.console import WEIGHTS_FILE
from suffuse.trajectory.baselines.likelihood import Estimate
from suffuse.trajectory.best_guess import answered
from suffuse.trajectory.describe import describe_model
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.batches import BatchConfig, SeveralCities, TripBatches, make_batch
from suffuse.trajectory.model.candidates import collect_candidates
from suffuse.trajectory.model.canvas import Encoded, RoadCanvas
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import GenerationConfig, caching, canvas_length
from suffuse.trajectory.model.loss import route_nll
from suffuse.trajectory.model.pretrained import TripGenerator, load_model, sharpness_on
from suffuse.trajectory.model.recipes import ANY_DRIVERS, tiny, transfer
from suffuse.trajectory.model.road_logit import ROAD_LOGIT_FILE, RoadLogit
from suffuse.trajectory.model.route_choice import RouteChoice
from suffuse.trajectory.model.training import CITY_FILE, USAGE_FILE, Town, fingerprint, sequential_nll, train_on_several
from suffuse.trajectory.privacy.likelihood import nats_a_segment
from suffuse.trajectory.roads.reachability import hops_within

CONFIG = BatchConfig(trips=8, folds=2, no_usage=1.0, turned=4, drop_condition=0.3)
NOISE = NoiseConfig(distribution=BetaCurriculum())
WEIGHTS = {"drive": Estimate((5.0, 0.4, 0.2, 1.0, 1.3, 3.0, 0.0, 0.0, 0.0, 0.0))}


def recipe_of(steps: int):
    small = tiny(steps=steps, batch=16)
    return replace(small, batch=replace(small.batch, no_usage=1.0, turned=4), sharpness=ANY_DRIVERS)


@pytest.fixture(scope="module")
def sources(grid, town, make_walks) -> list[TripBatches]:
    return [
        TripBatches(network, make_walks(network, count, seed), CONFIG, NOISE, steps=60, seed=1,
                    logit=RoadLogit(network, WEIGHTS))
        for seed, (network, count) in enumerate(((grid, 40), (town, 120)))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(grid, town, make_walks, tmp_path_factory):
    directory = tmp_path_factory.mktemp("several")
    towns = [
        Town(network=grid, trips=make_walks(grid, 60, 1), held_out=make_walks(grid, 20, 2)),
        Town(network=replace(town, name="town"), trips=make_walks(town, 60, 3)),
    ]
    return train_on_several(towns, directory, recipe_of(6)), directory, towns


def test_each_city_has_its_share_of_the_steps_and_takes_them_in_order(sources):
    batches = SeveralCities(sources, steps=60, seed=5)
    sizes = {len(sources[0].network): 0, len(sources[1].network): 0}
    for step in (59, 3, 17, 3):  # in any order
        batch = batches[step]
        city = batches.city[step]
        alone = sources[city].batch(int((batches.city[:step] == city).sum()), step)
        assert torch.equal(batch.tokens, alone.tokens)
        assert torch.equal(batch.prior, alone.prior)
        assert len(batch.city.network) == len(sources[city].network)
    for step in range(60):
        sizes[len(sources[batches.city[step]].network)] += 1
    assert sizes[len(sources[1].network)] == pytest.approx(45, abs=10)


def test_no_table_of_a_city_is_counted(sources):
    assert [city.has_usage for source in sources for city in (*source.cities, *source.turned)] == [False] * 10


def test_turning_the_map_changes_nothing_but_where_north_is(grid, make_walks):
    trips = make_walks(grid, 12, 4)
    made = [
        make_batch(city, trips, city.costs_to_go(trips.destination), noise=NOISE, block_size=4, progress=0.5,
                   drop_condition=0.0, rng=np.random.default_rng(0))
        for city in (CityFeatures(grid), CityFeatures(grid, turned=np.pi / 2))
    ]  # fmt: skip
    assert torch.equal(made[0].tokens, made[1].tokens)
    apart = made[0].features[:, 17] > 0  # of a segment that ends where the destination begins there is no direction
    torch.testing.assert_close(made[0].features[apart], made[1].features[apart], atol=2e-5, rtol=0)
    first, second = (batch.token_features for batch in made)
    np.testing.assert_allclose(second[..., 9], -first[..., 10], atol=2e-5)  # a quarter turn: x is minus what y was
    np.testing.assert_allclose(second[..., 10], first[..., 9], atol=2e-5)
    other = [column for column in range(12) if column not in (5, 6, 9, 10)]
    torch.testing.assert_close(first[..., other], second[..., other], atol=2e-5, rtol=0)
    segments = [batch.city.segment_features for batch in made]
    torch.testing.assert_close(segments[0][:, 12:14], -segments[1][:, 12:14], atol=1e-5, rtol=0)  # twice the angle
    torch.testing.assert_close(segments[0][:, :12], segments[1][:, :12], atol=1e-5, rtol=0)
    torch.testing.assert_close(made[0].city.edge_features, made[1].city.edge_features, atol=1e-5, rtol=0)


def test_what_the_logit_says_is_added_and_hidden_with_the_destination(grid, make_walks, model):
    trips = make_walks(grid, 30, 5)
    city, logit = CityFeatures(grid), RoadLogit(grid, WEIGHTS)
    asked = dict(noise=NOISE, block_size=1, progress=0.0, all_masked=True)
    costs = city.costs_to_go(trips.destination)
    plain = make_batch(city, trips, costs, drop_condition=0.4, rng=np.random.default_rng(3), **asked)
    beside = make_batch(city, trips, costs, drop_condition=0.4, rng=np.random.default_rng(3), logit=logit, **asked)
    trip = plain.masked.nonzero()[:, 0]
    hidden = plain.dropped[trip][plain.group]
    assert plain.prior is None
    assert 0 < int(plain.dropped.sum()) < 30
    assert (beside.prior[hidden] == 0).all()
    arrived = beside.features[:, 6] + beside.features[:, 5]  # 1 where only the network says whether a trip ends here
    assert 0.6 < (beside.prior[~hidden] != 0).float().mean() < 1
    assert (beside.prior[(arrived > 0) & ~hidden] == 0).all()
    with torch.no_grad():
        nll = route_nll(model, beside)[0]
        assert torch.equal(nll[plain.dropped], route_nll(model, plain)[0][plain.dropped])
        assert not torch.equal(nll, route_nll(model, plain)[0])


def test_beside_a_silent_network_the_likelihood_is_that_of_the_logit(grid, make_model, make_walks):
    """A network whose scores are all alike leaves the recursive logit as it is: its likelihood has a closed form."""
    model, logit = make_model(), RoadLogit(grid, WEIGHTS)
    with torch.no_grad():
        for layer in (model.scorer.score, model.scorer.direct):
            layer.weight.zero_()
    trips = make_walks(grid, 40, 6)
    once = [row for row in range(40) if np.count_nonzero(trips.segments_of(row) == trips.destination[row]) == 1]
    trips = trips.take(np.array(once))
    found = nats_a_segment(model, CityFeatures(grid), trips, logit)
    function = logit.value_function(0)
    for row in range(len(trips)):
        route = trips.segments_of(row)
        turns = logit.graph.find(route[:-1], route[1:])
        start = function.values(int(route[-1]))[int(route[0])]
        chance = logit.cost(0)[turns].sum() + np.log(start)
        ways = logit.graph.start[route[-1] + 1] - logit.graph.start[route[-1]]
        assert found[row] * len(route) == pytest.approx(chance + np.log(1 + ways), rel=1e-4)  # to end, or to go on
    whole = sequential_nll(model, CityFeatures(grid), trips, logit=logit)
    lengths = trips.lengths
    assert whole == pytest.approx(float((found * lengths).sum() / lengths.sum()), rel=1e-5)


def test_a_model_of_several_cities_is_the_same_everywhere(trained, grid, town, make_grid, requests_on, assert_same):
    model, directory, towns = trained
    assert not (directory / USAGE_FILE).exists()
    facts = json.loads((directory / CITY_FILE).read_text())
    assert [city["fingerprint"] for city in facts["cities"]] == [fingerprint(place.network) for place in towns]
    assert list(facts["trained"]) == ["nll small"]
    for network in (grid, make_grid(5)):
        loaded = load_model(directory, network)
        assert isinstance(loaded, TripGenerator)
        assert not loaded.at_home
        assert (fingerprint(network) in loaded.seen) == (network is grid)
        assert loaded.own == ANY_DRIVERS == sharpness_on(directory, network)
        asked = requests_on(network, 15, 2)
        trips = loaded.sample(asked, seed=3)
        np.testing.assert_array_equal(trips.destination, asked.destination)
        guess = answered(loaded, asked, GenerationConfig(seed=3), best_of=2)
        np.testing.assert_array_equal(guess.destination, asked.destination)
        assert_same(load_model(directory, town).on(network).sample(asked, seed=3), trips)
        shut = network.without(np.array([5]))
        still = asked.take(np.flatnonzero((asked.origin != 5) & (asked.destination != 5)))
        assert 5 not in loaded.on(shut).sample(still, seed=3).segment
    assert describe_model(directory)["recursive_logit"]
    assert model.config["time_correlation"] >= 0


def test_only_the_logit_speaks_at_a_temperature_of_its_own_kind(grid, model, requests_on):
    """Where the logit is silent, a network trained beside it is used at the temperature asked for."""
    asked = requests_on(grid, 6, 8)
    config = GenerationConfig()
    hops, limit = hops_within(grid, asked.origin, asked.destination, detour=2.0, slack=10)
    length = canvas_length(config.decoding, int(limit.max()) + 1)
    beside = RouteChoice.towards(RoadLogit(grid, WEIGHTS), asked.destination)
    assert beside.learned_beside
    silent, loud = [], []
    for choice in (None, beside, replace(beside, learned_beside=False)):
        canvas = RoadCanvas(
            Encoded.of(model, CityFeatures(grid)), asked.origin, asked.destination, asked.hour, hops, limit,
            np.zeros((6, length)), temperature=np.ones(6), route_choice=choice, weight=1.0,
            **caching(config.decoding, length),
        )  # fmt: skip
        start = torch.zeros(6, dtype=torch.long)
        canvas.propose(start, 8)
        candidates, _, probability, _ = canvas.proposal
        speaks = beside.speaks(candidates)
        rows = np.repeat(speaks, np.diff(candidates.start))
        silent.append(probability[~rows])
        loud.append(probability[rows])
    np.testing.assert_array_equal(silent[0], silent[1])
    assert not np.array_equal(silent[0], silent[2])
    np.testing.assert_array_equal(loud[1], loud[2])


def test_recipes_for_several_cities_know_nothing_of_one(grid, make_walks, tmp_path):
    assert transfer().batch.no_usage == 1
    with pytest.raises(ValueError, match=r"no_usage is 0.1, but must be 1 to train on several cities"):
        train_on_several([Town(network=grid, trips=make_walks(grid, 60, 1))], tmp_path, tiny(steps=1))


def test_directories_of_several_cities_that_are_not_whole(trained, grid, tmp_path):
    shutil.copytree(trained[1], tmp_path / "copy")
    (tmp_path / "copy" / ROAD_LOGIT_FILE).unlink()
    with pytest.raises(ModelError, match=ROAD_LOGIT_FILE):
        load_model(tmp_path / "copy", grid)
    shutil.copy(trained[1] / ROAD_LOGIT_FILE, tmp_path / "copy")
    (tmp_path / "copy" / CITY_FILE).write_text('{"cities": [3]}')
    with pytest.raises(ModelError, match="each of the cities must have a fingerprint"):
        load_model(tmp_path / "copy", grid)
    assert (trained[1] / WEIGHTS_FILE).is_file()


def test_candidates_of_every_kind_are_scored_the_same_in_training_and_use(grid):
    """The prior of a batch is what `RouteChoice` says of the same candidates."""
    logit = RoadLogit(grid, WEIGHTS)
    destination = np.array([7, 30])
    tokens = np.array([[0, 48, 48], [20, 48, 48]])
    masked = np.array([[False, True, True]] * 2)
    block = np.array([[-1, 0, 0]] * 2)
    candidates = collect_candidates(grid, tokens, masked, block, destination)
    odds = RouteChoice.towards(logit, destination).log_odds(candidates)
    far = np.repeat(candidates.left_gap > 1, np.diff(candidates.start))
    assert (odds[far] == 0).all()
    assert (odds[~far] < 0).all()
