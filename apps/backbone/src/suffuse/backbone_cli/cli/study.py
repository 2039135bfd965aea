"""`study`: train the models of the study on Fashion-MNIST."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import Data
from suffuse.backbone_cli.study.classifier import FashionClassifier, train_classifier
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.fashion import load_fashion
from suffuse.backbone_cli.study.recipes import RECIPES, recipe
from suffuse.backbone_cli.study.shipped import write_judge, write_study
from suffuse.backbone_cli.study.training import train_study
from suffuse.console import Threads, say, shown

CLASSIFIER = "classifier"


@app.command()
def study(
    what: Annotated[str, typer.Argument(help="dit, unet or classifier.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; checkpoints go to OUT/run.")],
    data: Data = None,
    threads: Threads = None,
) -> None:
    """Train a model of the study; called again, it goes on where it was."""
    use_threads(threads)
    if what not in (*RECIPES, CLASSIFIER):
        raise StudyError(f"there is no study model {shown(what)}; there are {', '.join((*RECIPES, CLASSIFIER))}")
    training, test = load_fashion("train", data), load_fashion("test", data)
    out.mkdir(parents=True, exist_ok=True)
    if what == CLASSIFIER:
        result = train_classifier(training, test, out / "run")
        assert isinstance(result.model, FashionClassifier)
        write_judge(result.model, test, out)
    else:
        chosen = recipe(what)
        result = train_study(chosen, training, test, out / "run")
        write_study(result.model, out, {"config": chosen.config.to_dict(), "batch": chosen.batch, **result.evaluation})
    say(f"{', '.join(f'{name} {value:.4f}' for name, value in result.evaluation.items())}. Written to {out}")
