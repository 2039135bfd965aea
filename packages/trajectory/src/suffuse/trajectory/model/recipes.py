"""Recipes: what `train --recipe NAME` does. A recipe is a function that returns a `Recipe`."""

from collections.abc import Callable
from dataclasses import replace

from suffuse.backbone.train import TrainConfig
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.batches import BatchConfig
from suffuse.trajectory.model.generate import Sharpness
from suffuse.trajectory.model.training import Recipe

REAL_DRIVERS = Sharpness(temperature=1.8, spread=0.35, route_choice=1.0)
"""How they were chosen: docs/decisions/0010."""


def la_serena(*, steps: int = 2500, seed: int = 0, batch: int = 128) -> Recipe:
    """The recipe of the shipped model: about an hour on one core."""
    return Recipe(
        model={"width": 128, "depth": 4},
        batch=BatchConfig(trips=batch),
        train=TrainConfig(
            steps=steps,
            learning_rate=2e-3,
            warmup_steps=min(100, steps // 10),
            ema_decay=0.99,
            mixed_precision="bf16",
            log_every=25,
            evaluate_every=max(steps // 5, 1),
            checkpoint_every_steps=100,
            seed=seed,
        ),
    )


def city(*, steps: int = 2500, seed: int = 0, batch: int = 128) -> Recipe:
    """The recipe for a city with trips of its own; used as suits the drivers of San Francisco (docs/decisions/0010)."""
    return replace(la_serena(steps=steps, seed=seed, batch=batch), sharpness=REAL_DRIVERS)


ANY_DRIVERS = Sharpness(temperature=1.0, spread=0.0, route_choice=1.0)
"""The network is trained beside its recursive logit; both together are what was learned: docs/decisions/0019."""


def transfer(*, steps: int = 2000, seed: int = 0, batch: int = 128) -> Recipe:
    """The recipe for cities without trips: learned from several others, without anything that was counted there."""
    recipe = la_serena(steps=steps, seed=seed, batch=batch)
    return replace(recipe, batch=replace(recipe.batch, no_usage=1.0, turned=8), sharpness=ANY_DRIVERS)


def tiny(*, steps: int = 60, seed: int = 0, batch: int = 32) -> Recipe:
    """A small network and few steps: to see that one's own files work before training for real."""
    return Recipe(
        model={"width": 32, "depth": 2, "heads": 2, "road_width": 16, "road_heads": 2, "scorer_width": 16},
        batch=BatchConfig(trips=batch, folds=2),
        train=TrainConfig(
            steps=steps,
            learning_rate=3e-3,
            warmup_steps=min(10, steps),
            ema_decay=0.9,
            log_every=20,
            checkpoint_every_steps=50,
            seed=seed,
        ),
    )


RECIPES: dict[str, Callable[..., Recipe]] = {"la-serena": la_serena, "city": city, "transfer": transfer, "tiny": tiny}
"""By name."""

SIMULATED_TRIPS = {"la-serena": 100_000, "transfer": 1200}
"""Simulated trips of a recipe, for each city that has none of its own."""


def recipe_by_name(name: str, *, steps: int | None, seed: int, batch: int | None) -> Recipe:
    """A recipe with some of its settings replaced. Raises ModelError for an unknown name."""
    if name not in RECIPES:
        raise ModelError(f"--recipe is {name!r}, but must be one of {', '.join(RECIPES)}")
    settings = {"steps": steps, "batch": batch}
    return RECIPES[name](seed=seed, **{key: value for key, value in settings.items() if value is not None})
