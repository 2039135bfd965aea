"""A robot under ROS 2: observations from topics in, actions to a topic out. ROS 2 itself comes with its own set-up."""

from suffuse.policy.ros2.drivers import Driver, LocalDriver, RemoteDriver
from suffuse.policy.ros2.messages import READABLE, from_message
from suffuse.policy.ros2.node import Counts, PolicyNode, Source, rclpy_or_error

__all__ = [
    "READABLE",
    "Counts",
    "Driver",
    "LocalDriver",
    "PolicyNode",
    "RemoteDriver",
    "Source",
    "from_message",
    "rclpy_or_error",
]
