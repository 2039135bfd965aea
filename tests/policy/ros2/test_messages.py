"""Messages to arrays, against arrays that were put into them."""

from typing import Any

import numpy as np
import pytest

from suffuse.policy import ObservationError, TaskError
from suffuse.policy.ros2 import Source, from_message
from suffuse.policy.ros2.messages import message_class


def image(ros: Any, picture: np.ndarray, encoding: str, *, pad: int = 0) -> Any:
    """An image message whose rows have some bytes after their pixels."""
    height, width = picture.shape[:2]
    rows = np.pad(picture.reshape(height, -1), ((0, 0), (0, pad)), constant_values=7)
    return ros.message(
        "sensor_msgs/msg/Image", height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.tobytes()
    )


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
def test_pictures_come_as_red_green_blue(ros: Any, encoding: str, pad: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4, 6, 1 if encoding == "mono8" else 3), dtype=np.uint8)
    sent = picture[..., ::-1] if encoding.startswith("bgr") else picture
    if "a" in encoding:
        sent = np.concatenate([sent, np.full((4, 6, 1), 9, np.uint8)], axis=-1)
    found = from_message("sensor_msgs/msg/Image", image(ros, sent, encoding, pad=pad), picture.shape)
    np.testing.assert_array_equal(found, picture)
    assert found.dtype == np.uint8


def test_numbers_come_in_their_order(ros: Any) -> None:
    numbers = ros.message("std_msgs/msg/Float64MultiArray", data=[1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(from_message("std_msgs/msg/Float64MultiArray", numbers, (2, 2)), [[1, 2], [3, 4]])
    joints = ros.message("sensor_msgs/msg/JointState", position=[0.5, -0.5], velocity=[9.0, 9.0])
    np.testing.assert_array_equal(from_message("sensor_msgs/msg/JointState", joints, (2,)), [0.5, -0.5])
    stamped = ros.message("geometry_msgs/msg/PoseStamped")
    for number, (part, axis) in enumerate([("position", a) for a in "xyz"] + [("orientation", a) for a in "xyzw"]):
        setattr(getattr(stamped.pose, part), axis, float(number))
    np.testing.assert_array_equal(from_message("geometry_msgs/msg/PoseStamped", stamped, (7,)), np.arange(7))
    wrench = ros.message("geometry_msgs/msg/WrenchStamped")
    wrench.wrench.torque.y = 3.0
    np.testing.assert_array_equal(from_message("geometry_msgs/msg/WrenchStamped", wrench, (6,)), [0, 0, 0, 0, 3, 0])


def test_messages_that_do_not_fit(ros: Any) -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    for message, shape, said in (
        (image(ros, picture, "rgb8"), (4, 5, 3), r"holds \(4, 6, 3\) numbers; the policy sees \(4, 5, 3\)"),
        (image(ros, picture, "yuv422"), (4, 6, 3), "encoded as yuv422; it must be one of rgb8"),
    ):
        with pytest.raises(ObservationError, match=said):
            from_message("sensor_msgs/msg/Image", message, shape)
    short = image(ros, picture, "rgb8")
    short.data = short.data[:-1]
    with pytest.raises(ObservationError, match="4 rows of 6 pixels has 71 bytes, 18 a row"):
        from_message("sensor_msgs/msg/Image", short, (4, 6, 3))


def test_sources_are_read_from_text() -> None:
    found = Source.parse("state=/arm/joint_states:sensor_msgs/msg/JointState")
    assert (found.name, found.topic, found.kind) == ("state", "/arm/joint_states", "sensor_msgs/msg/JointState")
    for text in ("state", "state=/joints", "=/joints:sensor_msgs/msg/JointState"):
        with pytest.raises(ValueError, match="it must be NAME=TOPIC:TYPE"):
            Source.parse(text)
    with pytest.raises(ValueError, match="the type is 'nav_msgs/msg/Path'; it must be one of std_msgs"):
        Source.parse("state=/path:nav_msgs/msg/Path")


def test_a_package_that_is_not_there() -> None:
    with pytest.raises(TaskError, match="sensor_msgs/msg/JointState is not installed: source the set-up of a ROS 2"):
        message_class("sensor_msgs/msg/JointState")
