"""Pictures of PushT for demonstrations that have none: what the simulator shows of each recorded state."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from suffuse.policy.data.demonstrations import ACTION, Demonstrations
from suffuse.policy.environments.pusht_geometry import STATE_SIZE
from suffuse.policy.environments.task import PUSHT
from suffuse.policy.errors import DataError

PIXELS = "pixels"
"""What gym-pusht calls its picture: 96 x 96, red, green, blue."""


class PushTCamera:
    """Draws states of PushT as gym-pusht does. Raises TaskError if that is not installed."""

    def __init__(self) -> None:
        self._environment = PUSHT.showing([PIXELS]).make()
        self._environment.reset(seed=0)

    def __call__(self, state: Float[np.ndarray, " 5"]) -> UInt8[np.ndarray, "96 96 3"]:
        """The picture of one state: disc x and y, T x and y, angle."""
        # The angle comes first, for it turns the T around its centre of mass and so moves it.
        world = self._environment.unwrapped
        world.agent.position = tuple(float(value) for value in state[:2])  # type: ignore[attr-defined]
        world.block.angle = float(state[4])  # type: ignore[attr-defined]
        world.block.position = tuple(float(value) for value in state[2:4])  # type: ignore[attr-defined]
        for body in (world.agent, world.block):  # type: ignore[attr-defined]
            world.space.reindex_shapes_for_body(body)  # type: ignore[attr-defined]
        return np.asarray(world.get_obs()[PIXELS], dtype=np.uint8)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Free the simulator."""
        self._environment.close()


def with_pictures(demonstrations: Demonstrations, *, on_row: Callable[[], None] | None = None) -> Demonstrations:
    """The demonstrations with a column `pixels`: what the simulator shows of every row's `state`.

    Raises:
        DataError: there is no `state` of five numbers.
        TaskError: gym-pusht is not installed.
    """
    states = recorded_states(demonstrations)
    camera = PushTCamera()
    pictures = np.empty((len(states), 96, 96, 3), dtype=np.uint8)
    try:
        for row, state in enumerate(states):
            pictures[row] = camera(state)
            if on_row is not None:
                on_row()
    finally:
        camera.close()
    return demonstrations.with_columns(**{PIXELS: pictures})


def seen_pictures(demonstrations: Demonstrations) -> Demonstrations:
    """What a policy sees that looks at PushT: `pixels`, and where the disc is (`agent_pos`), the first of the `state`.

    Raises:
        DataError: `pixels` are no pictures of bytes, or there is no `state` of two numbers or more.
    """
    pixels, state = demonstrations.columns.get(PIXELS), demonstrations.columns.get("state")
    if pixels is None or pixels.ndim != 4 or pixels.dtype != np.uint8:
        found = "missing" if pixels is None else f"of shape {pixels.shape[1:]}, {pixels.dtype}"
        raise DataError(f"PushT from pictures needs a column {PIXELS} of (height, width, 3) bytes; it is {found}")
    if state is None or state.ndim != 2 or state.shape[1] < 2:
        raise DataError("PushT from pictures needs a column state, whose first two numbers are where the disc is")
    return demonstrations.with_columns(agent_pos=state[:, :2].astype(np.float32)).only(("agent_pos", PIXELS, ACTION))


def recorded_states(demonstrations: Demonstrations) -> Float[np.ndarray, "rows 5"]:
    """Disc x and y, T x and y, angle of every row. Raises DataError if they are not recorded."""
    state = demonstrations.columns.get("state")
    if state is None or state.shape[1:] != (STATE_SIZE,):
        found = "missing" if state is None else f"of shape {state.shape[1:]}"
        raise DataError(f"pictures of PushT need a column state of {STATE_SIZE} numbers; it is {found}")
    return state
