"""The node: the latest messages become an observation, once every control step, and what the policy does a message.

Nothing is sent while an observation is missing, older than `stale_s`, or refused, nor an action that is not finite or,
if so configured, out of its bounds: a robot under position control then stays where it is. After such a pause the
policy begins anew, for what it saw before is no past of what it sees now.

The node needs of rclpy: `Node` with `create_subscription`, `create_publisher`, `create_timer`, `create_service`,
`get_clock`, `get_logger` and `destroy_node`, as Humble to Rolling have them. It runs in a single-threaded executor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from suffuse.policy.errors import ActionError, ObservationError, PolicyError, TaskError
from suffuse.policy.model.policy import OutOfBounds
from suffuse.policy.ros2.drivers import Driver
from suffuse.policy.ros2.messages import ACTION_TYPE, READABLE, from_message, message_class

NODE = "suffuse_policy"


def rclpy_or_error() -> Any:
    """The module rclpy. Raises TaskError where there is none."""
    try:
        return import_module("rclpy")
    except ImportError as error:
        raise TaskError(
            "ROS 2 is not there: rclpy comes with it and not from the package index; source its setup.bash, with a "
            "Python of the version that it is for"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where an observation comes from: its name in the policy, a topic, and the type of its messages.

    Raises ValueError for a type that is not read.
    """

    name: str
    topic: str
    kind: str

    def __post_init__(self) -> None:
        """Check the type."""
        if self.kind not in READABLE:
            raise ValueError(f"{self.name}: the type is {self.kind!r}; it must be one of {', '.join(READABLE)}")

    @staticmethod
    def parse(text: str) -> "Source":
        """From `NAME=TOPIC:TYPE`. Raises ValueError."""
        name, equals, rest = text.partition("=")
        topic, colon, kind = rest.partition(":")
        if not (name and equals and topic and colon and kind):
            raise ValueError(f"{text!r} is no source; it must be NAME=TOPIC:TYPE, TYPE one of {', '.join(READABLE)}")
        return Source(name=name, topic=topic, kind=kind)


@dataclass(kw_only=True)
class Counts:
    """Control steps since the node began: with an action sent (of which moved into bounds), without, and why."""

    sent: int = 0
    clamped: int = 0
    waited: int = 0
    refused: int = 0


@dataclass(kw_only=True, eq=False)
class _Inbox:
    """The latest message of each source, and when it came, in nanoseconds of the node's clock."""

    messages: dict[str, Any] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def missing(self, names: Sequence[str], now: int, stale: int) -> str | None:
        """Why there is no observation at a time, None if there is one. A clock that was set back makes all stale."""
        for name in names:
            if name not in self.messages:
                return f"no {name} yet"
            if not 0 <= now - self.times[name] <= stale:
                return f"the last {name} is {(now - self.times[name]) / 1e9:.3g} s old"
        return None


class PolicyNode:
    """Drives a robot under ROS 2.

    Topics: those of the sources in, `action_topic` out (`std_msgs/msg/Float64MultiArray`). Services: `~/enable`
    (`std_srvs/srv/SetBool`) lets it move or holds it, `~/reset` (`std_srvs/srv/Trigger`) begins an episode.

    Args:
        driver: what gives actions.
        sources: one for every observation that the policy sees.
        action_topic: where actions go.
        rate_hz: control steps a second, that of the demonstrations.
        stale_s: an observation older than this is none.
        out_of_bounds: whether an action outside its bounds, should the driver give one, is moved to them or not sent.
        enabled: whether it moves from the start, or first when it is told so.

    Raises:
        TaskError: ROS 2 or a type of message is not installed.
        ValueError: a number is out of range, or the sources are not those of the policy.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        sources: Sequence[Source],
        action_topic: str,
        rate_hz: float,
        stale_s: float = 0.5,
        out_of_bounds: OutOfBounds = "clamp",
        enabled: bool = False,
    ) -> None:
        if not (0 < rate_hz <= 1000 and 0 < stale_s < float("inf")):
            raise ValueError(f"rate_hz is {rate_hz} and stale_s {stale_s}; they must be in (0, 1000] and positive")
        self.shapes = {name: tuple(shape) for name, shape in driver.config["observations"].items()}
        given = [source.name for source in sources]
        if sorted(given) != sorted(self.shapes):
            raise ValueError(f"there are sources for {', '.join(given)}; the policy sees {', '.join(self.shapes)}")
        rclpy = rclpy_or_error()
        self.driver, self.out_of_bounds, self.enabled = driver, out_of_bounds, enabled
        size = driver.config["action_size"]
        self.low, self.high = (
            np.full(size, edge, dtype=np.float32) if bound is None else np.asarray(bound, dtype=np.float32)
            for bound, edge in ((driver.config["action_low"], -np.inf), (driver.config["action_high"], np.inf))
        )
        self.counts = Counts()
        self._kinds = {source.name: source.kind for source in sources}
        self._inbox, self._stale = _Inbox(), int(stale_s * 1e9)
        self._state, self._fresh = "", False
        self._message = message_class(ACTION_TYPE)
        kinds = {source.name: message_class(source.kind) for source in sources}
        set_bool, trigger = (message_class(f"std_srvs/srv/{name}") for name in ("SetBool", "Trigger"))
        quality = import_module("rclpy.qos").qos_profile_sensor_data
        self.node: Any = rclpy.create_node(NODE)
        for source in sources:
            self.node.create_subscription(kinds[source.name], source.topic, self._keeper(source.name), quality)
        self._out = self.node.create_publisher(self._message, action_topic, 1)
        self.node.create_service(set_bool, "~/enable", self._enable)
        self.node.create_service(trigger, "~/reset", self._reset)
        self.node.create_timer(1 / rate_hz, self.step)

    def spin(self) -> None:
        """Run until ROS 2 is shut down."""
        rclpy_or_error().spin(self.node)

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()

    # --- what ROS 2 calls

    def _keeper(self, name: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            self._inbox.messages[name] = message
            self._inbox.times[name] = self._now()

        return keep

    def _enable(self, request: Any, response: Any) -> Any:
        self.enabled, self._fresh = bool(request.data), False
        response.success, response.message = True, "it moves" if self.enabled else "it is held"
        return response

    def _reset(self, request: Any, response: Any) -> Any:
        del request
        self._fresh = False
        response.success, response.message = True, "an episode begins"
        return response

    def step(self) -> None:
        """One control step."""
        reason = "held" if not self.enabled else self._inbox.missing(list(self.shapes), self._now(), self._stale)
        if reason is not None:
            self.counts.waited += 1
            self._pause(f"waiting: {reason}", warn=self.enabled)
            return
        if not self._fresh:
            self.driver.reset()
            self._fresh = True
        try:
            action, moved = self.driver.act(self._observation())
            sent, clamped = self._guarded(action)
        except PolicyError as error:
            self.counts.refused += 1
            self._pause(f"refused: {error}", warn=True)
            return
        self.counts.sent += 1
        self.counts.clamped += moved or clamped
        message = self._message()
        message.data = [float(value) for value in sent]
        self._out.publish(message)
        self._say("moving", warn=False)

    # --- parts of a step

    def _now(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def _observation(self) -> Mapping[str, Shaped[np.ndarray, "..."]]:
        found = {}
        for name, kind in self._kinds.items():
            try:
                found[name] = from_message(kind, self._inbox.messages[name], self.shapes[name])
            except ObservationError as error:
                raise ObservationError(f"{name}: {error}") from error
        return found

    def _guarded(self, action: Float32[np.ndarray, "..."]) -> tuple[Float32[np.ndarray, " a"], bool]:
        """The action as it may be sent, whatever the driver gave, and whether it was moved. Raises ActionError."""
        if action.shape != self.low.shape:
            raise ActionError(f"an action has shape {action.shape}; it must be {self.low.shape}")
        if not np.isfinite(action).all():
            raise ActionError("an action is not finite; nothing is sent to the robot")
        kept = np.clip(action.astype(np.float32), self.low, self.high)
        moved = bool((kept != action).any())
        if moved and self.out_of_bounds == "refuse":
            number = int(np.argmax(kept != action))
            raise ActionError(
                f"number {number} of an action is {action[number]:.6g}; it must be in "
                f"[{self.low[number]:.6g}, {self.high[number]:.6g}]"
            )
        return kept, moved

    def _pause(self, state: str, *, warn: bool) -> None:
        """No action is sent; the next one begins an episode."""
        self._fresh = False
        self._say(state, warn=warn)

    def _say(self, state: str, *, warn: bool) -> None:
        """Log what it does, once until it does something else."""
        kind = state.partition(":")[0]
        if kind != self._state:
            self._state = kind
            (self.node.get_logger().warning if warn else self.node.get_logger().info)(state)
