"""Training on a small town, what lies in a model directory, and what is said of one that is broken."""

import hashlib
import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from suffuse.backbone.train import TrainConfig
from suffuse.console import WEIGHTS_FILE
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model import training
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import GenerationConfig, generate_trips
from suffuse.trajectory.model.pretrained import TripGenerator, load_model, model_directory
from suffuse.trajectory.model.recipes import recipe_by_name, tiny
from suffuse.trajectory.model.training import (
    CITY_FILE,
    USAGE_FILE,
    Recipe,
    delay_correlation,
    fingerprint,
    recipe_summary,
    sequential_nll,
    train_model,
)
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.roads.reachability import hops_to
from suffuse.trajectory.trips.table import Trips


def straight_home(network, count: int, seed: int) -> Trips:
    """Trips of people who take the fewest segments, at free-flow speed: something that can be learned."""
    generator = np.random.default_rng(seed)
    ends = generator.integers(0, len(network), (count, 2))
    hops, routes = hops_to(network, ends[:, 1]), []
    follow = network.successors
    for row, (segment, _) in enumerate(ends.tolist()):
        route = [segment]
        while hops[row, route[-1]]:
            onward = follow.indices[follow.indptr[route[-1]] : follow.indptr[route[-1] + 1]]
            route.append(int(onward[hops[row, onward].argmin()]))
        routes.append(route)
    routes = [route for route in routes if len(route) > 1]
    spent = [network.free_flow_s[route] for route in routes]
    return Trips.from_lists(
        routes,
        enter_s=[[0.0, *np.cumsum(times[:-1]).tolist()] for times in spent],
        duration_s=[float(times.sum()) for times in spent],
    )


def tiny_recipe(steps: int, *, every: int = 1000) -> Recipe:
    recipe = tiny(steps=steps, batch=16)
    return replace(recipe, train=replace(recipe.train, checkpoint_every_steps=every, log_every=5))


@pytest.fixture(scope="module")
def trained(grid, tmp_path_factory):
    directory = tmp_path_factory.mktemp("model")
    trips = straight_home(grid, 200, seed=1)
    held_out = straight_home(grid, 60, seed=2)
    return train_model(grid, trips, directory, tiny_recipe(40), held_out=held_out), directory, trips, held_out


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "model")
    return tmp_path / "model"


def test_training_learns(trained, grid):
    model, directory, trips, held_out = trained
    city = CityFeatures(grid, count_usage(grid, trips))
    torch.manual_seed(0)
    before = sequential_nll(TrajectoryModel(**tiny_recipe(40).model).eval(), city, held_out)
    after = sequential_nll(model, city, held_out)
    assert after < 0.6 * before
    facts = json.loads((directory / CITY_FILE).read_text())
    assert facts["trained"] == {"trips": len(trips), "nll": pytest.approx(after, rel=1e-5)}
    assert facts["fingerprint"] == fingerprint(grid)
    assert facts["segments"] == 48


def test_a_run_that_was_interrupted_ends_with_the_same_model(grid, tmp_path, monkeypatch):
    trips = straight_home(grid, 60, seed=3)
    recipe = tiny_recipe(10, every=4)
    train_model(grid, trips, tmp_path / "whole", recipe)
    calls, real = [], training.trajectory_loss

    def failing(model, batch, generator):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return real(model, batch, generator)

    monkeypatch.setattr(training, "trajectory_loss", failing)
    with pytest.raises(KeyboardInterrupt):
        train_model(grid, trips, tmp_path / "broken", recipe)
    assert not (tmp_path / "broken" / WEIGHTS_FILE).exists()
    monkeypatch.setattr(training, "trajectory_loss", real)
    train_model(grid, trips, tmp_path / "broken", recipe, resume=True)
    for name in (WEIGHTS_FILE, USAGE_FILE, CITY_FILE, "config.json"):
        digests = {hashlib.sha256((tmp_path / run / name).read_bytes()).digest() for run in ("whole", "broken")}
        assert len(digests) == 1, name


def test_a_loaded_model_draws_the_same_trips(trained, grid, requests_on):
    model, directory, trips, _ = trained
    requests = requests_on(grid, 20, 1)
    city = CityFeatures(grid, count_usage(grid, trips))
    expected = generate_trips(model, city, requests, GenerationConfig(seed=4))
    loaded = load_model(directory, grid)
    assert isinstance(loaded, TripGenerator)
    assert loaded.at_home
    found = loaded.sample(requests, seed=4)
    for name in ("start", "segment", "enter_s", "duration_s"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert loaded.model.config["time_correlation"] == model.config["time_correlation"]


def test_a_model_works_abroad_and_around_closed_roads(trained, grid, town, requests_on):
    loaded = load_model(trained[1], grid)
    assert isinstance(loaded, TripGenerator)
    shut = loaded.on(grid.without(np.array([4, 30])))
    assert shut.at_home
    requests = requests_on(grid, 12, 1)
    inside = requests.take(np.flatnonzero(~np.isin(requests.origin, [4, 30]) & ~np.isin(requests.destination, [4, 30])))
    assert not np.isin(shut.sample(inside).segment, [4, 30]).any()

    abroad = load_model(trained[1], town)
    assert isinstance(abroad, TripGenerator)
    assert not abroad.at_home
    requests = requests_on(town, 12, 2)
    np.testing.assert_array_equal(abroad.sample(requests).destination, requests.destination)
    moved = loaded.on(town)
    assert not moved.at_home
    np.testing.assert_array_equal(moved.sample(requests).segment, abroad.sample(requests).segment)


def test_a_fingerprint_is_of_segments_and_not_of_what_is_closed(grid, make_grid):
    assert fingerprint(grid) == fingerprint(grid.without(np.array([3]))) == fingerprint(make_grid(4))
    assert fingerprint(grid) != fingerprint(make_grid(5))
    assert fingerprint(grid) != fingerprint(replace(grid, segment_ids=grid.segment_ids[::-1].copy()))
    assert fingerprint(grid) != fingerprint(replace(grid, length_m=grid.length_m + 1))


def test_delays_that_stay_with_a_driver_are_measured(make_model, grid, make_walks):
    model = make_model()
    with torch.no_grad():
        model.time.weight.zero_()
        model.time.bias.zero_()
    walks = make_walks(grid, 400, seed=5, longest=40)
    generator = np.random.default_rng(0)
    enter, duration = [], []
    for row in range(400):
        free = grid.free_flow_s[walks.segments_of(row)]
        delay = np.zeros(len(free))
        delay[0] = 0.4 * generator.standard_normal()
        for k in range(1, len(free)):
            delay[k] = 0.6 * delay[k - 1] + 0.4 * 0.8 * generator.standard_normal()
        spent = free * np.exp(delay)
        enter.append([0.0, *np.cumsum(spent[:-1]).tolist()])
        duration.append(float(spent.sum()))
    trips = Trips.from_lists(
        [walks.segments_of(row).tolist() for row in range(400)], enter_s=enter, duration_s=duration
    )
    assert delay_correlation(model, CityFeatures(grid), trips) == pytest.approx(0.6, abs=0.04)
    timeless = Trips.from_lists([walks.segments_of(row).tolist() for row in range(20)])
    assert delay_correlation(model, CityFeatures(grid), timeless) == 0


# --- broken directories


def sentence(path, grid) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path, grid)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("name", ["config.json", WEIGHTS_FILE, CITY_FILE, USAGE_FILE])
def test_missing_files_are_named(copy, grid, name):
    (copy / name).unlink()
    assert f"is not a model directory: it has no {name}" in sentence(copy, grid)


@pytest.mark.parametrize("keep", [0, 7, 100, 5000])
def test_truncated_weights_are_named(copy, grid, keep):
    path = copy / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:keep])
    assert WEIGHTS_FILE in sentence(copy, grid)


def test_a_pickle_is_never_read(copy, grid, tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "trapped"), "w")

    (copy / WEIGHTS_FILE).write_bytes(pickle.dumps(Trap()))
    assert WEIGHTS_FILE in sentence(copy, grid)
    (copy / WEIGHTS_FILE).unlink()
    torch.save({"weight": torch.zeros(1)}, copy / "diffusion_pytorch_model.bin")
    assert f"it has no {WEIGHTS_FILE}" in sentence(copy, grid)
    assert not (tmp_path / "trapped").exists()


def test_weights_of_another_network_are_named(copy, grid):
    path = copy / WEIGHTS_FILE
    tensors = load_file(path)
    save_file({name: tensor for name, tensor in tensors.items() if name != "mask_token"}, path)
    assert "mask_token" in sentence(copy, grid)
    save_file({**tensors, "surprise": torch.zeros(2)}, path)
    assert "surprise" in sentence(copy, grid)
    save_file({**tensors, "mask_token": torch.zeros(5)}, path)
    assert "mask_token" in sentence(copy, grid)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"width": "wide"}', '{"width": -3}', "null"])
def test_broken_configs_are_named(copy, grid, content):
    (copy / "config.json").write_text(content)
    said = sentence(copy, grid)
    assert "config.json" in said or WEIGHTS_FILE in said


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_broken_facts_are_named(copy, grid, content):
    (copy / CITY_FILE).write_text(content)
    assert CITY_FILE in sentence(copy, grid)


def test_a_broken_usage_file_matters_at_home_only(copy, grid, town):
    (copy / USAGE_FILE).write_bytes(b"nothing")
    assert USAGE_FILE in sentence(copy, grid)
    assert isinstance(load_model(copy, town), TripGenerator)


def test_names_that_lead_nowhere(tmp_path, grid):
    with pytest.raises(ModelError, match="there is no model 'nowhere'"):
        model_directory("nowhere")
    assert "config.json" in sentence(tmp_path, grid)


def test_recipes_by_name():
    recipe = recipe_by_name("tiny", steps=5, seed=3, batch=None)
    assert (recipe.train.steps, recipe.train.seed, recipe.batch.trips) == (5, 3, 32)
    assert recipe_by_name("city", steps=None, seed=0, batch=64).batch.trips == 64
    assert isinstance(recipe.train, TrainConfig)
    with pytest.raises(ModelError, match="--recipe is 'huge', but must be one of la-serena, city, transfer, tiny"):
        recipe_by_name("huge", steps=None, seed=0, batch=None)
    assert json.loads(json.dumps(recipe_summary(recipe)))["train"]["steps"] == 5
