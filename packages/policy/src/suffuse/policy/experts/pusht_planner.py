"""A scripted expert for PushT: try straight pushes in a simulator, carry out the best, look again.

Where to push is sampled: points on the outline of the T, angles within half a radian of the inward normal. Every push
is carried out in the simulator and rated by how well it leaves the T, and by how far the disc has to go to begin it.
The best few are rated again with the best push after them, since turning the T and moving it are seldom done by one
push. The nearer the goal, the slower the pushes.

Nothing here has seen a demonstration. It needs to see corners and disc, no more than a policy does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from suffuse.policy.environments.pusht_geometry import AGENT_RADIUS, OUTLINE, SIDE, to_world, turn
from suffuse.policy.experts.pusht_route import distance_to_t
from suffuse.policy.experts.pusht_simulator import PushSimulator, misplacement

SPACING = 8.0
"""Pixels between the points of the outline."""

GAP = 5.0
"""Pixels between disc and T when a push begins."""

WALL = 22.0
"""Pixels between the disc's centre and the edge of the arena, at least."""

STEEPEST = 0.5
"""Radians between a push and the inward normal, at most."""

FAR_PRICE, NEXT_PRICE = 0.012, 0.006
"""Misplacement that a pixel of way to a push, and to the push after it, is worth."""

GOOD_ENOUGH = 2.0
"""A push that leaves less misplacement than this needs no thought of the next one."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """A straight push: where the disc begins, where to, how fast, how far; and what it leaves."""

    start: Float64[np.ndarray, " 2"]
    direction: Float64[np.ndarray, " 2"]
    speed: float
    steps: int
    leaves: float
    pose: Float64[np.ndarray, " 3"]


@dataclass(frozen=True, kw_only=True)
class PlannerConfig:
    """How hard the planner looks.

    Attributes:
        pushes: tried first.
        beam: of those, rated again.
        next_pushes: tried after each of them.
    """

    pushes: int = 72
    beam: int = 5
    next_pushes: int = 36

    def __post_init__(self) -> None:
        """Raises ValueError for a number below 1."""
        for name in ("pushes", "beam", "next_pushes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


def pose_of(environment_state: Float[np.ndarray, " 16"]) -> Float64[np.ndarray, " 3"]:
    """The pose of the T from its corners: the first two are the ends of the bar's outer edge."""
    corners = np.asarray(environment_state, dtype=np.float64).reshape(8, 2)
    along = corners[1] - corners[0]
    return np.array([*(corners[0] + corners[1]) / 2, np.arctan2(along[1], along[0])])


def contacts() -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n 2"]]:
    """Points on the outline in the block's frame, and the outward unit normal at each."""
    points, normals = [], []
    for a, b in zip(OUTLINE, np.roll(OUTLINE, -1, axis=0), strict=True):
        length = float(np.linalg.norm(b - a))
        count = max(2, int(length / SPACING))
        along = (b - a) / length
        points.append(a + (np.arange(count)[:, None] + 0.5) / count * (b - a))
        normals.append(np.tile([along[1], -along[0]], (count, 1)))
    return np.concatenate(points), np.concatenate(normals)


class PushTPlanner:
    """Finds the next push."""

    def __init__(self, config: PlannerConfig | None = None) -> None:
        """A planner with a simulator of its own. Raises TaskError if gym-pusht is not installed."""
        self.config = config or PlannerConfig()
        self.simulator = PushSimulator()
        self.points, self.normals = contacts()

    def plan(
        self, agent: Float64[np.ndarray, " 2"], pose: Float64[np.ndarray, " 3"], rng: np.random.Generator
    ) -> Push | None:
        """The push to make next; None where the disc can get at the T nowhere, or nothing that was tried helps."""
        speed, steps = pace(misplacement(pose))
        tried = list(self._try(pose, self.config.pushes, speed, steps, rng))
        rated = sorted(
            (
                (push.leaves + FAR_PRICE * float(np.linalg.norm(push.start - agent)), push)
                for push in tried
                if push.steps
            ),
            key=lambda pair: pair[0],
        )
        if not rated:
            return None
        if rated[0][1].leaves < GOOD_ENOUGH:
            return rated[0][1]
        best = None
        for alone, push in rated[: self.config.beam]:
            after = [
                following.leaves + NEXT_PRICE * float(np.linalg.norm(following.start - push.start))
                for following in self._try(push.pose, self.config.next_pushes, speed, steps, rng)
            ]
            way = FAR_PRICE * float(np.linalg.norm(push.start - agent))
            score = min([alone - way, *(value + 1.0 for value in after)]) + way
            if best is None or score < best[0]:
                best = score, push
        assert best is not None
        return best[1]

    def _try(
        self, pose: Float64[np.ndarray, " 3"], count: int, speed: float, steps: int, rng: np.random.Generator
    ) -> Iterator[Push]:
        """Carry out random pushes that the disc has room for, at most `count`."""
        points = to_world(self.points, pose)
        normals = self.normals @ turn(pose[2]).T
        starts = points + (AGENT_RADIUS + GAP) * normals
        free = (starts > WALL).all(axis=1) & (starts < SIDE - WALL).all(axis=1)
        free &= distance_to_t(starts, pose) > AGENT_RADIUS + 2
        places = np.flatnonzero(free)
        if not len(places):
            return
        order = np.concatenate([rng.permutation(places) for _ in range(-(-count // len(places)))])[:count]
        for place in order:
            direction = turn(rng.uniform(-STEEPEST, STEEPEST)) @ -normals[place]
            leaves, taken, after = self.simulator.push(pose, starts[place], direction, speed=speed, steps=steps)
            yield Push(start=starts[place], direction=direction, speed=speed, steps=taken, leaves=leaves, pose=after)


def pace(misplaced: float) -> tuple[float, int]:
    """Pixels a step, and steps at most, of pushes at so much misplacement."""
    if misplaced < 9:
        return 2.5, 16
    return (5.0, 14) if misplaced < 25 else (12.0, 14)
