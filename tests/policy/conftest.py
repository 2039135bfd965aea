"""Small demonstrations and policies, quick to make and to check by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from suffuse.policy.data import Demonstrations
from suffuse.policy.model.policy import DiffusionPolicy

STATE_SIZE = 3


def make_demonstrations(lengths: tuple[int, ...] = (5, 9, 7), *, seed: int = 0, images: bool = False) -> Demonstrations:
    """Random walks: the state is where one is, the action where one is next; values have no short binary form."""
    rng = np.random.default_rng(seed)
    rows = sum(lengths)
    state = rng.normal(size=(rows, STATE_SIZE)).cumsum(axis=0).astype(np.float32)
    columns: dict[str, np.ndarray] = {
        "state": state,
        "action": state[:, :2] + rng.normal(size=(rows, 2)).astype(np.float32),
    }
    columns["keypoint"] = rng.normal(size=(rows, 4, 2)).astype(np.float32)
    columns["reward"] = rng.uniform(size=rows).astype(np.float32)
    if images:
        ramp = np.linspace(0, 120, 32)[None, :, None, None] * np.ones((rows, 1, 48, 3))
        shade = np.arange(rows)[:, None, None, None] * np.array([6.0, 3.0, 0.0])
        columns["image"] = np.clip(ramp + shade, 0, 255).astype(np.uint8)
    return Demonstrations(
        columns=columns, episode_ends=np.cumsum(lengths).astype(np.int64), fps=10.0,
        tasks=tuple(f"task {number % 2}" for number in range(len(lengths))),
        splits={"train": tuple(range(len(lengths) - 1)), "valid": (len(lengths) - 1,)},
    )  # fmt: skip


@pytest.fixture
def make() -> Callable[..., Demonstrations]:
    """`make_demonstrations`."""
    return make_demonstrations


@pytest.fixture
def make_policy() -> Callable[..., DiffusionPolicy]:
    """A small policy of random weights; keyword arguments replace its own."""

    def build(**changes: object) -> DiffusionPolicy:
        torch.manual_seed(0)
        settings: dict[str, object] = {
            "observations": {"state": [3], "keypoint": [4, 2]},
            "action_size": 2,
            "horizon": 8,
            "action_steps": 4,
            "denoiser": {"type": "transformer", "width": 16, "depth": 2, "heads": 2},
        }
        return DiffusionPolicy(**{**settings, **changes}).eval()  # type: ignore[arg-type]

    return build
