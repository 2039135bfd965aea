"""`show`: episodes side by side, how a chunk is denoised, success against CPU time."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.console import Threads, progress, say, whole, write_run
from suffuse.policy.api import load_actor
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    ActionSteps,
    Env,
    FirstSeed,
    Model,
    Scheduler,
    Steps,
    check_given,
    checked_sampler,
)  # fmt: skip
from suffuse.policy.environments import PolicyActor, task_by_name
from suffuse.policy.environments.evaluation import FIRST_HELD_OUT_SEED
from suffuse.policy.errors import PolicyError
from suffuse.policy.show.curve import CurvePoint, plot_curve, read_points
from suffuse.policy.show.denoising import plot_chunk, watch_chunk
from suffuse.policy.show.episodes import film, plot_episodes
from suffuse.policy.show.pictures import MOVING, STILL, check_picture_suffix

EPISODES = frozenset({"model", "env", "first_seed", "scheduler", "steps", "action_steps"})
KINDS = {
    "episodes": EPISODES | {"episodes", "every"},
    "chunk": EPISODES | {"at", "chunks"},
    "curve": frozenset({"results", "title"}),
}
"""What there is to draw, and the options that concern it."""


@app.command()
def show(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"What to draw: {', '.join(KINDS)}.")],
    out: Annotated[Path, typer.Option("--out", help="A still picture, .png, or a moving one, .gif or .mp4.")],
    results: Annotated[
        list[Path] | None, typer.Argument(help="For curve: files of evaluate --json, or one of the benchmark.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    env: Env = DEFAULT_ENV,
    first_seed: FirstSeed = FIRST_HELD_OUT_SEED,
    episodes: Annotated[int, whole("--episodes", 1, 64, "For episodes: how many.")] = 6,
    every: Annotated[int, whole("--every", 1, 100, "For episodes that move: steps from one picture to the next.")] = 2,
    at: Annotated[int, whole("--at", 0, 10_000, "For chunk: control steps before it is drawn.")] = 0,
    chunks: Annotated[int, whole("--chunks", 1, 256, "For chunk: how many are drawn of the same moment.")] = 32,
    scheduler: Scheduler = None,
    steps: Steps = None,
    action_steps: ActionSteps = None,
    title: Annotated[str, typer.Option("--title", help="For curve: a line above it.")] = "",
    threads: Threads = None,
) -> None:
    """Draw episodes of a policy, how it denoises chunks of one moment, or the curve of several evaluations."""
    arguments = dict(locals())
    use_threads(threads)
    if kind not in KINDS:
        raise ValueError(f"KIND is {kind!r}, but must be one of {', '.join(KINDS)}")
    if (kind == "curve") != bool(results):
        raise ValueError("show curve takes files of evaluate --json, the other kinds take none")
    others = frozenset().union(*KINDS.values()) - KINDS[kind] - {"results"}
    check_given(show, arguments, others, f"does not concern show {kind}")
    check_picture_suffix(out, STILL if kind == "curve" else (*STILL, *MOVING))
    if kind == "curve":
        points: list[CurvePoint] = [one for path in results or [] for one in read_points(path)]
        plot_curve(points, out, title=title)
        write_run(out, "suffuse-policy", arguments, points=len(points))
        say(f"{len(points)} points written to {out}")
        return
    task = task_by_name(env)
    actor = load_actor(model, task, sampler=checked_sampler(scheduler), steps=steps, action_steps=action_steps)
    if kind == "episodes":
        with progress("episodes", episodes) as bar:
            films = film(
                task, actor, range(first_seed, first_seed + episodes),
                every=every if out.suffix.lower() in MOVING else 1, on_end=lambda: bar.advance(bar.task_ids[0]),
            )  # fmt: skip
        plot_episodes(films, out, fps=task.fps, every=every)
        write_run(out, "suffuse-policy", arguments, successes=sum(one.success for one in films))
        say(f"{len(films)} episodes, {sum(one.success for one in films)} with success, written to {out}")
        return
    if not isinstance(actor, PolicyActor):
        raise PolicyError(f"{model} draws no chunks")
    plot_chunk(watch_chunk(actor.policy, seed=first_seed, at=at, chunks=chunks), out)
    write_run(out, "suffuse-policy", arguments)
    say(f"{chunks} chunks of one moment written to {out}")
