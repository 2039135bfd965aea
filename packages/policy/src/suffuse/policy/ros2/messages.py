"""Messages of ROS 2 to arrays, by their type, and an action to a message.

The types are named as ROS 2 names them (`sensor_msgs/msg/JointState`). Their Python classes are imported when they are
asked for; nothing here needs ROS 2 by itself.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from suffuse.policy.errors import ObservationError, TaskError

ACTION_TYPE = "std_msgs/msg/Float64MultiArray"
"""What the command controllers of ros2_control take."""

CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
"""Encodings of images that are read, and bytes of a pixel."""


def _numbers(message: Any) -> Float32[np.ndarray, " n"]:
    return np.asarray(message.data, dtype=np.float32)


def _joints(message: Any) -> Float32[np.ndarray, " n"]:
    return np.asarray(message.position, dtype=np.float32)


def _point(point: Any) -> list[float]:
    return [point.x, point.y, point.z]


def _pose(message: Any) -> Float32[np.ndarray, " 7"]:
    pose = message.pose
    turn = pose.orientation
    return np.array([*_point(pose.position), turn.x, turn.y, turn.z, turn.w], dtype=np.float32)


def _wrench(message: Any) -> Float32[np.ndarray, " 6"]:
    return np.array([*_point(message.wrench.force), *_point(message.wrench.torque)], dtype=np.float32)


def _image(message: Any) -> Shaped[np.ndarray, "i j x"]:
    """Pixels as red, green, blue, or one grey channel; rows may have bytes after their pixels."""
    if message.encoding not in CHANNELS:
        raise ObservationError(f"an image is encoded as {message.encoding}; it must be one of {', '.join(CHANNELS)}")
    channels = CHANNELS[message.encoding]
    rows = np.frombuffer(bytes(message.data), dtype=np.uint8)
    if message.step < message.width * channels or rows.size != message.height * message.step:
        raise ObservationError(
            f"an image of {message.height} rows of {message.width} pixels has {rows.size} bytes, {message.step} a row"
        )
    pixels = rows.reshape(message.height, message.step)[:, : message.width * channels]
    picture = pixels.reshape(message.height, message.width, channels)[..., :3]
    return np.ascontiguousarray(picture[..., ::-1] if message.encoding.startswith("bgr") else picture)


READABLE: dict[str, Callable[[Any], Shaped[np.ndarray, "..."]]] = {
    "std_msgs/msg/Float32MultiArray": _numbers,
    "std_msgs/msg/Float64MultiArray": _numbers,
    "sensor_msgs/msg/JointState": _joints,
    "sensor_msgs/msg/Image": _image,
    "geometry_msgs/msg/PoseStamped": _pose,
    "geometry_msgs/msg/WrenchStamped": _wrench,
}
"""The types of messages that observations are read from: numbers as they are, the positions of joints, pixels, a
position and a quaternion (x, y, z, w), a force and a torque."""


def from_message(kind: str, message: Any, shape: tuple[int, ...]) -> Shaped[np.ndarray, "..."]:
    """What a message holds, in the shape that a policy sees: flat numbers are laid out in it.

    Raises:
        ObservationError: it does not hold as many numbers, or is an image of another size or of an unknown encoding.
    """
    values = READABLE[kind](message)
    if values.ndim == 1 and values.size == int(np.prod(shape)):
        return values.reshape(shape)
    if values.shape != shape:
        raise ObservationError(f"a message of {kind} holds {values.shape} numbers; the policy sees {shape}")
    return values


def message_class(kind: str) -> Any:
    """The Python class of a type of message or service.

    Raises:
        TaskError: the package with it is not installed.
    """
    package, middle, name = kind.split("/")
    try:
        return getattr(import_module(f"{package}.{middle}"), name)
    except (ImportError, AttributeError) as error:
        raise TaskError(f"{kind} is not installed: source the set-up of a ROS 2 that has {package}") from error
