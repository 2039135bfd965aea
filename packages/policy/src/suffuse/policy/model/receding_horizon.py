"""What one robot has seen lately, and what it is to do next."""

from collections import deque
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Shaped


class RecedingHorizon:
    """The last observations and the actions not yet carried out.

    Before `steps` observations were seen, the first one stands for those before it, as in training.
    """

    def __init__(self, steps: int) -> None:
        """A robot that has seen nothing, of a policy that looks at the last `steps` observations."""
        self.past: deque[Mapping[str, Shaped[np.ndarray, ...]]] = deque(maxlen=steps)
        self.actions: deque[Float32[np.ndarray, " a"]] = deque()

    @property
    def planned(self) -> bool:
        """Whether there is an action that is not carried out yet."""
        return bool(self.actions)

    def see(self, observation: Mapping[str, Shaped[np.ndarray, "..."]]) -> None:
        """Remember one more observation."""
        if not self.past:
            self.past.extend([observation] * (self.past.maxlen or 1))
        self.past.append(observation)

    def seen(self) -> dict[str, Shaped[np.ndarray, "o ..."]]:
        """The last observations by name, the latest last."""
        return {name: np.stack([one[name] for one in self.past]) for name in self.past[-1]}

    def plan(self, actions: Float32[np.ndarray, "s a"]) -> None:
        """Actions to carry out next."""
        self.actions = deque(actions)

    def act(self) -> Float32[np.ndarray, " a"]:
        """The next action. Raises IndexError if none is planned."""
        return self.actions.popleft()
