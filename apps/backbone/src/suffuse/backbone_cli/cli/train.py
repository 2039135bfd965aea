"""`train`: the learned part of a shortcut, on a frozen model."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.backbone.shortcuts import Feedback
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import Data
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.fashion import load_fashion
from suffuse.backbone_cli.study.feedback import train_feedback
from suffuse.backbone_cli.study.recipes import recipe
from suffuse.backbone_cli.study.shipped import load_study
from suffuse.console import Threads, check_writable, replacing, say, shown, write_run


@app.command()
def train(
    shortcut: Annotated[str, typer.Argument(help="ilf: inner loop feedback.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, .safetensors; checkpoints go to OUT.run.")],
    model: Annotated[
        Path | None, typer.Option("--model", help="Folder of a DiT of `study`. Default: the one in the package.")
    ] = None,
    data: Data = None,
    threads: Threads = None,
) -> None:
    """Train the learned part of a shortcut for a DiT of the study, whose weights stay as they are."""
    arguments = dict(locals())
    use_threads(threads)
    if shortcut != "ilf":
        raise StudyError(f"there is nothing to train for {shown(shortcut)}; there is ilf")
    if out.suffix != ".safetensors":
        raise StudyError(f"--out is {shown(str(out))}, but must end in .safetensors")
    check_writable(out)
    frozen = load_study(recipe("dit"), model)
    result = train_feedback(frozen, load_fashion("train", data), out.with_name(f"{out.name}.run"))
    assert isinstance(result.model, Feedback)
    with replacing(out) as temporary:
        result.model.save(temporary)
    write_run(out, "suffuse-backbone-cli", arguments)
    say(f"Written to {out}")
