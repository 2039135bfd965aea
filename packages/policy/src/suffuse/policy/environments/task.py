"""Simulated tasks that policies are run in: a gymnasium environment, and what is known about it."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float32, Shaped

from suffuse.policy.environments import fetch, metaworld
from suffuse.policy.errors import TaskError

Observation = Mapping[str, Shaped[np.ndarray, "..."]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A kind of episode.

    Attributes:
        name: the gymnasium id.
        max_steps: control steps after which an episode is over.
        fps: control steps a second.
        options: arguments of the environment.
        register: makes the id known to gymnasium.
        extra: of suffuse-policy, that brings the environment.
        is_success: whether what a step told (the `info` of gymnasium) is a success.
        views: for observations that are not shown otherwise, the arguments with which the environment shows them.
    """

    name: str
    max_steps: int
    fps: float
    options: Mapping[str, Any]
    register: Callable[[], None]
    extra: str
    is_success: Callable[[Mapping[str, Any]], bool]
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def showing(self, names: Iterable[str]) -> "Task":
        """The task with the named observations shown, as far as it has a view of them."""
        wanted = [self.views[name] for name in names if name in self.views]
        return replace(self, options={name: value for part in (self.options, *wanted) for name, value in part.items()})

    def make(self) -> gymnasium.Env[Any, Any]:
        """A new environment, which renders to arrays. Raises TaskError if the library with it is not installed."""
        try:
            self.register()
        except ImportError as error:
            raise TaskError(
                f"{self.name} needs {error.name}, which is not installed: pip install 'suffuse-policy[{self.extra}]'"
            ) from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the makers of an environment are warned of is not for its users
            return gymnasium.make(self.name, **self.options, disable_env_checker=True, max_episode_steps=self.max_steps)


def _register_pusht() -> None:
    """Import gym-pusht without a word from pygame, and without a window."""
    import os

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gym_pusht  # noqa: F401


PUSHT = Task(
    name="gym_pusht/PushT-v0",
    max_steps=300,
    fps=10.0,
    options={"obs_type": "environment_state_agent_pos", "render_mode": "rgb_array"},
    register=_register_pusht,
    extra="pusht",
    is_success=lambda info: bool(info["is_success"]),
    views={"pixels": {"obs_type": "pixels_agent_pos"}},
)
"""Push a T onto its place with a disc (Florence et al. 2021; Chi et al. 2023): success is 95 % covered."""

METAWORLD = tuple(
    Task(
        name=metaworld.id_of(name),
        max_steps=metaworld.MAX_STEPS,
        fps=metaworld.FPS,
        options={"render_mode": "rgb_array"},
        register=metaworld.register_metaworld,
        extra="metaworld",
        is_success=lambda info: bool(info["success"] > 0.5),
    )
    for name in metaworld.NAMES
)
"""What a robot arm does at a table (Yu et al. 2019): success is Metaworld's."""

FETCH = tuple(
    Task(
        name=fetch.id_of(name),
        max_steps=fetch.MAX_STEPS,
        fps=fetch.FPS,
        options={"render_mode": "rgb_array"},
        register=fetch.register_fetch,
        extra="robotics",
        is_success=lambda info: bool(info["is_success"] > 0.5),
    )
    for name in fetch.NAMES
)
"""What the Fetch arm does at a table (Plappert et al. 2018): success is Gymnasium-Robotics'."""

TASKS: dict[str, Task] = {task.name: task for task in (PUSHT, *FETCH, *METAWORLD)}


def task_by_name(name: str) -> Task:
    """A task by its gymnasium id. Raises TaskError for an unknown one."""
    if name not in TASKS:
        near = get_close_matches(name, TASKS, n=1)
        arms = " and ".join(f"{len(suite)} like {suite[0].name}" for suite in (FETCH, METAWORLD))
        there = f"the nearest is {near[0]}" if near else f"there are {PUSHT.name}, {arms}"
        raise TaskError(f"there is no task {name!r}; {there}")
    return TASKS[name]


class Episode:
    """One episode under way, from its seed on."""

    def __init__(self, task: Task, environment: gymnasium.Env[Any, Any], seed: int) -> None:
        """Reset the environment; what happens then depends on the seed and the actions alone."""
        self.task, self.environment, self.seed = task, environment, seed
        self.observation, _ = self._reset()
        self.steps, self.max_reward, self.success, self.over = 0, -np.inf, False, False

    def _reset(self) -> tuple[Observation, Mapping[str, Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.environment.reset(seed=self.seed)

    def step(self, action: Float32[np.ndarray, " a"]) -> None:
        """Carry out an action."""
        observation, reward, ended, truncated, info = self.environment.step(action)
        self.observation = observation
        self.steps += 1
        self.max_reward = max(self.max_reward, float(reward))
        self.success = self.success or self.task.is_success(info)
        self.over = bool(ended or truncated)
