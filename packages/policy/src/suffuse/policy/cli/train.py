"""`train`: a policy on demonstrations."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.console import Threads, say, write_run
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import Data, Seed
from suffuse.policy.data import examine, read_demonstrations
from suffuse.policy.errors import DataError
from suffuse.policy.model.recipes import RECIPES, recipe_by_name
from suffuse.policy.model.training import train_policy


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    recipe: Annotated[str, typer.Option("--recipe", help=f"One of {', '.join(RECIPES)}.")] = "pusht",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps instead of the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Windows a step instead of the recipe's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Train a policy on demonstrations; checkpoints are kept in OUT/run until it is done."""
    arguments = dict(locals())
    use_threads(threads)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file, but must be a folder")
    if (out / "config.json").exists():
        raise ValueError(f"{out} holds a model already: choose another --out")
    chosen = recipe_by_name(recipe, steps=steps, seed=seed, batch=batch)
    demonstrations = read_demonstrations(data, columns=chosen.columns)
    report = examine(demonstrations)
    for finding in report.findings:
        if finding.severity == "error":
            raise DataError(f"{data}: {finding.text}; nothing is trained on that")
        say(f"Warning: {finding.text}", style="yellow")
    say(f"{report.episodes:,} episodes, {report.rows:,} rows")
    train_policy(demonstrations, out, chosen, resume=resume)
    write_run(
        out / "config.json",
        "suffuse-policy",
        arguments,
        episodes=report.episodes,
        rows=report.rows,
        recipe=chosen.summary(),
    )
    shutil.rmtree(out / "run")
    say(f"Model written to {out}")
