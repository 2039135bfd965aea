"""Metaworld's tasks (Yu et al. 2019, arXiv:1910.10897; version 3): environments whose episodes are what seeds say.

Metaworld's own `Meta-World/MT1` takes the task's name as an argument and picks one of fifty goals, which a seed given
to `reset` does not choose. Here a task has an id of its own, `metaworld/reach-v3`, and places and goals are drawn anew
for every episode, from the ranges that Metaworld draws its fifty from, by the seed. Observations (39 numbers, the
goal's place among them, as in its multi-task benchmarks), actions, rewards and success are Metaworld's; an episode ends
with success. Nothing of one episode is left in the next.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from jaxtyping import Float, Float64, UInt8

from suffuse.policy.data.demonstrations import ACTION, Demonstrations
from suffuse.policy.environments.mujoco import loading, picture
from suffuse.policy.errors import DataError

NAMESPACE = "metaworld"

NAMES = (
    "assembly", "basketball", "bin-picking", "box-close", "button-press", "button-press-topdown",
    "button-press-topdown-wall", "button-press-wall", "coffee-button", "coffee-pull", "coffee-push", "dial-turn",
    "disassemble", "door-close", "door-lock", "door-open", "door-unlock", "drawer-close", "drawer-open", "faucet-close",
    "faucet-open", "hammer", "hand-insert", "handle-press", "handle-press-side", "handle-pull", "handle-pull-side",
    "lever-pull", "peg-insert-side", "peg-unplug-side", "pick-out-of-hole", "pick-place", "pick-place-wall",
    "plate-slide", "plate-slide-back", "plate-slide-back-side", "plate-slide-side", "push", "push-back", "push-wall",
    "reach", "reach-wall", "shelf-place", "soccer", "stick-pull", "stick-push", "sweep", "sweep-into", "window-close",
    "window-open",
)  # fmt: skip
"""The fifty tasks of version 3, without their `-v3`."""

STATE_SIZE = 39
"""Hand, gripper and objects now and one step before, and the goal."""

ACTION_SIZE = 4
"""How far the hand moves along x, y and z, and how hard the gripper closes."""

MAX_STEPS = 500
FPS = 80.0
"""Control steps a second: 5 of the simulator's steps of 2.5 ms each."""

CAMERA = "corner2"
PICTURE_SIDE = 240


def id_of(name: str) -> str:
    """The gymnasium id of a task of Metaworld."""
    return f"{NAMESPACE}/{name}-v3"


State = dict[str, Float64[np.ndarray, " 39"]]


class MetaworldEnv(gymnasium.Env[State, Float[np.ndarray, " 4"]]):
    """One task. What is seen is `state`; an action moves the hand by up to 1 cm along each axis and closes the gripper.

    Args:
        name: as Metaworld has it, `reach-v3`.
        render_mode: rgb_array, or None for no pictures.

    Raises ImportError if Metaworld is not installed, KeyError if it has no such task.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 - gymnasium's own way

    def __init__(self, name: str, *, render_mode: str | None = "rgb_array") -> None:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS

        self.render_mode = render_mode
        make: Any = ALL_V3_ENVIRONMENTS[name]
        world = make(render_mode=render_mode, camera_name=CAMERA, width=PICTURE_SIDE, height=PICTURE_SIDE)
        world._set_task_called = True  # as Metaworld's benchmarks prepare it before they draw goals,
        world._freeze_rand_vec = False
        world.seeded_rand_vec = True  # but by the environment's own generator
        world._partially_observable = False
        del world.sawyer_observation_space  # made when goals were hidden; it is made anew when it is asked for
        self._world = world
        self.action_space = Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)
        shown: Any = Dict({"state": Box(-np.inf, np.inf, (STATE_SIZE,), np.float64)})
        self.observation_space = shown

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[State, dict[str, Any]]:
        """Places and goal that the seed draws, or the next ones without a seed."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self._world.seed(seed)
        state, info = self._world.reset()
        return {"state": state}, info

    def step(self, action: Float[np.ndarray, " 4"]) -> tuple[State, float, bool, bool, dict[str, Any]]:
        """One control step; the episode ends with success."""
        state, reward, _, truncated, info = self._world.step(np.clip(action, -1, 1))
        return {"state": state}, float(reward), bool(info["success"] > 0.5), truncated, info

    def render(self) -> UInt8[np.ndarray, "i j 3"]:
        """What the camera above the corner sees, which Metaworld shows upside down.

        Raises TaskError where no picture can be drawn.
        """
        return np.ascontiguousarray(picture(self._world.render, "Metaworld")[::-1])

    def close(self) -> None:
        """Free the simulator's window."""
        self._world.close()


def register_metaworld() -> None:
    """Make the ids known to gymnasium.

    Raises:
        ImportError: Metaworld is not installed.
        TaskError: MUJOCO_GL names a library that is not there, without which MuJoCo does not start.
    """
    with loading():
        import metaworld  # noqa: F401

    for name in NAMES:
        if id_of(name) not in gymnasium.registry:
            gymnasium.register(
                id_of(name), entry_point=f"{__name__}:{MetaworldEnv.__name__}", kwargs={"name": f"{name}-v3"}
            )


def of_metaworld(demonstrations: Demonstrations) -> Demonstrations:
    """The demonstrations with `state` and `action` alone. Raises DataError unless they are of Metaworld's sizes."""
    for name, size in (("state", STATE_SIZE), (ACTION, ACTION_SIZE)):
        values = demonstrations.columns.get(name)
        if values is None or values.shape[1:] != (size,):
            found = "missing" if values is None else f"of shape {values.shape[1:]}"
            raise DataError(f"Metaworld needs a column {name} of {size} numbers; it is {found}")
    return demonstrations.only(("state",))
