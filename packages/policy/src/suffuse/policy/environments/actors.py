"""Whatever acts in an episode: a policy, or a baseline that answers the same calls.

An actor drives several episodes at once, each in a slot. What it does in one depends on that episode's seed and
observations alone, not on the others.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from torch import Generator

from suffuse.policy.environments.task import Episode
from suffuse.policy.model.policy import DiffusionPolicy, OutOfBounds
from suffuse.policy.model.receding_horizon import RecedingHorizon


@runtime_checkable
class Actor(Protocol):
    """Drives episodes."""

    def begin(self, slot: int, episode: Episode) -> None:
        """A new episode in a slot."""
        ...

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, Float32[np.ndarray, " a"]]:
        """The next action of every episode under way, by slot."""
        ...


APART = 1
"""Beside an episode's seed: environments draw places from the plain one, which whoever acts may not know."""


class PolicyActor:
    """A diffusion policy in several episodes: chunks that are due at the same time are drawn in one call.

    The last bits of a matrix product depend on its number of rows. With one episode at a time, actions are those that
    `select_action` gives, bit for bit; with more, they are so but for rounding.
    """

    def __init__(self, policy: DiffusionPolicy, *, out_of_bounds: OutOfBounds = "clamp") -> None:
        """`policy` for any number of episodes."""
        self.policy, self.out_of_bounds = policy, out_of_bounds
        self.states: dict[int, RecedingHorizon] = {}
        self.generators: dict[int, Generator] = {}
        self.drawn = self.clamped = 0
        self.settings: dict[str, Any] = {}

    def begin(self, slot: int, episode: Episode) -> None:
        """Forget the last episode in the slot; the noise of the new one comes from its seed."""
        self.states[slot] = RecedingHorizon(self.policy.config["observation_steps"])
        self.generators[slot] = Generator().manual_seed(episode.seed)

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, Float32[np.ndarray, " a"]]:
        """The next action of every episode under way, by slot."""
        for slot, episode in episodes.items():
            self.states[slot].see({name: np.asarray(episode.observation[name]) for name in self.policy.shapes})
        if due := [slot for slot in episodes if not self.states[slot].planned]:
            seen = [self.states[slot].seen() for slot in due]
            for slot, one in zip(due, seen, strict=True):
                self.plan(slot, one)
            chunk = self.policy.predict_action_chunk(
                {name: np.stack([one[name] for one in seen]) for name in self.policy.shapes},
                generators=[self.generators[slot] for slot in due],
                out_of_bounds=self.out_of_bounds,
            )
            self.drawn += chunk.clamped[..., 0].size
            self.clamped += int(chunk.clamped.any(axis=-1).sum())
            for slot, actions in zip(due, chunk.actions, strict=True):
                self.states[slot].plan(actions)
        return {slot: self.states[slot].act() for slot in episodes}

    def plan(self, slot: int, seen: Mapping[str, Shaped[np.ndarray, "o ..."]]) -> None:
        """Told what the episode in a slot has seen lately whenever a chunk is drawn for it: for those who look on."""


class RandomActor:
    """Uniform actions within their bounds, held for `hold` steps: what no skill at all is worth."""

    def __init__(self, *, hold: int = 8) -> None:
        """Actions that last `hold` steps."""
        self.hold = hold
        self.generators: dict[int, np.random.Generator] = {}
        self.actions: dict[int, Float32[np.ndarray, " a"]] = {}

    def begin(self, slot: int, episode: Episode) -> None:
        """Draw anew from the seed of the episode."""
        self.generators[slot] = np.random.default_rng(np.random.SeedSequence([episode.seed, APART]))

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, Float32[np.ndarray, " a"]]:
        """The next action of every episode under way, by slot."""
        for slot, episode in episodes.items():
            if episode.steps % self.hold == 0:
                space = episode.environment.action_space
                low, high = (torch.as_tensor(edge).numpy() for edge in (space.low, space.high))  # type: ignore[attr-defined]
                self.actions[slot] = self.generators[slot].uniform(low, high).astype(np.float32)
        return {slot: self.actions[slot] for slot in episodes}
