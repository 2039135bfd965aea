"""Pictures of PushT to learn to see from: states near the demonstrated ones, drawn by the simulator.

A policy comes to poses that nobody demonstrated, so the demonstrated states are moved a little before they are drawn,
half of them are mirrored, and one in eight is drawn from where episodes may begin.

Dimensions: b pictures of a batch.
"""

import numpy as np
import torch
from jaxtyping import Float

from suffuse.policy.data.demonstrations import Demonstrations
from suffuse.policy.environments.pusht_geometry import AGENT_RADIUS, SIDE, keypoints, mirrored
from suffuse.policy.environments.pusht_pictures import PushTCamera, recorded_states
from suffuse.policy.errors import DataError
from suffuse.policy.model.sight import Pictures

NUDGE = (12.0, 12.0, 10.0, 10.0, 0.15)
"""Standard deviations by which demonstrated states are moved: disc and T in pixels of the arena, angle in radians."""

BEGINNING = 0.125
"""Share of pictures of states where an episode may begin."""

FIRST = ((50.0, 450.0), (50.0, 450.0), (100.0, 400.0), (100.0, 400.0), (-np.pi, np.pi))
"""Where episodes of gym-pusht begin: ranges of the state's numbers."""


class PushTSights:
    """`sights[k]`: pictures of states, and where the corners of bar and stem are in them; `k` and the seed decide."""

    def __init__(self, demonstrations: Demonstrations, batch: int, seed: int) -> None:
        """Pictures near the `state` of the demonstrations, `batch` at a time. Raises DataError, TaskError."""
        self.states = recorded_states(demonstrations).astype(np.float64)
        if float(np.median(self.states[:, :4])) < SIDE / 100:
            middle = float(np.median(self.states[:, :4]))
            raise DataError(f"places in state are about {middle:.3g}; they must be pixels of an arena of {SIDE:g}")
        self.batch, self.seed = batch, seed
        self.camera = PushTCamera()

    def __getitem__(self, index: int) -> Pictures:
        """The batch number `index`."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, index]))
        states = self.states[rng.integers(len(self.states), size=self.batch)]
        states = np.where(rng.random((self.batch, 1)) < 0.5, mirrored(states), states)
        states = states + rng.normal(size=states.shape) * NUDGE
        low, high = np.array(FIRST).T
        begins = rng.random((self.batch, 1)) < BEGINNING
        return self.drawn(np.where(begins, rng.uniform(low, high, states.shape), states))

    def demonstrated(self, demonstrations: Demonstrations, count: int) -> Pictures:
        """Pictures of `count` states of demonstrations, spread over all, as they are."""
        states = recorded_states(demonstrations).astype(np.float64)
        return self.drawn(states[np.linspace(0, len(states) - 1, min(count, len(states))).astype(np.int64)])

    def drawn(self, states: Float[np.ndarray, "b 5"]) -> Pictures:
        """Pictures of states, the disc within the walls."""
        states = states.copy()
        states[:, :2] = states[:, :2].clip(AGENT_RADIUS, SIDE - AGENT_RADIUS)
        pixels = np.stack([self.camera(state) for state in states])
        corners = keypoints(states[:, 2:]).reshape(len(states), -1)
        return Pictures(
            pixels=torch.from_numpy(pixels).movedim(-1, 1).contiguous(),
            keypoints=torch.from_numpy((2 * corners / SIDE - 1).astype(np.float32)),
        )

    def close(self) -> None:
        """Free the simulator."""
        self.camera.close()
