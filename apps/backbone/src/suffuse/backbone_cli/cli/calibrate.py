"""`calibrate`: from a budget to the settings of a shortcut, in a small JSON."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import calibrate as find_settings
from suffuse.backbone import use_threads
from suffuse.backbone_cli.chosen import TRAINED
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import NAMES, Budget, Model, Prompts, Seed, Steps
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.target import target
from suffuse.console import Threads, check_writable, replacing, say, whole, write_run


@app.command()
def calibrate(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="JSON file to write, for `report` and Calibration.load.")],
    budget: Budget = 0.6,
    shortcut: Annotated[
        str, typer.Option("--shortcut", help=f"One of {NAMES}. For UNets: feature-inheritance.")
    ] = "forecast-cache",
    episodes: Annotated[int, whole("--episodes", 1, 1000, "Generations to sample, each from its own noise.")] = 4,
    steps: Steps = None,
    prompts: Prompts = None,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Find the settings of a shortcut for a budget from a few generations, for this model and number of steps."""
    arguments = dict(locals())
    use_threads(threads)
    if shortcut in TRAINED:
        raise StudyError(f"{shortcut} is trained, not calibrated: see `suffuse backbone train {TRAINED[shortcut][0]}`")
    check_writable(out)
    on = target(model, steps=steps, prompts=prompts, seed=seed)
    found = find_settings(
        on.accelerated,
        shortcut,
        on.generate,
        budget=budget,
        episodes=episodes,
        steps=on.steps if on.bare else None,
    )
    with replacing(out) as temporary:
        found.save(temporary)
    write_run(out, "suffuse-backbone-cli", arguments, fraction=found.fraction, error=found.error)
    error = "" if found.error is None else f"; samples differ from those in full by {100 * found.error:.3g} %"
    say(
        f"{shortcut} in {on.steps} steps: {100 * found.fraction:.1f} % of the operations of a full generation{error}. "
        f"Written to {out}; see it at work by `suffuse backbone report --model {model} --shortcut {out}`"
    )
