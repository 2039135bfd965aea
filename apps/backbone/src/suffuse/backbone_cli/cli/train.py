"""`train`: the learned part of a shortcut, on a frozen model."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.backbone.shortcuts import Feedback, Routers
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import Data, Study
from suffuse.backbone_cli.study.elastic import train_routers
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.fashion import load_fashion
from suffuse.backbone_cli.study.feedback import train_feedback
from suffuse.backbone_cli.study.recipes import recipe
from suffuse.backbone_cli.study.shipped import load_study
from suffuse.console import Threads, check_writable, replacing, say, shown, whole, write_run

TRAINED = {"ilf": train_feedback, "elastic-routing": train_routers}


@app.command()
def train(
    shortcut: Annotated[
        str, typer.Argument(help="ilf (the module of inner-loop-feedback) or elastic-routing (its routers).")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write, .safetensors; checkpoints go to OUT.run/.")],
    study: Study = "dit",
    model: Annotated[
        Path | None, typer.Option("--model", help="Folder that `study` wrote. Default: the model in the package.")
    ] = None,
    data: Data = None,
    updates: Annotated[
        int | None,
        whole("--updates", 1, 10_000_000, "Training steps in all. Default: 400 for ilf, 500 for elastic-routing."),
    ] = None,
    threads: Threads = None,
) -> None:
    """Train the learned part of a shortcut for a model of the study, whose own weights are not changed.

    Stopped, the same command goes on where it was.
    """
    arguments = dict(locals())
    use_threads(threads)
    if shortcut not in TRAINED:
        raise StudyError(f"there is nothing to train for {shown(shortcut)}; there are {', '.join(TRAINED)}")
    if out.suffix != ".safetensors":
        raise StudyError(f"--out is {shown(str(out))}, but must end in .safetensors")
    chosen = recipe(study)
    if study != "dit":
        raise StudyError(f"--study is {shown(study)}, but {shortcut} needs blocks, which only dit has")
    check_writable(out)
    run = out.with_name(f"{out.name}.run")
    result = TRAINED[shortcut](load_study(chosen, model), load_fashion("train", data), run, updates=updates)
    assert isinstance(result.model, Feedback | Routers)
    with replacing(out) as temporary:
        result.model.save(temporary)
    write_run(out, "suffuse-backbone-cli", arguments)
    say(f"Written to {out}; see it at work by `suffuse backbone report --model {study} --shortcut {out}`")
