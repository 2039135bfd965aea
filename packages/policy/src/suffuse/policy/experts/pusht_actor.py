"""The planner as an actor: what it has in mind becomes one target a control step."""

from collections.abc import Generator, Mapping

import numpy as np
from jaxtyping import Float32, Float64

from suffuse.policy.environments.pusht_geometry import SIDE
from suffuse.policy.environments.task import Episode, Observation
from suffuse.policy.experts.pusht_planner import PlannerConfig, Push, PushTPlanner, pose_of
from suffuse.policy.experts.pusht_route import route

WALK = 22.0
"""Pixels a step when nothing is pushed."""

ARRIVED = 3.0
"""Pixels from where a push begins, near enough to begin it."""

PATIENCE = 6
"""Steps to wait for that."""

Target = Float64[np.ndarray, " 2"]
Steering = Generator[Target, Observation, None]


def _agent(seen: Observation) -> Target:
    return np.asarray(seen["agent_pos"], dtype=np.float64)


def walk(seen: Observation, push: Push) -> Generator[Target, Observation, Observation]:
    """Go to where a push begins, around the T, and wait to arrive. Gives back what is seen then."""
    target = _agent(seen)
    for corner in route(target, push.start, pose_of(seen["environment_state"]))[1:]:
        while (far := float(np.linalg.norm(corner - target))) > 1e-6:
            target = target + (corner - target) * min(1.0, WALK / far)
            seen = yield target
    for _ in range(PATIENCE):
        if np.linalg.norm(_agent(seen) - push.start) < ARRIVED:
            break
        seen = yield push.start
    return seen


def steer(planner: PushTPlanner, seen: Observation, rng: np.random.Generator) -> Steering:
    """Targets for the disc, one a step, for as long as it is asked; it is sent what was seen after each."""
    while True:
        push = planner.plan(_agent(seen), pose_of(seen["environment_state"]), rng)
        if push is None:  # wait, and let the dice fall differently
            seen = yield _agent(seen)
            continue
        seen = yield from walk(seen, push)
        for number in range(1, push.steps + 1):
            seen = yield push.start + number * push.speed * push.direction
        seen = yield _agent(seen)  # stop here


class PlannerActor:
    """The scripted expert in several episodes; what it samples in one depends on that episode's seed."""

    def __init__(self, config: PlannerConfig | None = None) -> None:
        """One planner for all episodes."""
        self.planner = PushTPlanner(config)
        self.steering: dict[int, Steering] = {}
        self.started: dict[int, bool] = {}

    def begin(self, slot: int, episode: Episode) -> None:
        """A new episode in a slot."""
        self.steering[slot] = steer(self.planner, episode.observation, np.random.default_rng(episode.seed))
        self.started[slot] = False

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, Float32[np.ndarray, " a"]]:
        """The next action of every episode under way, by slot."""
        targets = {}
        for slot, episode in episodes.items():
            steering = self.steering[slot]
            target = steering.send(episode.observation) if self.started[slot] else next(steering)
            self.started[slot] = True
            targets[slot] = np.clip(target, 0, SIDE).astype(np.float32)
        return targets
