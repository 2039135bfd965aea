"""Where a node gets its actions from: a policy in this process, or a server (`suffuse-policy serve`)."""

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Shaped

from suffuse.policy.model.policy import DiffusionPolicy, OutOfBounds
from suffuse.policy.model.receding_horizon import RecedingHorizon

if TYPE_CHECKING:
    from suffuse.policy.serve import PolicyClient


@runtime_checkable
class Driver(Protocol):
    """Gives one action for one observation, once every control step.

    Attributes:
        config: that of the policy.
    """

    config: Mapping[str, Any]

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode."""
        ...

    def act(self, observation: Mapping[str, Shaped[np.ndarray, "..."]]) -> tuple[Float32[np.ndarray, " a"], bool]:
        """The next action, and whether it had to be moved into its bounds, as far as that is known."""
        ...


class LocalDriver:
    """A policy in this process. A chunk is drawn when the last one is used up, and the step waits for it."""

    def __init__(self, policy: DiffusionPolicy, *, out_of_bounds: OutOfBounds = "clamp") -> None:
        """Drive by `policy`; actions outside their bounds are moved to them, or refused."""
        self.policy, self.out_of_bounds = policy, out_of_bounds
        self.config: Mapping[str, Any] = {**policy.config, "observations": policy.shapes}
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode; with a seed, its actions can be had again."""
        self.policy.reset(seed)
        self._past = RecedingHorizon(self.config["observation_steps"])
        self._moved: deque[bool] = deque()

    def act(self, observation: Mapping[str, Shaped[np.ndarray, "..."]]) -> tuple[Float32[np.ndarray, " a"], bool]:
        """The next action, and whether it had to be moved. Raises ObservationError, ActionError."""
        steps = self.config["observation_steps"]
        checked = self.policy.check_one({name: np.stack([observation[name]] * steps) for name in self.policy.shapes})
        self._past.see({name: values[-1] for name, values in checked.items()})
        if not self._past.planned:
            chunk = self.policy.predict_action_chunk(self._past.seen(), out_of_bounds=self.out_of_bounds)
            self._past.plan(chunk.actions)
            self._moved = deque(bool(row.any()) for row in chunk.clamped)
        return self._past.act(), self._moved.popleft()


class RemoteDriver:
    """A server, through its client, which asks for the next chunk while the last one is carried out."""

    def __init__(self, client: "PolicyClient") -> None:
        """Drive by the server of `client`. Raises ServeError if it does not answer."""
        self.client = client
        self.config: Mapping[str, Any] = client.describe()

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode."""
        self.client.reset(seed)

    def act(self, observation: Mapping[str, Shaped[np.ndarray, "..."]]) -> tuple[Float32[np.ndarray, " a"], bool]:
        """The next action; the server does not tell which were moved. Raises ServeError, ActionError."""
        return self.client.act(observation), False
