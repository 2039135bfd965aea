"""From one chunk to the next: which action is carried out where several chunks speak of the same moment."""

from collections import deque
from typing import Literal

import numpy as np
from jaxtyping import Float32

BLENDS: tuple[str, ...] = ("latest", "ensemble", "real-time")
"""`latest`: the newest chunk. `ensemble`: a mean of all (temporal ensemble of Zhao et al. 2023, arXiv:2304.13705).
`real-time`: the newest, which the server draws as a continuation of what is planned (see `continuation.py`)."""

Blend = Literal["latest", "ensemble", "real-time"]

DECAY = 0.01
"""Of the weights of an ensemble: exp(-DECAY i) for the i-th oldest chunk, as published."""


class Plans:
    """Chunks by the moment they begin at."""

    def __init__(self, blend: Blend, *, keep: int = 8) -> None:
        """Nothing planned; the last `keep` chunks are remembered. Raises ValueError for an unknown blend."""
        if blend not in BLENDS:
            raise ValueError(f"blend is {blend!r}; it must be one of {', '.join(BLENDS)}")
        self._blend = blend
        self._chunks: deque[tuple[int, Float32[np.ndarray, "s a"]]] = deque(maxlen=keep)

    def add(self, moment: int, actions: Float32[np.ndarray, "s a"]) -> None:
        """A chunk whose first action is for `moment`."""
        self._chunks.append((moment, actions))

    def left(self, moment: int) -> int:
        """For how many moments from `moment` on there are actions."""
        return max((start + len(actions) - moment for start, actions in self._chunks), default=0)

    def at(self, moment: int) -> Float32[np.ndarray, " a"] | None:
        """The action for a moment, None where nothing is planned."""
        found = [actions[moment - start] for start, actions in self._chunks if 0 <= moment - start < len(actions)]
        if not found:
            return None
        if self._blend != "ensemble":
            return found[-1]
        weights = np.exp(-DECAY * np.arange(len(found)))
        return np.average(np.array(found), axis=0, weights=weights).astype(np.float32)

    def after(self, moment: int) -> list[Float32[np.ndarray, " a"]]:
        """All that is planned from a moment on, action by action."""
        planned = [self.at(one) for one in range(moment, moment + max(self.left(moment), 0))]
        return [action for action in planned if action is not None]
