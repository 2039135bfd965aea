"""Scripted experts for the Fetch arm: what they see is what a policy sees, and they remember nothing.

A gripper goes straight to a place, a twentieth of a metre a step at most. To lift: over the block with open fingers,
down on it, close, and carry it to the goal. To push: around the block to behind it, as seen from the goal, down, and
through it towards the goal, again from behind when it has slipped off the line.

Where a rule changes, the way is bent rather than broken, for what is smooth is easier to learn. Places are in metres: x
away from the robot, y to its left, z up.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Float32

from suffuse.policy.environments.task import Episode, Task

Place = Float[np.ndarray, " 3"]

STRIDE = 0.05
"""Metres that an action of 1 asks for."""

GAIN = 2.0
"""Strides that are asked for, a stride of the way that is left: the arm lags behind what it is told."""

OPEN, CLOSED = 1.0, -1.0
OVER = 0.08
"""Height over a block at which the open gripper comes."""

CLEAR = 0.06
"""Height over a block's middle at which the closed gripper passes it."""

ALIGNED = 0.005
SLOPE = 0.04
"""A gripper comes down over the last `SLOPE` of its way to a place, and is down where `ALIGNED` of it are left."""

LOW = 0.03
"""Metres too low, and away, at which a gripper goes up before it goes anywhere."""

GRIPPED = 0.015
"""Distance of the gripper's middle from the block's at which it closes."""

GRASP = 0.054
"""Sum of both fingers' places up to which they hold a block of twice 2.5 cm."""

BLOCK_HALF = 0.025
BEHIND = 0.09
"""Distance of the gripper's middle from the block's where a push begins."""

SLIPPED = 0.02
"""Sideways distance from the line through block and goal at which a push is given up."""

PUSH = 0.02
"""Metres ahead that a push aims at, each step."""


class FetchActor:
    """The expert for one task of the Fetch arm, in several episodes."""

    def __init__(self, task: Task) -> None:
        """The expert of a task."""
        self.expert = EXPERTS[task.name.partition("/")[2].removesuffix("-v4")]

    def begin(self, slot: int, episode: Episode) -> None:
        """Nothing is kept from one episode to the next."""

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, Float32[np.ndarray, " a"]]:
        """The next action of every episode under way, by slot, in [-1, 1]."""
        return {slot: self.expert(episode.observation["state"]) for slot, episode in episodes.items()}


def towards(way: Place, fingers: float) -> Float32[np.ndarray, " 4"]:
    """The action that goes straight along a way, and opens the fingers or closes them."""
    asked = GAIN / STRIDE * way
    return np.array([*(asked / max(1.0, float(np.abs(asked).max()))), fingers], dtype=np.float32)


def sloped(away: float, height: float) -> float:
    """The height to fly at: all of it from afar, nothing at the place, and a slope between."""
    return height * min(max(away - ALIGNED, 0.0) / SLOPE, 1.0)


def reach(state: Float[np.ndarray, " 13"]) -> Float32[np.ndarray, " 4"]:
    """Straight to the goal."""
    return towards(state[-3:] - state[:3], CLOSED)


def pick_and_place(state: Float[np.ndarray, " 28"]) -> Float32[np.ndarray, " 4"]:
    """Over the block, down, close, carry."""
    gripper, block, goal, fingers = state[:3], state[3:6], state[-3:], state[9] + state[10]
    to_block = block - gripper
    aside = float(np.linalg.norm(to_block[:2]))
    if np.linalg.norm(to_block) > GRIPPED:
        return towards(np.array([*to_block[:2], to_block[2] + sloped(aside, OVER)]), OPEN)
    if fingers > GRASP:
        return towards(to_block, CLOSED)
    return towards(goal - block, CLOSED)


def push(state: Float[np.ndarray, " 28"]) -> Float32[np.ndarray, " 4"]:
    """Around the block, down behind it, and through it towards the goal."""
    gripper, block, goal = state[:3], state[3:6], state[-3:]
    ahead = (goal - block)[:2]
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
    left = np.array([-ahead[1], ahead[0]])
    from_block = (gripper - block)[:2]
    along, aside = float(from_block @ ahead), float(from_block @ left)
    down = block[2] - gripper[2]
    if along < 0 and abs(aside) < SLIPPED and -down < BLOCK_HALF:
        return towards(np.array([*(PUSH * ahead - aside * left), down]), CLOSED)
    level = (-BEHIND - along) * ahead - aside * left
    away = float(np.linalg.norm(level))
    up = down + sloped(away, CLEAR)
    return towards(np.array([*(0 * level if up > LOW and away > LOW else level), up]), CLOSED)


EXPERTS: dict[str, Callable[[Float[np.ndarray, " s"]], Float32[np.ndarray, " 4"]]] = {
    "reach": reach, "push": push, "pick-and-place": pick_and_place,
}  # fmt: skip
"""By the task's name."""
