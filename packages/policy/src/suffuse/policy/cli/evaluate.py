"""`evaluate`: how good a policy or a baseline is in a simulated task."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from suffuse.backbone import use_threads
from suffuse.console import Threads, check_writable, progress, say, whole, write_json
from suffuse.policy.api import evaluate as evaluate_model
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    ActionSteps,
    Budget,
    Env,
    FirstSeed,
    Model,
    Scheduler,
    Shortcut,
    Steps,
    checked_sampler,
    checked_shortcut,
)  # fmt: skip
from suffuse.policy.environments.evaluation import FIRST_HELD_OUT_SEED, Evaluation

FEW = 10
"""Episodes below which resampling them says too little of others."""


def table(result: Evaluation) -> Table:
    """The figures, a line each."""
    made = Table(title=f"{result.model} in {result.env}", show_header=False)
    low, high = result.ci95["success_rate"]
    made.add_row("success rate", f"{result.success_rate:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    low, high = result.ci95["mean_max_reward"]
    made.add_row("mean max reward", f"{result.mean_max_reward:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    made.add_row(
        "episodes", f"{result.episodes}, seeds from {result.first_seed}, {result.mean_steps:.0f} steps on average"
    )
    if result.cpu_ms_per_chunk is not None:
        how = f"{result.settings['sampler']}, {result.settings['steps']} steps"
        how += f", {result.settings['action_steps']} actions carried out"
        if "shortcut" in result.settings:
            how += f", {result.settings['shortcut']} {result.settings['budget']:g}"
        made.add_row("CPU time of a chunk", f"{result.cpu_ms_per_chunk:.1f} ms, p99 {result.cpu_ms_p99:.1f} ms ({how})")
    if result.settings.get("calibration_spread") is not None:
        episodes, spread, error = (result.settings[f"calibration_{name}"] for name in ("episodes", "spread", "error"))
        made.add_row(
            "calibration", f"{episodes} episodes, similarities differ by {spread:.3f} between them; chunks differ by "
            f"{error:.3f} deviations from full ones",
        )  # fmt: skip
    if result.clamped_share:
        made.add_row("actions moved into bounds", f"{result.clamped_share:.2%}")
    return made


@app.command()
def evaluate(
    model: Model = DEFAULT_MODEL,
    env: Env = DEFAULT_ENV,
    episodes: Annotated[int, whole("--episodes", 1, 1_000_000, "Episodes.")] = 100,
    first_seed: FirstSeed = FIRST_HELD_OUT_SEED,
    scheduler: Scheduler = None,
    steps: Steps = None,
    action_steps: ActionSteps = None,
    shortcut: Shortcut = None,
    budget: Budget = None,
    slots: Annotated[int, whole("--slots", 1, 4096, "Episodes run at once.")] = 50,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write all figures, and every episode, as JSON.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Print success rate and reward over episodes with known seeds, with intervals and CPU time."""
    use_threads(threads)
    if json_out is not None:
        check_writable(json_out)
    with progress("episodes", episodes) as bar:
        result = evaluate_model(
            model, env, episodes=episodes, first_seed=first_seed, sampler=checked_sampler(scheduler), steps=steps,
            action_steps=action_steps, shortcut=checked_shortcut(shortcut), budget=budget, slots=slots,
            on_end=lambda _: bar.advance(bar.task_ids[0]),
        )  # fmt: skip
    if json_out is not None:
        write_json(json_out, result.to_dict())
    Console().print(table(result))
    if episodes < FEW:
        say(f"{episodes} episodes say little: below {FEW}, the interval of the reward is too narrow", style="yellow")
