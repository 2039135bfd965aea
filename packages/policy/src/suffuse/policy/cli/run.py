"""`run`: one episode of a simulated task."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.console import Threads, progress, replacing, whole, write_run
from suffuse.policy.api import run as run_episode
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    MOST_SEED,
    ActionSteps,
    Budget,
    Env,
    Model,
    Scheduler,
    Shortcut,
    Steps,
    checked_sampler,
    checked_shortcut,
)  # fmt: skip
from suffuse.policy.environments import task_by_name
from suffuse.policy.environments.evaluation import FIRST_HELD_OUT_SEED
from suffuse.policy.environments.task import Episode


@app.command()
def run(
    model: Model = DEFAULT_MODEL,
    env: Env = DEFAULT_ENV,
    seed: Annotated[int, whole("--seed", 0, MOST_SEED, "Seed of the episode.")] = FIRST_HELD_OUT_SEED,
    out: Annotated[Path | None, typer.Option("--out", help="Write a video of it: an .mp4 file.")] = None,
    scheduler: Scheduler = None,
    steps: Steps = None,
    action_steps: ActionSteps = None,
    shortcut: Shortcut = None,
    budget: Budget = None,
    threads: Threads = None,
) -> None:
    """Run one episode, with a video of it if asked for, and say how it went."""
    arguments = dict(locals())
    use_threads(threads)
    if out is not None and out.suffix != ".mp4":
        raise ValueError(f"--out is {out}, but must end in .mp4")
    with progress("steps", task_by_name(env).max_steps) as bar:

        def show(episode: Episode) -> None:
            bar.update(bar.task_ids[0], completed=episode.steps, description=f"reward {episode.max_reward:.2f}, step")

        settings = {
            "seed": seed, "sampler": checked_sampler(scheduler), "steps": steps, "on_step": show,
            "action_steps": action_steps, "shortcut": checked_shortcut(shortcut), "budget": budget,
        }  # fmt: skip
        if out is None:
            outcome = run_episode(model, env, **settings)  # type: ignore[arg-type]
        else:
            with replacing(out) as temporary:
                outcome = run_episode(model, env, video=temporary, **settings)  # type: ignore[arg-type]
            write_run(out, "suffuse-policy", arguments, success=outcome.success, max_reward=outcome.max_reward)
    word = "success" if outcome.success else "no success"
    typer.echo(f"{word} after {outcome.steps} steps, max reward {outcome.max_reward + 0.0:.3f}, seed {outcome.seed}")
