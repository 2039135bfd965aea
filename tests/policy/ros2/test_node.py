"""The node against a stand-in of ROS 2: what it sends, and when it sends nothing."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from suffuse.policy import ActionError, DiffusionPolicy, TaskError
from suffuse.policy.cli import app
from suffuse.policy.ros2 import LocalDriver, PolicyNode, RemoteDriver, Source, rclpy_or_error

STATE = Source(name="state", topic="/joint_states", kind="sensor_msgs/msg/JointState")
KEYPOINT = Source(name="keypoint", topic="/keypoints", kind="std_msgs/msg/Float32MultiArray")
BOUNDS = {"action_low": [-0.2, -5.0], "action_high": [0.2, 5.0]}


class Scripted:
    """Gives actions from a list; one may be an error."""

    def __init__(self, *actions: Any) -> None:
        self.config: Mapping[str, Any] = {
            "observations": {"state": [3], "keypoint": [4, 2]},
            "action_size": 2,
            **BOUNDS,
        }
        self.actions, self.resets, self.seen = list(actions), 0, []

    def reset(self, seed: int | None = None) -> None:
        self.resets += 1

    def act(self, observation: Mapping[str, np.ndarray]) -> tuple[np.ndarray, bool]:
        self.seen.append(observation)
        action = self.actions.pop(0) if self.actions else np.zeros(2, np.float32)
        if isinstance(action, Exception):
            raise action
        return np.asarray(action, np.float32), False


def running(ros: Any, driver: Any, **changes: Any) -> tuple[PolicyNode, Any]:
    """An enabled node of 10 Hz, and its side of ROS 2."""
    settings = {"sources": [STATE, KEYPOINT], "action_topic": "/commands", "rate_hz": 10.0, "enabled": True, **changes}
    node = PolicyNode(driver, **settings)
    return node, ros.nodes[-1]


def see(ros: Any, side: Any, number: float = 0.0, *, keypoint: bool = True) -> None:
    """Both observations come."""
    side.receive("/joint_states", ros.message("sensor_msgs/msg/JointState", position=[number] * 3))
    if keypoint:
        side.receive("/keypoints", ros.message("std_msgs/msg/Float32MultiArray", data=[float(i) for i in range(8)]))


def sent(side: Any) -> list[list[float]]:
    return [message.data for message in side.publishers["/commands"].sent]


def test_it_sends_what_the_policy_does(ros: Any, make_policy: Callable[..., DiffusionPolicy]) -> None:
    """Step by step what `select_action` gives, with the same seed, observations in their shapes."""
    policy, alone = make_policy(**BOUNDS), make_policy(**BOUNDS)
    driver = LocalDriver(policy)
    node, side = running(ros, driver)
    driver.reset = lambda seed=None, reset=driver.reset: reset(3)  # type: ignore[method-assign]
    alone.reset(3)
    for number in range(7):
        see(ros, side, 0.1 * number)
        side.tick()
        wanted = alone.select_action({"state": np.full(3, 0.1 * number), "keypoint": np.arange(8.0).reshape(4, 2)})
        np.testing.assert_array_equal(sent(side)[-1], wanted.astype(float))
    assert (node.counts.sent, node.counts.waited, node.counts.refused) == (7, 0, 0)
    assert node.counts.clamped > 0, "the bounds of this policy are narrow"
    assert side.timers[0][0] == 0.1
    assert side.topics["/joint_states"][2] == "sensor data"


def test_nothing_is_sent_before_all_has_been_seen(ros: Any) -> None:
    node, side = running(ros, Scripted())
    side.tick()
    see(ros, side, keypoint=False)
    side.tick()
    assert sent(side) == []
    see(ros, side)
    side.tick()
    assert len(sent(side)) == 1
    assert (node.counts.sent, node.counts.waited) == (1, 2)
    assert side.logger.said == [("warning", "waiting: no state yet"), ("info", "moving")]


def test_stale_observations_stop_it_and_an_episode_begins_after_them(ros: Any) -> None:
    driver = Scripted()
    node, side = running(ros, driver, stale_s=0.25)
    see(ros, side)
    side.tick()
    side.tick()
    assert (len(sent(side)), driver.resets) == (2, 1)
    side.tick()  # 0.3 s after the last message
    assert (len(sent(side)), node.counts.waited) == (2, 1)
    see(ros, side)
    side.tick()
    assert (len(sent(side)), driver.resets) == (3, 2)
    side.time_ns -= 10**9  # a clock that is set back, as by a recording that begins anew
    side.tick()
    assert len(sent(side)) == 3


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ([np.nan, 0.0], "an action is not finite; nothing is sent to the robot"),
        ([0.0, 0.0, 0.0], r"an action has shape (3,); it must be (2,)"),
        (ActionError("the model gave nothing"), "the model gave nothing"),
    ],
)
def test_no_bad_action_reaches_the_robot(ros: Any, action: Any, said: str) -> None:
    driver = Scripted([0.1, 0.0], action, [0.1, 1.0])
    node, side = running(ros, driver)
    for _ in range(3):
        see(ros, side)
        side.tick()
    np.testing.assert_allclose(sent(side), [[0.1, 0.0], [0.1, 1.0]])
    assert (node.counts.refused, driver.resets) == (1, 2)
    assert ("warning", f"refused: {said}") in side.logger.said


def test_out_of_bounds_is_clamped_and_counted_or_refused(ros: Any) -> None:
    for choice, expected, counted in (("clamp", [[0.2, -5.0]], (1, 1, 0)), ("refuse", [], (0, 0, 1))):
        node, side = running(ros, Scripted([0.7, -9.0]), out_of_bounds=choice)
        see(ros, side)
        side.tick()
        np.testing.assert_allclose(sent(side), expected)
        assert (node.counts.sent, node.counts.clamped, node.counts.refused) == counted
    assert side.logger.said == [("warning", "refused: number 0 of an action is 0.7; it must be in [-0.2, 0.2]")]


def test_a_message_that_does_not_fit_is_refused(ros: Any) -> None:
    node, side = running(ros, Scripted())
    see(ros, side)
    side.receive("/joint_states", ros.message("sensor_msgs/msg/JointState", position=[1.0] * 6))
    side.tick()
    assert sent(side) == []
    assert "state: a message of sensor_msgs/msg/JointState holds (6,) numbers" in side.logger.said[0][1]
    assert node.counts.refused == 1


def test_a_reading_that_is_not_finite_is_refused_and_forgotten(
    ros: Any, make_policy: Callable[..., DiffusionPolicy]
) -> None:
    node, side = running(ros, LocalDriver(make_policy(**BOUNDS)))
    for value in (0.0, float("nan"), 0.0):
        see(ros, side, value)
        side.tick()
    assert (len(sent(side)), node.counts.refused) == (2, 1)
    assert np.isfinite(sent(side)).all()


def test_it_is_held_and_let_go_by_services(ros: Any) -> None:
    driver = Scripted()
    node, side = running(ros, driver, enabled=False)
    see(ros, side)
    side.tick()
    assert sent(side) == []
    assert side.call("~/enable", data=True).message == "it moves"
    for _ in range(2):
        side.tick()
    assert (len(sent(side)), driver.resets) == (2, 1)
    assert side.call("~/reset").success
    side.tick()
    assert (len(sent(side)), driver.resets) == (3, 2)
    assert side.call("~/enable", data=False).message == "it is held"
    side.tick()
    assert (len(sent(side)), node.enabled) == (3, False)
    node.close()
    assert side.destroyed


def test_settings_that_cannot_be(ros: Any) -> None:
    for changes, said in (
        ({"rate_hz": 0.0}, "rate_hz is 0.0"),
        ({"stale_s": -1.0}, "stale_s -1.0"),
        ({"sources": [STATE]}, "there are sources for state; the policy sees state, keypoint"),
    ):
        with pytest.raises(ValueError, match=said):
            running(ros, Scripted(), **changes)


def test_without_ros_2() -> None:
    try:
        import rclpy  # noqa: F401
    except ImportError:
        with pytest.raises(TaskError, match="rclpy comes with it and not from the package index"):
            rclpy_or_error()
        done = CliRunner().invoke(
            app,
            [
                "ros2",
                "--source",
                "a=/a:sensor_msgs/msg/Image",
                "--action-topic",
                "/b",
                "--rate",
                "10",
                "--model",
                "pusht",
            ],
        )
        assert done.exit_code == 2
        assert done.stderr.startswith("Error: ROS 2 is not there")
    else:
        pytest.skip("ROS 2 is installed")


def test_the_command(ros: Any, make_policy: Callable[..., DiffusionPolicy], tmp_path: Any) -> None:
    make_policy(**BOUNDS).save_pretrained(tmp_path / "model")

    def play(side: Any) -> None:
        see(ros, side)
        side.tick()
        side.call("~/enable", data=True)
        side.tick()

    ros.while_spinning = play
    arguments = [
        "ros2", "--model", str(tmp_path / "model"), "--rate", "10", "--action-topic", "/commands", "--steps", "2",
        "--source", "state=/joint_states:sensor_msgs/msg/JointState",
        "--source", "keypoint=/keypoints:std_msgs/msg/Float32MultiArray",
    ]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "drives /commands at 10 Hz" in done.stderr
    assert ros.events == ["init", "spin", "shutdown"]
    assert ros.nodes[0].destroyed
    assert len(sent(ros.nodes[0])) == 1
    done = CliRunner().invoke(app, [*arguments, "--server", "127.0.0.1:1"])
    assert done.exit_code == 2
    assert "--scheduler and --steps are the server's to choose" in done.stderr


def test_a_server_drives_it(ros: Any, make_policy: Callable[..., DiffusionPolicy]) -> None:
    pytest.importorskip("grpc")
    from suffuse.policy.serve import PolicyClient, PolicyServer

    policy = make_policy(**BOUNDS)
    policy.use_sampler("ddim", 2)
    with (
        PolicyServer(policy, address="127.0.0.1:0") as server,
        PolicyClient(f"127.0.0.1:{server.port}", period_s=0.1) as client,
    ):
        node, side = running(ros, RemoteDriver(client))
        for number in range(6):
            see(ros, side, 0.1 * number)
            side.tick()
        assert node.counts.sent == 6
        assert all(abs(first) <= 0.2 + 1e-6 and abs(second) <= 5 for first, second in sent(side))
        see(ros, side, float("nan"))
        for _ in range(8):  # until the next chunk is asked for
            side.receive("/joint_states", ros.message("sensor_msgs/msg/JointState", position=[float("nan")] * 3))
            side.tick(seconds=0.001)
        assert node.counts.refused > 0
