"""`ros2`: a robot under ROS 2, driven by a policy."""

from contextlib import ExitStack
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.console import Threads, number, say
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import DEFAULT_MODEL, Model, Scheduler, Steps, checked_sampler
from suffuse.policy.errors import ServeError
from suffuse.policy.model.policy import OutOfBounds
from suffuse.policy.model.pretrained import load_policy
from suffuse.policy.ros2 import Driver, LocalDriver, PolicyNode, RemoteDriver, Source, rclpy_or_error


def remote(address: str, rate_hz: float, stack: ExitStack) -> Driver:
    """A server as a driver; its connection is closed with the stack."""
    try:
        from suffuse.policy.serve import PolicyClient
    except ImportError as error:
        raise ServeError(
            f"--server needs {error.name}, which is not installed: pip install 'suffuse-policy[serve]'"
        ) from error
    return RemoteDriver(stack.enter_context(PolicyClient(address, period_s=1 / rate_hz, blend="real-time")))


@app.command()
def ros2(
    source: Annotated[
        list[str],
        typer.Option(
            "--source", help="An observation: NAME=TOPIC:TYPE, state=/joint_states:sensor_msgs/msg/JointState."
        ),
    ],
    action_topic: Annotated[str, typer.Option("--action-topic", help="Where actions go, as Float64MultiArray.")],
    rate: Annotated[float, number("--rate", 0.01, 1000.0, "Control steps a second, as in the demonstrations.")],
    model: Model = DEFAULT_MODEL,
    server: Annotated[
        str | None, typer.Option("--server", help="Ask this `serve` (host:port) instead of loading --model.")
    ] = None,
    scheduler: Scheduler = None,
    steps: Steps = None,
    stale: Annotated[
        float, number("--stale", 0.001, 3600.0, "Seconds after which an observation is too old to act on.")
    ] = 0.5,
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Send no action that is outside its bounds, instead of clamping it.")
    ] = False,
    enabled: Annotated[
        bool, typer.Option("--enabled", help="Move from the start, not first when ~/enable is called.")
    ] = False,
    threads: Threads = None,
) -> None:
    """Drive a robot under ROS 2 until Ctrl-C."""
    use_threads(threads)
    sources = [Source.parse(text) for text in source]
    if server is not None and (scheduler is not None or steps is not None):
        raise ValueError("--scheduler and --steps are the server's to choose: leave them out with --server")
    rclpy = rclpy_or_error()
    beyond: OutOfBounds = "refuse" if refuse else "clamp"
    with ExitStack() as stack:
        driver: Driver
        if server is not None:
            driver = remote(server, rate, stack)
        else:
            policy = load_policy(model)
            if scheduler is not None or steps is not None:
                policy.use_sampler(checked_sampler(scheduler) or policy.sampler, steps or policy.sampling_steps)
            driver = LocalDriver(policy, out_of_bounds=beyond)
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        node = PolicyNode(
            driver, sources=sources, action_topic=action_topic, rate_hz=rate, stale_s=stale, out_of_bounds=beyond,
            enabled=enabled,
        )  # fmt: skip
        stack.callback(node.close)
        say(f"{server or model} drives {action_topic} at {rate:g} Hz; Ctrl-C ends it")
        node.spin()
