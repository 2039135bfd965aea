"""Recipes: what `train --recipe NAME` does. A recipe is a function that returns a `Recipe`."""

from collections.abc import Callable
from dataclasses import replace

from suffuse.backbone.train import TrainConfig
from suffuse.policy.environments.fetch import of_fetch
from suffuse.policy.environments.metaworld import of_metaworld
from suffuse.policy.environments.pusht_geometry import SIDE, with_mirror_images
from suffuse.policy.environments.pusht_pictures import PIXELS, seen_pictures
from suffuse.policy.environments.pusht_sight import PushTSights
from suffuse.policy.errors import ModelError
from suffuse.policy.model.sight import Sight
from suffuse.policy.model.training import Recipe


def pusht(*, steps: int = 30_000, seed: int = 0, batch: int = 128, learning_rate: float = 1.5e-3) -> Recipe:
    """PushT from keypoints: about an hour and a half on one core.

    Actions are told relative to the disc, so that the network's unit is how far a disc moves rather than the arena. The
    demonstrations are doubled by the mirror that leaves the task as it is. The network predicts the velocity, from
    which clean actions follow well at every noise level, so that few steps are enough. Windows are made for eight
    actions to be carried out; the finished policy carries out four.
    """
    return Recipe(
        columns=("state",),
        observations=("agent_pos", "environment_state"),
        policy={
            "horizon": 10,
            "denoiser": {"type": "transformer", "width": 192, "depth": 6, "heads": 3},
            "noise": {"prediction": "v_prediction", "clip": 5.0},
            "sampler": "dpm",
            "sampling_steps": 5,
            "relative_to": "agent_pos",
            "action_low": [0.0, 0.0],
            "action_high": [SIDE, SIDE],
            "task": "gym_pusht/PushT-v0",
        },
        limits={"agent_pos": (0.0, SIDE), "environment_state": (0.0, SIDE)},
        train=TrainConfig(
            steps=steps,
            learning_rate=learning_rate,
            warmup_steps=min(500, steps // 10),
            weight_decay=1e-3,
            ema_decay=0.999,
            mixed_precision="bf16",
            log_every=50,
            evaluate_every=max(steps // 10, 1),
            checkpoint_every_steps=250,
            seed=seed,
        ),
        batch=batch,
        action_steps=4,
        prepare=with_mirror_images,
    )


def pusht_bc(*, steps: int = 10_000, seed: int = 0, batch: int = 256, learning_rate: float = 1e-3) -> Recipe:
    """PushT by plain behaviour cloning, a baseline: an MLP that gives the mean of the actions. Minutes on one core."""
    diffusion = pusht(steps=steps, seed=seed, batch=batch, learning_rate=learning_rate)
    network = {
        "denoiser": {"type": "mlp", "width": 512, "depth": 4}, "noise": {"process": "regression"},
        "sampler": "mean", "sampling_steps": 1,
    }  # fmt: skip
    return replace(diffusion, policy={**diffusion.policy, **network})


def pusht_image(*, steps: int = 100_000, seed: int = 0, batch: int = 64, learning_rate: float = 3e-4) -> Recipe:
    """PushT from pictures of 96 x 96 and where the disc is: for a GPU, since every step encodes 128 pictures.

    The demonstrations need a column `pixels`; `prepare --pixels` draws it from the states.
    """
    state = pusht(steps=steps, seed=seed, batch=batch, learning_rate=learning_rate)
    return replace(
        state,
        columns=("state", "pixels"),
        observations=("agent_pos", "pixels"),
        limits={"agent_pos": (0.0, SIDE)},
        prepare=seen_pictures,
    )


def pusht_sight(*, steps: int = 2_000, seed: int = 0, batch: int = 64, learning_rate: float = 1e-3) -> Recipe:
    """PushT from pictures of 96 x 96 and where the disc is: the eyes of a policy of keypoints. 20 minutes on one core.

    A ResNet-18 learns where the corners of bar and stem are in pictures of states near the demonstrated ones; the
    policy, the shipped one or that of `--init`, then acts on the corners that it sees.
    """
    return Recipe(
        columns=("state",),
        observations=("agent_pos", PIXELS),
        sight=Sight(
            init="pusht", keypoints="environment_state", pixels=PIXELS, shape=(96, 96, 3), side=SIDE,
            pictures=PushTSights,
        ),
        train=TrainConfig(
            steps=steps,
            learning_rate=learning_rate,
            warmup_steps=min(200, steps // 10),
            weight_decay=1e-3,
            ema_decay=0.998,
            mixed_precision="bf16",
            log_every=20,
            evaluate_every=max(steps // 10, 1),
            checkpoint_every_steps=250,
            seed=seed,
        ),
        batch=batch,
        held_out=0.1,
    )  # fmt: skip


def metaworld(*, steps: int = 3_000, seed: int = 0, batch: int = 128, learning_rate: float = 1e-3) -> Recipe:
    """A task of Metaworld from its state, which shows the step before too: minutes on one core.

    What the policy was trained for is what the demonstrations say.
    """
    return Recipe(
        columns=("state",),
        observations=("state",),
        policy={
            "observation_steps": 1,
            "horizon": 4,
            "action_steps": 4,
            "denoiser": {"type": "transformer", "width": 128, "depth": 3, "heads": 4},
            "noise": {"prediction": "v_prediction"},
            "sampling_steps": 5,
            "action_low": [-1.0] * 4,
            "action_high": [1.0] * 4,
        },
        train=TrainConfig(
            steps=steps,
            learning_rate=learning_rate,
            warmup_steps=min(200, steps // 10),
            weight_decay=1e-3,
            ema_decay=0.995,
            mixed_precision="bf16",
            log_every=50,
            checkpoint_every_steps=1000,
            seed=seed,
        ),
        batch=batch,
        prepare=of_metaworld,
    )


def fetch(*, steps: int = 3_000, seed: int = 0, batch: int = 128, learning_rate: float = 1e-3) -> Recipe:
    """A task of the Fetch arm from its state, which holds velocities and the goal: minutes on one core."""
    return replace(metaworld(steps=steps, seed=seed, batch=batch, learning_rate=learning_rate), prepare=of_fetch)


RECIPES: dict[str, Callable[..., Recipe]] = {
    "pusht": pusht, "pusht-bc": pusht_bc, "pusht-image": pusht_image, "pusht-sight": pusht_sight,
    "metaworld": metaworld, "fetch": fetch,
}  # fmt: skip


def recipe_by_name(
    name: str,
    *,
    steps: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """A recipe with some of its settings replaced. Raises ModelError for an unknown name."""
    if name not in RECIPES:
        raise ModelError(f"--recipe is {name!r}, but must be one of {', '.join(RECIPES)}")
    settings = {"steps": steps, "batch": batch, "learning_rate": learning_rate}
    return RECIPES[name](seed=seed, **{key: value for key, value in settings.items() if value is not None})
