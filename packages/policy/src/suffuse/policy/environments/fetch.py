"""Gymnasium-Robotics' tasks of the Fetch arm (Plappert et al. 2018, arXiv:1802.09464; version 4): reach, push, lift.

They are known here by ids of their own, `fetch/push-v4`, for what they show is one vector, `state`: the simulator's
observation (10 numbers to reach, else 25), then the goal's three. Places and goals are drawn by the seed given to
`reset`, as they are there. An episode ends with success, which is a gripper or block within 5 cm of its goal; the
reward is the original's, -1 a step until then and 0 with it.
"""

from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from jaxtyping import Float, Float64, UInt8

from suffuse.policy.data.demonstrations import ACTION, Demonstrations
from suffuse.policy.environments.mujoco import loading, picture
from suffuse.policy.errors import DataError

NAMESPACE = "fetch"

NAMES = {"reach": "FetchReach-v4", "push": "FetchPush-v4", "pick-and-place": "FetchPickAndPlace-v4"}
"""Tasks by their name here: the id of Gymnasium-Robotics. (Sliding a puck is left out: there is no expert for it.)"""

ACTION_SIZE = 4
"""How far the gripper moves along x, y and z, in 5 cm, and how far its fingers open."""

GOAL_SIZE = 3
STATE_SIZES = (10 + GOAL_SIZE, 25 + GOAL_SIZE)
"""Without a block, with one."""

MAX_STEPS = 50
FPS = 25.0
"""Control steps a second: 20 of the simulator's steps of 2 ms each."""

PICTURE_SIDE = 240

State = dict[str, Float64[np.ndarray, " s"]]


def id_of(name: str) -> str:
    """The gymnasium id of a task."""
    return f"{NAMESPACE}/{name}-v4"


class FetchEnv(gymnasium.Env[State, Float[np.ndarray, " 4"]]):
    """One task. An action moves the gripper by up to 5 cm along each axis, and opens or closes it.

    Args:
        name: of the task in Gymnasium-Robotics, `FetchPush-v4`.
        render_mode: rgb_array, or None for no pictures.

    Raises ImportError if Gymnasium-Robotics is not installed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 - gymnasium's own way

    def __init__(self, name: str, *, render_mode: str | None = "rgb_array") -> None:
        register_fetch()
        self.render_mode = render_mode
        settings: dict[str, Any] = {"render_mode": render_mode, "width": PICTURE_SIDE, "height": PICTURE_SIDE}
        world: Any = gymnasium.make(name, disable_env_checker=True, **settings).unwrapped
        self._world = world
        self.action_space = Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)
        parts = world.observation_space
        size = parts["observation"].shape[0] + parts["desired_goal"].shape[0]
        shown: Any = Dict({"state": Box(-np.inf, np.inf, (size,), np.float64)})
        self.observation_space = shown

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[State, dict[str, Any]]:
        """Places and goal that the seed draws, or the next ones without a seed."""
        super().reset(seed=seed, options=options)
        seen, info = self._world.reset(seed=seed)
        return _state(seen), info

    def step(self, action: Float[np.ndarray, " 4"]) -> tuple[State, float, bool, bool, dict[str, Any]]:
        """One control step; the episode ends with success."""
        seen, reward, _, truncated, info = self._world.step(np.clip(action, -1, 1))
        return _state(seen), float(reward), bool(info["is_success"] > 0.5), truncated, info

    def render(self) -> UInt8[np.ndarray, "i j 3"]:
        """What the camera beside the table sees. Raises TaskError where no picture can be drawn."""
        return np.ascontiguousarray(picture(self._world.render, "the Fetch arm"))

    def close(self) -> None:
        """Free the simulator's window."""
        self._world.close()


def _state(seen: dict[str, Float64[np.ndarray, "..."]]) -> State:
    return {"state": np.concatenate([seen["observation"], seen["desired_goal"]])}


def register_fetch() -> None:
    """Make the ids known to gymnasium.

    Raises:
        ImportError: Gymnasium-Robotics is not installed.
        TaskError: MUJOCO_GL names a library that is not there, without which MuJoCo does not start.
    """
    with loading(), redirect_stderr(StringIO()):  # news for users of other tasks
        import gymnasium_robotics  # noqa: F401

    for name, original in NAMES.items():
        if id_of(name) not in gymnasium.registry:
            gymnasium.register(id_of(name), entry_point=f"{__name__}:{FetchEnv.__name__}", kwargs={"name": original})


def of_fetch(demonstrations: Demonstrations) -> Demonstrations:
    """The demonstrations with `state` and `action` alone. Raises DataError unless they are of the tasks' sizes."""
    for name, sizes in (("state", STATE_SIZES), (ACTION, (ACTION_SIZE,))):
        values = demonstrations.columns.get(name)
        if values is None or values.ndim != 2 or values.shape[1] not in sizes:
            found = "missing" if values is None else f"of shape {values.shape[1:]}"
            wanted = " or ".join(map(str, sizes))
            raise DataError(f"the Fetch arm needs a column {name} of {wanted} numbers; it is {found}")
    return demonstrations.only(("state",))
