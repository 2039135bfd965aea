"""`report`: what a shortcut saves in one generation."""

import json
from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import accelerate, use_threads
from suffuse.backbone_cli.chosen import BUDGET, chosen
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import NAMES, SHARE, Model, Prompts, Seed, Steps
from suffuse.backbone_cli.target import target
from suffuse.console import Threads, check_writable, number, replacing


@app.command()
def report(
    model: Model,
    shortcut: Annotated[
        str,
        typer.Option(
            "--shortcut", help=f"A JSON file of `calibrate`, a .safetensors file of `train`, or one of {NAMES}."
        ),
    ] = "delta-cache",
    budget: Annotated[
        float | None,
        number("--budget", 0.0, 1.0, f"{SHARE} Not with a JSON file, which has its own. Default: {BUDGET}.", but=0.0),
    ] = None,
    steps: Steps = None,
    prompts: Prompts = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON too.")] = None,
    threads: Threads = None,
) -> None:
    """Sample once with a shortcut and say what it saved, by step and by part of the model."""
    use_threads(threads)
    if out is not None:
        check_writable(out)
    on = target(model, steps=steps, prompts=prompts, seed=seed)
    plugin = chosen(shortcut, model=model, accelerated=on.accelerated, budget=budget)
    with accelerate(on.accelerated, plugin, steps=on.steps if on.bare else None) as session:
        on.generate(0)
    found = session.report()
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
    typer.echo(str(found))
