"""`benchmark`: all methods at equal work on a model of the study."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from suffuse.backbone import use_threads
from suffuse.backbone_cli.cli.app import app
from suffuse.backbone_cli.cli.options import Data, Study
from suffuse.backbone_cli.study.comparison import compare_on_study
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.rows import table
from suffuse.console import Threads, check_writable, say, shown, whole, write_run


@app.command()
def benchmark(
    study: Study = "dit",
    budgets: Annotated[
        str, typer.Option("--budgets", help="Shares of the work of a full generation, each above 0 and up to 1.")
    ] = "0.3,0.4,0.6,0.8",
    n: Annotated[int, whole("-n", 2, 100_000, "Samples of a seed. More make FD more telling.")] = 100,
    seeds: Annotated[int, whole("--seeds", 1, 1000, "Number of seeds, counted from 0; each is a row.")] = 2,
    methods: Annotated[
        str | None,
        typer.Option("--methods", help="Only methods whose names hold one of these words, as in forecast,fewer."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--json", help="Write the rows as a list in JSON; stopped, the same command goes on."),
    ] = None,
    data: Data = None,
    threads: Threads = 1,
) -> None:
    """Compare shortcuts, fewer steps and the caches of other libraries on a trained model; print a table.

    With the defaults it takes an hour of one core for dit; about 12 seconds for each sample of a seed.
    """
    arguments = dict(locals())
    use_threads(threads)
    if out is not None:
        check_writable(out)
    rows = compare_on_study(
        study,
        budgets=[_budget(word) for word in budgets.split(",")],
        seeds=range(seeds),
        count=n,
        words=None if methods is None else methods.split(","),
        data=data,
        out=out,
        say=say,
    )
    if out is not None:
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
