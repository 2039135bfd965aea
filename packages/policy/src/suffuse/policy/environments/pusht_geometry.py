"""The T of PushT: its outline, where it has to go, its keypoints, and the mirror symmetry of the task.

A pose is (x, y, angle): the origin of the block's frame in pixels, x to the right and y down, and its turn in radians.
The T lies along the frame's y axis, its bar first; it is its own mirror image across that axis. So is the goal, whose
axis is the anti-diagonal of the square arena: the mirror at the anti-diagonal maps every episode to another one that is
just as good (the walls, at 5 and 506 of 512 pixels, move by one pixel).

Dimensions: n any number of poses.
"""

import numpy as np
from jaxtyping import Float, Shaped

from suffuse.policy.data.demonstrations import ACTION, Demonstrations, concatenate
from suffuse.policy.errors import DataError

SIDE = 512.0
"""Pixels of the arena's side: the range of actions and positions."""

GOAL = np.array([256.0, 256.0, np.pi / 4])
"""The pose that counts as done."""

AGENT_RADIUS = 15.0
"""Of the disc that pushes, in pixels."""

RECTANGLES = np.array(
    [
        [[-60.0, 0.0], [60.0, 0.0], [60.0, 30.0], [-60.0, 30.0]],
        [[-15.0, 30.0], [15.0, 30.0], [15.0, 120.0], [-15.0, 120.0]],
    ]
)
"""Bar and stem in the block's frame, in the order of gym-pusht's keypoints."""

OUTLINE = np.array(
    [[-60.0, 0.0], [60.0, 0.0], [60.0, 30.0], [15.0, 30.0], [15.0, 120.0], [-15.0, 120.0], [-15.0, 30.0], [-60.0, 30.0]]
)
"""Corners of the T in the block's frame, in order, interior to the left of each edge as (x, y) are drawn y up."""

STATE_SIZE = 5
"""Numbers in a state: agent x and y, block x and y, block angle."""


def turn(angle: Float[np.ndarray, "*n"] | float) -> Float[np.ndarray, "*n 2 2"]:
    """The matrix that turns a column vector by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def to_world(points: Float[np.ndarray, "p 2"], pose: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n p 2"]:
    """Points of the block's frame in the arena."""
    return points @ np.swapaxes(turn(pose[..., 2]), -1, -2) + pose[..., None, :2]


def to_block(points: Float[np.ndarray, "p 2"], pose: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "p 2"]:
    """Points of the arena in the block's frame."""
    return (points - pose[:2]) @ turn(pose[2])


def keypoints(pose: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 8 2"]:
    """The eight corners of bar and stem: `environment_state` of gym-pusht, before it is flattened."""
    return to_world(RECTANGLES.reshape(-1, 2), pose)


def mirrored(state: Float[np.ndarray, "*n 5"]) -> Float[np.ndarray, "*n 5"]:
    """The state as a mirror at the anti-diagonal shows it, the angle in [0, 2 pi)."""
    agent, block = mirrored_points(state[..., :2]), mirrored_points(state[..., 2:4])
    angle = np.mod(2 * GOAL[2] - state[..., 4:], 2 * np.pi)
    return np.concatenate([agent, block, angle], axis=-1)


def mirrored_points(points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
    """Points as a mirror at the anti-diagonal shows them."""
    return SIDE - points[..., ::-1]


def observed(demonstrations: Demonstrations) -> Demonstrations:
    """The demonstrations with the columns that a policy sees in gym-pusht: `agent_pos` and `environment_state`.

    They are taken as they are, or made from a `state` of five numbers (agent x and y, block x and y, angle); LeRobot's
    sets have the agent's place as a `state` of two.

    Raises:
        DataError: there is neither.
    """
    columns: dict[str, Shaped[np.ndarray, ...]] = dict(demonstrations.columns)
    state = columns.get("state")
    if state is not None and state.shape[1:] == (STATE_SIZE,):
        columns["agent_pos"] = state[:, :2].astype(np.float32)
        columns["environment_state"] = keypoints(state[:, 2:].astype(np.float64)).reshape(-1, 16).astype(np.float32)
    elif state is not None and state.shape[1:] == (2,):
        columns.setdefault("agent_pos", state)
    for name, size in (("agent_pos", 2), ("environment_state", 16), (ACTION, 2)):
        if name not in columns or columns[name].shape[1:] != (size,):
            found = f"of shape {columns[name].shape[1:]}" if name in columns else "missing"
            raise DataError(
                f"PushT needs a column {name} of {size} numbers, or a state of {STATE_SIZE}; {name} is {found}, "
                f"and there are {', '.join(sorted(demonstrations.columns))}"
            )
    wanted = ("agent_pos", "environment_state", ACTION)
    return demonstrations.with_columns(**columns).only(wanted)


def with_mirror_images(demonstrations: Demonstrations) -> Demonstrations:
    """What a policy sees of the demonstrations, and of their mirror images after them: twice the episodes.

    Raises:
        DataError: there is no `state` of five numbers.
    """
    state = demonstrations.columns.get("state")
    if state is None or state.shape[1:] != (STATE_SIZE,):
        found = "missing" if state is None else f"of shape {state.shape[1:]}"
        raise DataError(f"PushT and its mirror images need a column state of {STATE_SIZE} numbers; it is {found}")
    seen = demonstrations.only(["state"])
    image = seen.with_columns(
        state=mirrored(state.astype(np.float64)).astype(state.dtype), action=mirrored_points(seen.columns[ACTION])
    )
    return observed(concatenate([seen, image]))
