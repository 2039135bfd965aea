"""`train`: a policy on demonstrations."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.backbone.train import read_log
from suffuse.console import Threads, say, whole, write_run
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import Data, Seed
from suffuse.policy.data import Demonstrations, examine, read_demonstrations
from suffuse.policy.data.demonstrations import concatenate
from suffuse.policy.errors import DataError
from suffuse.policy.model.pretrained import load_policy
from suffuse.policy.model.recipes import RECIPES, recipe_by_name
from suffuse.policy.model.training import train_policy


def checked(path: Path, columns: tuple[str, ...]) -> Demonstrations:
    """Demonstrations of a file, after saying what is odd about them. Raises DataError for those with an error."""
    demonstrations = read_demonstrations(path, columns=columns)
    report = examine(demonstrations)
    for finding in report.findings:
        if finding.severity == "error":
            raise DataError(f"{path}: {finding.text}; nothing is trained on that")
        say(f"Warning: {path}: {finding.text}", style="yellow")
    say(f"{path}: {report.episodes:,} episodes, {report.rows:,} rows")
    return demonstrations


def together(parts: list[Demonstrations]) -> Demonstrations:
    """The episodes of all parts; one that does not say its frame rate has that of the others."""
    rates = {part.fps for part in parts if part.fps is not None}
    return concatenate([replace(part, fps=part.fps or next(iter(rates), None)) for part in parts])


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    recipe: Annotated[str, typer.Option("--recipe", help=f"One of {', '.join(RECIPES)}.")] = "pusht",
    steps: Annotated[int | None, whole("--steps", 1, 100_000_000, "Training steps instead of the recipe's.")] = None,
    batch: Annotated[int | None, whole("--batch", 1, 100_000, "Windows a step instead of the recipe's.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Peak learning rate instead of the recipe's.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option("--init", help="Begin with the weights and normalisers of this model, of the same recipe."),
    ] = None,
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
    chosen = recipe_by_name(recipe, steps=steps, seed=seed, batch=batch, learning_rate=learning_rate)
    begin = load_policy(init) if init is not None else None
    demonstrations = together([checked(path, chosen.columns) for path in data])
    train_policy(demonstrations, out, chosen, resume=resume, init=begin)
    measured = [record["values"] for record in read_log(out / "run") if record["kind"] == "evaluation"]
    if measured and measured[-1]:
        say("Held out: " + ", ".join(f"{name} {value:.4g}" for name, value in measured[-1].items()))
    write_run(
        out / "config.json",
        "suffuse-policy",
        arguments,
        episodes=len(demonstrations),
        rows=demonstrations.rows,
        recipe=chosen.summary(),
        held_out=dict(measured[-1]) if measured else {},
    )
    shutil.rmtree(out / "run")
    say(f"Model written to {out}")
