"""A stand-in of what the node uses of ROS 2: the same names and parameters as rclpy's, and no network.

It is strict where ROS 2 is: a message of another type than the topic's, or a field of another type, is an error.
"""

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def message(name: str, **fields: object) -> type:
    """A type of message with default values."""
    return make_dataclass(
        name, [(key, Any, field(default_factory=partial(deepcopy, value))) for key, value in fields.items()]
    )


Point = message("Point", x=0.0, y=0.0, z=0.0)
Quaternion = message("Quaternion", x=0.0, y=0.0, z=0.0, w=0.0)
Pose = message("Pose", position=Point(), orientation=Quaternion())
Wrench = message("Wrench", force=Point(), torque=Point())
TYPES = {
    "std_msgs.msg": {"Float32MultiArray": message("A", data=[]), "Float64MultiArray": message("B", data=[])},
    "sensor_msgs.msg": {
        "JointState": message("JointState", position=[], velocity=[]),
        "Image": message("Image", height=0, width=0, encoding="", step=0, data=b""),
    },
    "geometry_msgs.msg": {
        "PoseStamped": message("PoseStamped", pose=Pose()),
        "WrenchStamped": message("WrenchStamped", wrench=Wrench()),
    },
    "std_srvs.srv": {
        name: SimpleNamespace(Request=message(f"{name}Request", data=False), Response=message(f"{name}Response"))
        for name in ("SetBool", "Trigger")
    },
}


@dataclass
class Logger:
    said: list[tuple[str, str]] = field(default_factory=list)

    def info(self, text: str, **_: object) -> bool:
        self.said.append(("info", text))
        return True

    def warning(self, text: str, **_: object) -> bool:
        self.said.append(("warning", text))
        return True


@dataclass
class Publisher:
    kind: type
    sent: list[Any] = field(default_factory=list)

    def publish(self, msg: Any) -> None:
        assert type(msg) is self.kind
        assert all(type(value) is float for value in msg.data)
        self.sent.append(msg)


@dataclass
class Node:
    """As rclpy.node.Node, with the time in the test's hands."""

    name: str
    time_ns: int = 10**9
    topics: dict[str, tuple[type, Callable[[Any], None], object]] = field(default_factory=dict)
    publishers: dict[str, Publisher] = field(default_factory=dict)
    services: dict[str, tuple[object, Callable[[Any, Any], Any]]] = field(default_factory=dict)
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    logger: Logger = field(default_factory=Logger)
    destroyed: bool = False

    def create_subscription(
        self, msg_type: type, topic: str, callback: Callable[[Any], None], qos_profile: object, *, raw: bool = False
    ) -> object:
        self.topics[topic] = msg_type, callback, qos_profile
        return object()

    def create_publisher(self, msg_type: type, topic: str, qos_profile: object) -> Publisher:
        self.publishers[topic] = Publisher(msg_type)
        return self.publishers[topic]

    def create_timer(self, timer_period_sec: float, callback: Callable[[], None]) -> object:
        self.timers.append((timer_period_sec, callback))
        return object()

    def create_service(self, srv_type: object, srv_name: str, callback: Callable[[Any, Any], Any]) -> object:
        self.services[srv_name] = srv_type, callback
        return object()

    def get_clock(self) -> object:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.time_ns))

    def get_logger(self) -> Logger:
        return self.logger

    def destroy_node(self) -> None:
        self.destroyed = True

    # --- what the other side does

    def receive(self, topic: str, msg: Any) -> None:
        """A message comes."""
        kind, callback, _ = self.topics[topic]
        assert type(msg) is kind
        callback(msg)

    def tick(self, *, seconds: float | None = None) -> None:
        """Time passes, a control step's by default, and the timer goes off."""
        ((period, callback),) = self.timers
        self.time_ns += round((period if seconds is None else seconds) * 1e9)
        callback()

    def call(self, name: str, **fields: object) -> Any:
        """A service is called."""
        kind, callback = self.services[name]
        request, response = kind.Request(**fields), kind.Response()  # type: ignore[attr-defined]
        return callback(request, response)


@dataclass
class Ros:
    """All of ROS 2."""

    nodes: list[Node] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    while_spinning: Callable[[Node], None] = field(default=lambda node: None)

    def create_node(self, node_name: str, **_: object) -> Node:
        self.nodes.append(Node(node_name))
        return self.nodes[-1]

    def spin(self, node: Node) -> None:
        self.events.append("spin")
        self.while_spinning(node)

    def message(self, kind: str, **fields: object) -> Any:
        """A message by the name of its type."""
        package, middle, name = kind.split("/")
        return TYPES[f"{package}.{middle}"][name](**fields)


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    """ROS 2 as if it were installed."""
    ros = Ros()
    rclpy, qos = ModuleType("rclpy"), ModuleType("rclpy.qos")
    rclpy.create_node, rclpy.spin = ros.create_node, ros.spin  # type: ignore[attr-defined]
    rclpy.init = lambda: ros.events.append("init")  # type: ignore[attr-defined]
    rclpy.try_shutdown = lambda: ros.events.append("shutdown")  # type: ignore[attr-defined]
    qos.qos_profile_sensor_data = "sensor data"  # type: ignore[attr-defined]
    modules = {"rclpy": rclpy, "rclpy.qos": qos}
    for name, types in TYPES.items():
        modules[name.partition(".")[0]] = ModuleType(name.partition(".")[0])
        modules[name] = ModuleType(name)
        for kind, made in types.items():
            setattr(modules[name], kind, made)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return ros
