"""Training learns what there is to learn, resumes exactly, and sets normalisers from the data."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from suffuse.backbone.train import TrainConfig, TrainError, read_log
from suffuse.policy import DataError, Demonstrations, ModelError, Recipe, load_policy, recipe_by_name, train_policy
from suffuse.policy.data import WindowBatches
from suffuse.policy.model.normaliser import Normaliser
from suffuse.policy.model.training import held_out_error, new_policy, split

Make = Callable[..., Demonstrations]

GOLDEN = (1.42908, 0.991444, 0.980252, 1.013039)
"""Mean losses of five updates each."""


def small(steps: int = 6, **changes: object) -> Recipe:
    settings: dict[str, object] = {
        "columns": ("state",),
        "observations": ("state",),
        "policy": {
            "horizon": 4, "action_steps": 3, "sampling_steps": 5, "noise": {"prediction": "sample", "clip": 3.0},
            "denoiser": {"type": "transformer", "width": 16, "depth": 1, "heads": 2},
        },
        "train": TrainConfig(steps=steps, warmup_steps=1, learning_rate=3e-3, log_every=2, checkpoint_every_steps=2),
        "batch": 8,
    }  # fmt: skip
    return Recipe(**{**settings, **changes})  # type: ignore[arg-type]


def line() -> Demonstrations:
    """A robot that always goes to a place that depends on what it sees: (a, 2 a)."""
    rng = np.random.default_rng(0)
    goal = np.repeat(rng.uniform(-1, 1, 40), 10)
    state = np.stack([goal, rng.normal(size=400)], axis=1).astype(np.float32)
    action = np.stack([goal, 2 * goal], axis=1).astype(np.float32)
    return Demonstrations(columns={"state": state, "action": action}, episode_ends=np.arange(10, 401, 10))


def test_a_policy_learns_where_to_go(tmp_path: Path) -> None:
    recipe = small(120, held_out=0.1, batch=64)
    run = dataclasses.replace(recipe.train, learning_rate=1e-2, evaluate_every=60, ema_decay=0.9)
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(run, checkpoint_every_steps=None))
    policy = train_policy(line(), tmp_path / "model", recipe)
    losses = [record["values"]["loss"] for record in read_log(tmp_path / "model/run") if record["kind"] == "train"]
    assert losses[0] > 0.3
    assert np.mean(losses[-10:]) < 0.15
    seen = {"state": np.array([[[0.7, 0.0]] * 2, [[-0.4, 1.0]] * 2])}
    found = policy.predict_action_chunk(seen, generators=[Generator().manual_seed(s) for s in (0, 1)]).actions
    np.testing.assert_allclose(found.mean(axis=1), [[0.7, 1.4], [-0.4, -0.8]], atol=0.2)
    errors = [r["values"]["action_error"] for r in read_log(tmp_path / "model/run") if r["kind"] == "evaluation"]
    assert errors[-1] < 0.3
    loaded = load_policy(tmp_path / "model")
    again = loaded.predict_action_chunk(seen, generators=[Generator().manual_seed(s) for s in (0, 1)]).actions
    np.testing.assert_array_equal(again, found)


def test_a_recipe_says_how_many_actions_are_carried_out(make: Make, tmp_path: Path) -> None:
    train_policy(make(), tmp_path / "model", small(1, action_steps=1))
    assert load_policy(tmp_path / "model").config["action_steps"] == 1


def test_a_killed_run_ends_as_one_never_killed(make: Make, tmp_path: Path) -> None:
    whole = train_policy(make(), tmp_path / "whole", small())

    calls = 0
    original = WindowBatches.__getitem__

    def dying(self: WindowBatches, index: int) -> object:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise KeyboardInterrupt
        return original(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WindowBatches, "__getitem__", dying)
        with pytest.raises(KeyboardInterrupt):
            train_policy(make(), tmp_path / "half", small())
    with pytest.raises(TrainError, match="is not empty"):
        train_policy(make(), tmp_path / "half", small())
    resumed = train_policy(make(), tmp_path / "half", small(), resume=True)
    for (name, a), (_, b) in zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_normalisers_map_the_data(make: Make) -> None:
    demonstrations = make((30, 30))
    policy = new_policy(small(limits={"state": (-8.0, 8.0)}), demonstrations)
    torch.testing.assert_close(
        policy.encoder.normalisers["state"](torch.tensor([8.0, 0.0, -8.0])), torch.tensor([1.0, 0, -1])
    )
    scaled = policy.action_normaliser(torch.from_numpy(demonstrations.columns["action"])[:, None].expand(-1, 4, -1))
    torch.testing.assert_close(scaled.amin(dim=(0, 1)), torch.tensor([-1.0, -1.0]))
    torch.testing.assert_close(scaled.amax(dim=(0, 1)), torch.tensor([1.0, 1.0]))
    plain = new_policy(small(), demonstrations)
    state = plain.encoder.normalisers["state"](torch.from_numpy(demonstrations.columns["state"]))
    torch.testing.assert_close(state.amax(dim=0), torch.ones(3))


def test_relative_actions_are_normalised_step_by_step() -> None:
    """A robot that moves by +1 or -1 a step: the actions k ahead have mean 0 and deviation k + 1, each scaled by it."""
    steps = np.repeat(np.array([1.0, -1.0] * 30), 20)
    place = np.concatenate([np.arange(20.0) * s for s in np.array([1.0, -1.0] * 30)])
    place, ahead = (np.stack([v, v], axis=1).astype(np.float32) for v in (place, place + steps))
    demonstrations = Demonstrations(columns={"place": place, "action": ahead}, episode_ends=np.arange(20, 1201, 20))
    recipe = small(observations=("place",), columns=("place",))
    recipe = dataclasses.replace(recipe, policy={**recipe.policy, "relative_to": "place", "observation_steps": 1})
    policy = new_policy(recipe, demonstrations)
    torch.testing.assert_close(policy.action_normaliser.offset, torch.zeros(4, 2), atol=1e-5, rtol=0)
    expected = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None].expand(4, 2)
    torch.testing.assert_close(policy.action_normaliser.scale, expected, atol=0.15, rtol=0)


def test_a_normaliser_is_its_own_undoing() -> None:
    normaliser = Normaliser((3,))
    normaliser.set_limits(torch.tensor([0.0, -4.0, 2.0]), torch.tensor([10.0, 4.0, 2.0]))
    values = torch.tensor([[0.0, 4.0, 2.0], [5.0, 0.0, 3.0]])
    torch.testing.assert_close(normaliser(values), torch.tensor([[-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    torch.testing.assert_close(normaliser.invert(normaliser(values)), values)
    with pytest.raises(ValueError, match="lower limit is above"):
        normaliser.set_limits(torch.ones(3), torch.zeros(3))
    with pytest.raises(ValueError, match="deviation is negative"):
        normaliser.set_moments(torch.ones(3), -torch.ones(3))


def test_held_out_episodes_are_others(make: Make) -> None:
    demonstrations = make((5, 6, 7, 8, 9))
    kept, apart = split(demonstrations, 0.4, seed=0)
    assert apart is not None
    assert sorted([*kept.lengths.tolist(), *apart.lengths.tolist()]) == [5, 6, 7, 8, 9]
    assert len(apart) == 2
    assert split(demonstrations, 0.0, seed=0)[1] is None
    _, one = split(demonstrations, 0.05, seed=0)
    assert one is not None
    assert len(one) == 1  # at least
    with pytest.raises(DataError, match="leaves none to train on"):
        split(demonstrations, 0.95, seed=0)


def test_the_error_of_a_policy_that_is_always_right() -> None:
    """Relative to a place that the actions follow at a known distance, a network of zeros errs by that distance."""
    columns = {"place": np.zeros((12, 2), np.float32), "action": np.tile(np.float32([3, 4]), (12, 1))}
    demonstrations = Demonstrations(columns=columns, episode_ends=np.array([12]))
    recipe = small(observations=("place",), columns=("place",))
    settings = {**recipe.policy, "relative_to": "place", "noise": {"prediction": "sample"}}
    policy = new_policy(dataclasses.replace(recipe, policy=settings), demonstrations).eval()
    torch.nn.init.zeros_(policy.network.action_out.weight)  # always predicts the mean, (3, 4)
    assert held_out_error(policy, demonstrations)["action_error"] == pytest.approx(0.0, abs=1e-4)
    policy.action_normaliser.offset.zero_()
    assert held_out_error(policy, demonstrations)["action_error"] == pytest.approx(5.0, abs=1e-4)


def test_recipes_by_name() -> None:
    recipe = recipe_by_name("pusht", steps=7, seed=3, batch=16)
    assert (recipe.train.steps, recipe.train.seed, recipe.batch) == (7, 3, 16)
    assert recipe.summary()["prepare"] == "with_mirror_images"
    with pytest.raises(ModelError, match="--recipe is 'huge', but must be one of pusht"):
        recipe_by_name("huge")


def test_the_recipe_of_pusht_starts_as_it_always_has(tmp_path: Path) -> None:
    """The first losses of the recipe on made-up demonstrations: what changes them changes every model trained by it."""
    rng = np.random.default_rng(0)
    state = np.concatenate([rng.uniform(100, 400, (80, 4)), rng.uniform(0, 6, (80, 1))], axis=1).astype(np.float32)
    action = (state[:, :2] + rng.normal(0, 20, (80, 2))).astype(np.float32)
    made = Demonstrations(columns={"state": state, "action": action}, episode_ends=np.array([30, 80]))
    recipe = recipe_by_name("pusht", steps=20, batch=16)
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, log_every=5))
    policy = train_policy(made, tmp_path / "model", recipe)
    assert sum(parameter.numel() for parameter in policy.parameters()) == 3_679_682
    losses = [record["values"]["loss"] for record in read_log(tmp_path / "model/run") if record["kind"] == "train"]
    np.testing.assert_allclose(losses, GOLDEN, rtol=0.03)
    shipped = load_policy("pusht").config  # what is shipped is what the recipe makes
    assert {name: policy.config[name] for name in shipped if name[0] != "_"} == {
        name: value for name, value in shipped.items() if name[0] != "_"
    }


def cloning(steps: int, **changes: object) -> Recipe:
    """Plain behaviour cloning of the same windows."""
    network = {
        "horizon": 4, "action_steps": 3, "noise": {"process": "regression"}, "sampler": "mean", "sampling_steps": 1,
        "denoiser": {"type": "mlp", "width": 32, "depth": 2},
    }  # fmt: skip
    return small(steps, policy=network, **changes)


def test_behaviour_cloning_gives_the_mean(tmp_path: Path) -> None:
    """Of two things that were done in the same place, it does what lies between, whatever the noise."""
    place = np.tile(np.float32([[0.5], [-0.5]]), (40, 1)).repeat(5, axis=0)
    action = np.where(np.arange(80) % 4 < 2, 1.0, -1.0).repeat(5)[:, None].astype(np.float32)
    data = Demonstrations(columns={"state": place, "action": action}, episode_ends=np.arange(5, 401, 5))
    policy = train_policy(data, tmp_path / "model", cloning(80, batch=64))
    seen = {"state": np.full((2, 1), 0.5)}
    first, other = (policy.predict_action_chunk(seen, generators=[Generator().manual_seed(s)]).actions for s in (0, 1))
    np.testing.assert_array_equal(first, other)
    np.testing.assert_allclose(first, np.zeros((3, 1)), atol=0.3)
    with pytest.raises(ValueError, match="a regression model is sampled by mean"):
        policy.use_sampler("ddim", 5)
    with pytest.raises(ValueError, match=r"steps is 2; it must be in \[1, 1\]"):
        policy.use_sampler("mean", 2)


def test_training_begins_with_a_model(tmp_path: Path) -> None:
    """With its weights and its normalisers, whatever the new data; one of another make is refused."""
    first = train_policy(line(), tmp_path / "first", small(6))
    wide = line().with_columns(action=line().columns["action"] * 5)
    second = train_policy(
        wide, tmp_path / "second", small(1, train=TrainConfig(steps=1, warmup_steps=0, learning_rate=1e-9)), init=first
    )
    for (name, ours), theirs in zip(second.state_dict().items(), first.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)
    with pytest.raises(ModelError, match="the model to begin with has denoiser"):
        train_policy(line(), tmp_path / "third", cloning(1), init=first)
