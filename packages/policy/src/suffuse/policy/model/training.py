"""Training a policy on demonstrations, and what a recipe is."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from suffuse.backbone.train import TrainConfig, train
from suffuse.policy.data.demonstrations import ACTION, Demonstrations
from suffuse.policy.data.windows import Batch, WindowBatches
from suffuse.policy.errors import DataError, ModelError
from suffuse.policy.model.policy import DiffusionPolicy
from suffuse.policy.model.pretrained import load_policy
from suffuse.policy.model.sight import Sight, train_sight


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what is trained, apart from the demonstrations.

    Attributes:
        columns: what is read of the demonstrations, besides `action`.
        observations: the columns that the policy sees, of those that `prepare` gives.
        policy: arguments of `DiffusionPolicy`, apart from the shapes, which the demonstrations have.
        limits: the range of an observation, where it is known better than from the data.
        train: the training run.
        batch: windows in a batch.
        held_out: share of the episodes that is only measured, in [0, 1).
        action_steps: actions of a chunk that the finished policy carries out; None: as many as windows are made for.
        prepare: makes of demonstrations as they come those that are trained on (columns, augmentation).
        sight: with it, what is trained are the eyes of a policy that is there already, and `policy` is not looked at.
    """

    columns: tuple[str, ...]
    observations: tuple[str, ...]
    policy: dict[str, Any] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    train: TrainConfig
    batch: int = 256
    held_out: float = 0.0
    action_steps: int | None = None
    prepare: Callable[[Demonstrations], Demonstrations] | None = None
    sight: Sight | None = None

    def summary(self) -> dict[str, Any]:
        """The recipe as plain values, for run.json and logs."""
        plain = asdict(self)
        plain["prepare"] = self.prepare.__name__ if self.prepare else None
        if self.sight is not None:
            plain["sight"]["pictures"] = self.sight.pictures.__name__
        return plain


def new_policy(recipe: Recipe, demonstrations: Demonstrations) -> DiffusionPolicy:
    """An untrained policy for the demonstrations, its normalisers set from them. The weights depend on the seed.

    Where the recipe names no task, it is the one that the demonstrations name (`env_name`).
    """
    chosen = demonstrations.only(recipe.observations)
    torch.manual_seed(recipe.train.seed)
    policy = DiffusionPolicy(
        observations={name: list(chosen.columns[name].shape[1:]) for name in recipe.observations},
        action_size=int(np.prod(chosen.columns[ACTION].shape[1:])),
        **{"task": str(demonstrations.environment.get("env_name", "")), **recipe.policy},
    )
    fit_normalisers(policy, chosen, recipe.limits)
    return policy


@torch.no_grad()
def fit_normalisers(
    policy: DiffusionPolicy, demonstrations: Demonstrations, limits: Mapping[str, tuple[float, float]]
) -> None:
    """Map observations and absolute actions from their ranges to [-1, 1]; relative actions to mean 0, deviation 1.

    Relative actions are normalised at each step of the horizon by itself: they spread with time.
    """
    for name, normaliser in policy.encoder.normalisers.items():
        values = demonstrations.columns[name].astype(np.float32)
        low, high = (torch.from_numpy(edge) for edge in (values.min(axis=0), values.max(axis=0)))
        if name in limits:
            low, high = (torch.full_like(low, edge) for edge in limits[name])
        normaliser.set_limits(low, high)  # type: ignore[operator]
    windows = WindowBatches(
        demonstrations, tuple(policy.shapes) if policy.config["relative_to"] else (), batch=1, seed=0,
        **{name: policy.config[name] for name in ("observation_steps", "horizon", "action_steps")},
    )  # fmt: skip
    every = windows.at(np.arange(len(windows.rows)))
    relative = every.actions - policy._origin(every.observations)
    if policy.config["relative_to"] is None:
        low, high = relative.amin(dim=(0, 1)), relative.amax(dim=(0, 1))
        policy.action_normaliser.set_limits(low.expand(relative.shape[1:]), high.expand(relative.shape[1:]))
    else:
        policy.action_normaliser.set_moments(relative.mean(dim=0), relative.std(dim=0))


def policy_loss(model: nn.Module, batch: Batch, generator: Generator) -> dict[str, Float[Tensor, ""]]:
    """The mean squared error of a batch."""
    return {"loss": model(batch.observations, batch.actions, generator).mean()}


def split(demonstrations: Demonstrations, share: float, seed: int) -> tuple[Demonstrations, Demonstrations | None]:
    """Episodes to train on, and a share of them, chosen by the seed, to measure on; None where the share is 0.

    Raises:
        DataError: the share leaves no episode on one side.
    """
    if share == 0:
        return demonstrations, None
    count = max(round(share * len(demonstrations)), 1)
    if not 0 < count < len(demonstrations):
        raise DataError(f"held_out is {share}; of {len(demonstrations)} episodes it leaves none to train on")
    order = np.random.default_rng(seed).permutation(len(demonstrations))
    return demonstrations.take(np.sort(order[count:])), demonstrations.take(np.sort(order[:count]))


@torch.no_grad()
def held_out_error(policy: DiffusionPolicy, demonstrations: Demonstrations, *, windows: int = 512) -> dict[str, float]:
    """How far drawn actions are from those that were taken, over windows spread over all episodes.

    `action_error` is the root mean square distance of the actions that would be carried out, in the actions' units.
    """
    batches = WindowBatches(
        demonstrations, tuple(policy.shapes), batch=1, seed=0,
        **{name: policy.config[name] for name in ("observation_steps", "horizon", "action_steps")},
    )  # fmt: skip
    chosen = np.unique(np.linspace(0, len(batches.rows) - 1, min(windows, len(batches.rows))).astype(np.int64))
    batch = batches.at(chosen)
    generators = [Generator().manual_seed(int(number)) for number in chosen]
    first = policy.config["observation_steps"] - 1
    carried = slice(first, first + policy.config["action_steps"])
    found = policy.sample(batch.observations, generators)[:, carried]
    return {"action_error": float((found - batch.actions[:, carried]).square().sum(-1).mean().sqrt())}


def begin_with(policy: DiffusionPolicy, init: DiffusionPolicy) -> None:
    """Give a policy the weights and normalisers of another one, so that its training goes on from there.

    Raises:
        ModelError: they are not of one make.
    """
    for name in ("observations", "action_size", "observation_steps", "horizon", "denoiser", "noise", "relative_to"):
        own, other = ({**one.config, "observations": one.shapes}[name] for one in (policy, init))
        if own != other:
            raise ModelError(f"the model to begin with has {name} {other}; the recipe has {own}")
    policy.load_state_dict(init.state_dict())


def train_policy(
    demonstrations: Demonstrations,
    directory: Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    init: DiffusionPolicy | None = None,
) -> DiffusionPolicy:
    """Train on demonstrations; checkpoints go to `directory/run`, the averaged model to `directory`.

    With `init`, training begins with that policy's weights and normalisers instead of fresh ones; a recipe with a
    `sight` teaches it to see.

    Raises:
        DataError: the demonstrations cannot be split as the recipe wants.
        ModelError: `init` is not of the recipe's make.
    """
    train_on, measured = split(demonstrations, recipe.held_out, recipe.train.seed)
    if recipe.sight is not None:
        return train_sight(
            train_on, measured, directory, recipe.sight, recipe.train, batch=recipe.batch, resume=resume,
            blind=init if init is not None else load_policy(recipe.sight.init),
        )  # fmt: skip
    if recipe.prepare is not None:
        train_on = recipe.prepare(train_on)
        measured = recipe.prepare(measured) if measured is not None else None
    policy = new_policy(recipe, train_on)
    if init is not None:
        begin_with(policy, init)
    batches = WindowBatches(
        train_on, recipe.observations, batch=recipe.batch, seed=recipe.train.seed,
        **{name: policy.config[name] for name in ("observation_steps", "horizon", "action_steps")},
    )  # fmt: skip

    def evaluate(averaged: nn.Module, step: int) -> dict[str, float]:
        del step
        assert isinstance(averaged, DiffusionPolicy)
        return {} if measured is None else held_out_error(averaged, measured)

    result = train(
        model=policy, loss=policy_loss, batches=batches, config=recipe.train, directory=directory / "run",
        evaluate=evaluate, resume=resume,
    )  # fmt: skip
    assert isinstance(result.model, DiffusionPolicy)
    if recipe.action_steps is not None:
        result.model.use_action_steps(recipe.action_steps)
    result.model.save_pretrained(directory)
    return result.model
