"""`benchmark`: all methods at equal work on a model of the study."""

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from suffuse.backbone import use_threads
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import Study
from suffuse.backbone_cli.study.benchmark import benchmark as compare
from suffuse.backbone_cli.study.benchmark import table
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.finer import finer_methods
from suffuse.backbone_cli.study.methods import own_methods
from suffuse.backbone_cli.study.peers import peer_methods
from suffuse.backbone_cli.study.recipes import recipe
from suffuse.backbone_cli.study.scene import GUIDANCE
from suffuse.backbone_cli.study.shipped import load_judge, load_study
from suffuse.console import Threads, check_writable, replacing, say, shown, whole, write_run


@app.command()
def benchmark(
    study: Study = "dit",
    budgets: Annotated[str, typer.Option("--budgets", help="Shares of the full work.")] = "0.3,0.4,0.6,0.8",
    n: Annotated[int, whole("-n", 2, 100_000, "Samples of a seed.")] = 250,
    seeds: Annotated[int, whole("--seeds", 1, 1000, "Number of seeds; each is a row.")] = 3,
    methods: Annotated[
        str | None, typer.Option("--methods", help="Only those methods whose names hold one of these words.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write the rows as a list in JSON.")] = None,
    threads: Threads = 1,
) -> None:
    """Compare shortcuts, fewer steps and the caches of other libraries on a trained model; print a table."""
    arguments = dict(locals())
    use_threads(threads)
    if out is not None:
        check_writable(out)
    shares = [_budget(word) for word in budgets.split(",")]
    model, judge = load_study(recipe(study)), load_judge()
    chosen = [*peer_methods(), *own_methods(study), *finer_methods(study)]
    if methods is not None:
        words = [word.strip().lower() for word in methods.split(",")]
        every = [method.name for method in chosen]
        chosen = [method for method in chosen if any(word in method.name.lower() for word in words)]
        if not chosen:
            raise StudyError(f"--methods is {shown(methods)}, but must be words of {', '.join(every)}")
    rows = compare(model, judge, chosen, budgets=shares, seeds=range(seeds), count=n, guidance=GUIDANCE, say=say)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n", encoding="utf-8")
        write_run(out, "suffuse-backbone-cli", arguments, threads_used=torch.get_num_threads())
    typer.echo(table(rows), nl=False)


def _budget(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise StudyError(f"--budgets holds {shown(word)}, but each must be a number above 0 and up to 1")
    return value
