"""Shortcuts for policies: which residual branches of the denoiser are computed at which denoising steps.

`bac` is block-wise adaptive caching (Ji et al. 2025, arXiv:2506.13456) by the shared engine: a transformer's branches
are recorded in full chunks, those of several moments of several simulated episodes, and a schedule is made that uses
the budget up best. `uniform` is the plain alternative: all branches at steps spread evenly.

Calibrations are kept beside the model, one file for each sampler, number of steps and budget.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Generator, Tensor

from suffuse.backbone import Calibration
from suffuse.backbone import calibrate as calibrate_engine
from suffuse.backbone.engine import ShortcutError, check_budget
from suffuse.backbone.shortcuts import BlockAdaptiveCache
from suffuse.policy.environments.actors import PolicyActor
from suffuse.policy.environments.evaluation import roll_out
from suffuse.policy.environments.task import Task
from suffuse.policy.errors import ModelError
from suffuse.policy.model.policy import DiffusionPolicy
from suffuse.policy.model.pretrained import SHIPPED, model_directory
from suffuse.policy.model.stepping import part_names
from suffuse.policy.model.transformer import ActionTransformer

ShortcutName = Literal["bac", "uniform"]

CALIBRATION_SEED = 90_000
"""Seed of the first episode to calibrate on: neither of demonstrations nor held out."""

EPISODES = 16
MOMENTS = 4
FOLDER = "shortcuts"

Moments = dict[str, Shaped[Tensor, "episodes moments o ..."]]


class _Onlooker(PolicyActor):
    """A policy that remembers what it saw whenever it drew a chunk, by the slot."""

    def __init__(self, policy: DiffusionPolicy) -> None:
        super().__init__(policy)
        self.seen: dict[int, list[dict[str, Shaped[np.ndarray, "o ..."]]]] = {}

    def plan(self, slot: int, seen: Mapping[str, Shaped[np.ndarray, "o ..."]]) -> None:
        """Remember it."""
        self.seen.setdefault(slot, []).append(dict(seen))


def moments_of(policy: DiffusionPolicy, task: Task, *, episodes: int = EPISODES, moments: int = MOMENTS) -> Moments:
    """What a policy sees at `moments` moments, spread over each of `episodes` episodes that it acts in."""
    onlooker = _Onlooker(policy)
    roll_out(
        task.showing(policy.shapes), onlooker, range(CALIBRATION_SEED, CALIBRATION_SEED + episodes), slots=episodes
    )
    chosen = []
    for slot in range(episodes):
        drawn = onlooker.seen[slot]
        chosen.append([drawn[at] for at in np.linspace(0, len(drawn) - 1, moments).round().astype(int)])
    return {
        name: torch.from_numpy(np.array([[one[name] for one in episode] for episode in chosen]))
        for name in policy.shapes
    }


def calibrate(policy: DiffusionPolicy, moments: Moments, *, budget: float) -> Calibration:
    """The update steps of block-wise adaptive caching for the policy's sampler and number of steps.

    `spread` of the result is how much the similarities that it goes by differ between episodes; `error` is how far
    chunks drawn with it are from full ones of the same noise, in deviations of the actions, mean over episodes.

    Raises:
        ShortcutError: the budget is outside (0, 1], or less than the least that can be.
        ValueError: the policy is no transformer.
    """
    if not isinstance(policy.network, ActionTransformer):
        raise ValueError("there are no residual branches to leave out in this network: use a transformer")
    episodes = len(next(iter(moments.values())))

    def chunk(episode: int, *, pack: bool) -> Tensor:
        seen = {name: values[episode] for name, values in moments.items()}
        own = [Generator().manual_seed(1000 * episode + row) for row in range(len(next(iter(seen.values()))))]
        return policy.sample(seen, own, pack=pack)

    policy.use_shortcut(None)
    found = calibrate_engine(
        policy.step, BlockAdaptiveCache.name, lambda episode: chunk(episode, pack=False),
        budget=budget, episodes=episodes, steps=policy.sampling_steps,
    )  # fmt: skip
    full = [chunk(episode, pack=True) for episode in range(episodes)]
    with suppress(ValueError):  # nothing is left out
        policy.use_shortcut(_made(found))
    scale = policy.action_normaliser.scale
    errors = [
        float(((chunk(episode, pack=True) - full[episode]) / scale).square().mean().sqrt())
        for episode in range(episodes)
    ]
    policy.use_shortcut(None)
    return replace(found, error=float(np.mean(errors)))


def uniform(policy: DiffusionPolicy, *, budget: float) -> BlockAdaptiveCache:
    """All branches at steps spread evenly, the first and the last among them.

    Raises ShortcutError for a budget outside (0, 1], ValueError for a policy that is no transformer.
    """
    check_budget(budget)
    if not isinstance(policy.network, ActionTransformer):
        raise ValueError("there are no residual branches to leave out in this network: use a transformer")
    steps = policy.sampling_steps
    count = max(min(2, steps), int(budget * steps + 1e-9))
    chosen = tuple(sorted({round(place) for place in np.linspace(0, steps - 1, count).tolist()}))
    return BlockAdaptiveCache(steps=steps, updates=dict.fromkeys(part_names(policy.network.depth), chosen))


def use_shortcut(
    policy: DiffusionPolicy, name: ShortcutName, *, budget: float, model: str | Path, task: Task
) -> Calibration | None:
    """Let a policy take a shortcut by name: calibrated beforehand, or now, and then kept beside the model.

    Returns the calibration of `bac`; `uniform` has none. A model directory that cannot be written to is left as it is.

    Raises:
        ModelError: the calibration that is there cannot be read or does not fit.
        ValueError: the budget is out of range or cannot be kept.
    """
    if name == "uniform":
        policy.use_shortcut(uniform(policy, budget=budget))
        return None
    check_budget(budget)
    path = calibration_path(model, policy, budget=budget)
    if path.is_file():
        try:
            found = Calibration.load(path)
            _check_fits(found, policy, budget)
            policy.use_shortcut(_made(found))
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} does not fit the model: {error}; remove it to calibrate anew") from error
        return found
    found = calibrate(policy, moments_of(policy, task), budget=budget)
    policy.use_shortcut(_made(found))
    if path.parent.parent.parent != SHIPPED:
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            found.save(path)
    return found


def _check_fits(found: Calibration, policy: DiffusionPolicy, budget: float) -> None:
    """Raises ShortcutError unless a calibration is for this budget and names each branch's steps as whole numbers."""
    if found.budget != budget:
        raise ShortcutError(f"it is for budget {found.budget}")
    updates = found.settings.get("updates")
    names = part_names(policy.network.depth) if isinstance(policy.network, ActionTransformer) else ()
    if not isinstance(updates, dict) or set(updates) != set(names):
        raise ShortcutError(f"it must name the update steps of {len(names)} branches")
    for name, steps in updates.items():
        if not isinstance(steps, list) or not steps or not all(type(step) is int for step in steps):
            raise ShortcutError(f"the update steps of {name} must be whole numbers")


def calibration_path(model: str | Path, policy: DiffusionPolicy, *, budget: float) -> Path:
    """Where the calibration of a model for its sampler, steps and a budget is kept."""
    name = f"bac-{policy.sampler}-{policy.sampling_steps}-{budget:g}.json"
    return model_directory(model) / FOLDER / name


def _made(calibration: Calibration) -> BlockAdaptiveCache:
    made = calibration.make()
    if not isinstance(made, BlockAdaptiveCache):
        raise ShortcutError(f"it is for {calibration.shortcut}, and must be for {BlockAdaptiveCache.name}")
    return made
