"""Options that several verbs share, and how long work shows that it goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

City = Annotated[
    str,
    typer.Option(
        "--city",
        help="A city by name (la-serena, coquimbo-8km, coquimbo-full), a city folder, or a road file: GraphML, "
        "GeoPackage, GeoParquet, GeoJSON, SUMO net.xml, .osm.pbf.",
    ),
]
Model = Annotated[str, typer.Option("--model", help="A shipped model, a model directory, or dijkstra, dijkstra-time.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Another seed, other trips; the same seed, the same trips.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of each process. Default: what PyTorch takes.")
]
OnError = Annotated[str, typer.Option("--on-error", help="What to do with records that cannot be used: fail or skip.")]
Out = Annotated[Path, typer.Option("--out", help="The file to write; its suffix chooses the format.")]

console = Console(stderr=True)


def use_threads(threads: int | None) -> None:
    """Pin the number of threads of this process, if one was asked for."""
    if threads is not None:
        torch.set_num_threads(threads)


def checked_on_error(value: str) -> Literal["fail", "skip"]:
    """`fail` or `skip`. Raises ValueError for anything else."""
    if value == "fail":
        return "fail"
    if value == "skip":
        return "skip"
    raise ValueError(f"--on-error is {value!r}, but must be fail or skip")


@contextmanager
def progress(title: str, total: int) -> Iterator[Progress]:
    """A progress bar with one task, on the terminal only."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        bar.add_task(title, total=total)
        yield bar
