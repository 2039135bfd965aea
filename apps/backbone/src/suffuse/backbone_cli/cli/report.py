"""`report`: what a shortcut saves in one generation."""

import json
from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import Calibration, accelerate, use_threads
from suffuse.backbone.shortcuts import shortcut as by_name
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import Budget, Model, Prompts, Seed, Steps
from suffuse.backbone_cli.target import target
from suffuse.console import Threads, check_writable, replacing


@app.command()
def report(
    model: Model,
    shortcut: Annotated[
        str, typer.Option("--shortcut", help="A name, as in the guide, or a JSON file of `calibrate`.")
    ] = "delta-cache",
    budget: Budget = 0.6,
    steps: Steps = None,
    prompts: Prompts = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON too.")] = None,
    threads: Threads = None,
) -> None:
    """Sample once with a shortcut and say what it saved, by step and site."""
    use_threads(threads)
    if out is not None:
        check_writable(out)
    path = Path(shortcut)
    chosen = Calibration.load(path).make() if path.suffix == ".json" else by_name(shortcut, budget=budget)
    on = target(model, steps=steps, prompts=prompts, seed=seed)
    with accelerate(on.accelerated, chosen, steps=on.steps if on.bare else None) as session:
        on.generate(0)
    found = session.report()
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
    typer.echo(str(found))
