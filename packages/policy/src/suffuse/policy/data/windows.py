"""Windows of demonstrations: what a policy saw, and the actions that followed.

A window is `horizon` moments long. Its first `observation_steps` moments are seen; its last `horizon -
observation_steps + 1` actions lie ahead. Moments before an episode's first and after its last repeat that one, as in
Diffusion Policy (Chi et al. 2023, arXiv:2303.04137), up to `action_steps - 1` moments past the end, so that every
window has at least one action that was really taken among those that a policy would carry out.

Dimensions: b windows of a batch, o observation steps, h horizon, a action.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from suffuse.policy.data.demonstrations import ACTION, Demonstrations


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows side by side: observations (b, o, ...) by name, actions (b, h, a), in the data set's own units."""

    observations: dict[str, Shaped[Tensor, "b o ..."]]
    actions: Float[Tensor, "b h a"]

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "Batch":
        """The same on another device."""
        moved = {name: values.to(device, non_blocking=non_blocking) for name, values in self.observations.items()}
        return Batch(observations=moved, actions=self.actions.to(device, non_blocking=non_blocking))


def window_rows(
    demonstrations: Demonstrations, *, observation_steps: int, horizon: int, action_steps: int
) -> Int64[np.ndarray, "windows horizon"]:
    """The rows of every window, in the order of the episodes.

    Raises:
        ValueError: a number is below 1, or the horizon does not reach over what is seen and carried out.
    """
    needed = observation_steps - 1 + action_steps
    if min(observation_steps, action_steps) < 1 or horizon < needed:
        raise ValueError(
            f"horizon is {horizon}; it must be at least observation_steps - 1 + action_steps = {needed}, each >= 1"
        )
    windows = []
    for start, end in zip(demonstrations.episode_starts, demonstrations.episode_ends, strict=True):
        first = np.arange(
            start - observation_steps + 1, max(end - horizon + action_steps, start - observation_steps + 2)
        )
        windows.append(np.clip(first[:, None] + np.arange(horizon), start, end - 1))
    return np.concatenate(windows)


class WindowBatches:
    """`batches[k]`: windows in random order, every window once before any a second time.

    A batch depends on its number and the seed alone, as the training loop needs it.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        observations: tuple[str, ...],
        *,
        observation_steps: int,
        horizon: int,
        action_steps: int,
        batch: int,
        seed: int,
    ) -> None:
        """Windows of `demonstrations` with the named observations, `batch` at a time."""
        if batch < 1:
            raise ValueError(f"batch is {batch}; it must be at least 1")
        self.rows = window_rows(
            demonstrations, observation_steps=observation_steps, horizon=horizon, action_steps=action_steps
        )
        chosen = demonstrations.only(observations)
        self.observations = {
            name: torch.from_numpy(np.ascontiguousarray(chosen.columns[name])) for name in observations
        }
        self.actions = torch.from_numpy(chosen.columns[ACTION].astype(np.float32))
        self.observation_steps, self.batch, self.seed = observation_steps, batch, seed
        self._order: tuple[int, Int64[np.ndarray, " windows"]] | None = None

    def _epoch(self, number: int) -> Int64[np.ndarray, " windows"]:
        """The order of the windows in one pass over them."""
        if self._order is None or self._order[0] != number:
            generator = np.random.default_rng(np.random.SeedSequence([self.seed, number]))
            self._order = number, generator.permutation(len(self.rows))
        return self._order[1]

    def __getitem__(self, index: int) -> Batch:
        """The batch number `index`."""
        places = np.arange(index * self.batch, (index + 1) * self.batch)
        epochs, within = np.divmod(places, len(self.rows))
        windows = np.concatenate([self._epoch(int(e))[within[epochs == e]] for e in np.unique(epochs)])
        return self.at(windows)

    def at(self, windows: Int64[np.ndarray, " b"]) -> Batch:
        """The windows of the given numbers."""
        rows = torch.from_numpy(self.rows[windows])
        seen = rows[:, : self.observation_steps]
        return Batch(
            observations={name: values[seen] for name, values in self.observations.items()}, actions=self.actions[rows]
        )
