"""What a straight push does to the T, found by carrying it out in the physics of gym-pusht.

In gym-pusht nothing slides on (damping 0 stops every body after each step), so where the T and the disc are says all
there is to say, and a push can be tried from any pose.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64

from suffuse.policy.environments.pusht_geometry import GOAL, keypoints
from suffuse.policy.environments.task import PUSHT

GIVE_UP = 20.0
"""A push that has made things worse by so many pixels is not followed to its end."""

PHYSICS_STEPS = 10
"""Steps of the physics in one control step."""


def misplacement(pose: Float64[np.ndarray, " 3"]) -> float:
    """Mean distance of the T's corners from where they belong, in pixels."""
    return float(np.linalg.norm(keypoints(pose) - keypoints(GOAL), axis=-1).mean())


class PushSimulator:
    """The physics of one PushT environment, to try pushes in."""

    def __init__(self) -> None:
        """A new environment of its own. Raises TaskError if gym-pusht is not installed."""
        environment: Any = PUSHT.make().unwrapped
        environment.reset(seed=0)
        self.space, self.block, self.agent = environment.space, environment.block, environment.agent
        self.stiffness, self.friction, self.seconds = environment.k_p, environment.k_v, environment.dt

    def push(
        self,
        pose: Float64[np.ndarray, " 3"],
        start: Float64[np.ndarray, " 2"],
        direction: Float64[np.ndarray, " 2"],
        *,
        speed: float,
        steps: int,
    ) -> tuple[float, int, Float64[np.ndarray, " 3"]]:
        """Push from `start` along the unit vector `direction`, the target `speed` pixels further every step.

        Returns the least misplacement on the way, after how many steps it was reached, and the pose then.
        """
        self._put(pose, start)
        best = (misplacement(pose), 0, pose)
        target = np.array(start, dtype=np.float64)
        for number in range(1, steps + 1):
            target += speed * direction
            self._control_step(float(target[0]), float(target[1]))
            found = np.array([*self.block.position, self.block.angle])
            cost = misplacement(found)
            if cost < best[0]:
                best = (cost, number, found)
            elif cost > best[0] + GIVE_UP:
                break
        return best

    def _put(self, pose: Float64[np.ndarray, " 3"], start: Float64[np.ndarray, " 2"]) -> None:
        """Set both bodies, at rest; the angle first, for turning moves a body about its centre of gravity."""
        self.block.angle = float(pose[2])
        self.block.position = float(pose[0]), float(pose[1])
        self.block.velocity, self.block.angular_velocity = (0.0, 0.0), 0.0
        self.agent.position, self.agent.velocity = (float(start[0]), float(start[1])), (0.0, 0.0)
        self.space.reindex_shapes_for_body(self.block)
        self.space.reindex_shapes_for_body(self.agent)

    def _control_step(self, x: float, y: float) -> None:
        """The environment's own controller: a spring and a damper pull the disc to its target."""
        for _ in range(PHYSICS_STEPS):
            (px, py), (vx, vy) = self.agent.position, self.agent.velocity
            self.agent.velocity = (
                vx + (self.stiffness * (x - px) - self.friction * vx) * self.seconds,
                vy + (self.stiffness * (y - py) - self.friction * vy) * self.seconds,
            )
            self.space.step(self.seconds)
