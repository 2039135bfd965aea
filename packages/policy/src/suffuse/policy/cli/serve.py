"""`serve`: a policy that robots ask for action chunks over gRPC."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.console import Threads, say, whole
from suffuse.policy.api import check_sees
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    Budget,
    Env,
    Model,
    Scheduler,
    Shortcut,
    Steps,
    checked_sampler,
    checked_shortcut,
)  # fmt: skip
from suffuse.policy.environments.task import task_by_name
from suffuse.policy.errors import ServeError
from suffuse.policy.model.policy import OutOfBounds
from suffuse.policy.model.pretrained import load_policy
from suffuse.policy.shortcuts import use_shortcut


@app.command()
def serve(
    model: Model = DEFAULT_MODEL,
    address: Annotated[str, typer.Option("--address", help="Where to listen.")] = "127.0.0.1:50051",
    scheduler: Scheduler = None,
    steps: Steps = None,
    shortcut: Shortcut = None,
    budget: Budget = None,
    env: Env = DEFAULT_ENV,
    clients: Annotated[int, whole("--clients", 1, 10_000, "Robots served at once, at most.")] = 64,
    batch: Annotated[int, whole("--batch", 1, 100_000, "Chunks drawn at once, at most.")] = 32,
    most_bytes: Annotated[int, whole("--most-bytes", 1024, 2**30, "Of a request.")] = 2**22,
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Refuse actions outside their bounds instead of clamping them.")
    ] = False,
    trace: Annotated[Path | None, typer.Option("--trace", help="Append a line of JSON for every request.")] = None,
    threads: Threads = None,
) -> None:
    """Serve a policy until Ctrl-C. --env is only where --shortcut bac calibrates, if it has not yet."""
    use_threads(threads)
    try:
        from suffuse.policy.serve import PolicyServer
    except ImportError as error:
        raise ServeError(
            f"serve needs {error.name}, which is not installed: pip install 'suffuse-policy[serve]'"
        ) from error
    policy = load_policy(model)
    if scheduler is not None or steps is not None:
        policy.use_sampler(checked_sampler(scheduler) or policy.sampler, steps or policy.sampling_steps)
    name = checked_shortcut(shortcut)
    if (name is None) != (budget is None):
        raise ValueError("--shortcut and --budget go together: name both or neither")
    if name is not None and budget is not None:
        task = task_by_name(env)
        check_sees(policy, task)
        use_shortcut(policy, name, budget=budget, model=model, task=task)
    beyond: OutOfBounds = "refuse" if refuse else "clamp"
    with PolicyServer(
        policy, address=address, clients=clients, batch=batch, most_bytes=most_bytes, out_of_bounds=beyond, trace=trace
    ) as server:
        say(f"{model} is served at port {server.port}: {policy.sampler}, {policy.sampling_steps} steps; Ctrl-C ends it")
        server.wait()
