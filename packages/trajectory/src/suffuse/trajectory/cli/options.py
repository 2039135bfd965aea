"""Options that several verbs share, and how long work shows that it goes on."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from suffuse.trajectory.errors import shown

MOST_TRIPS = 100_000_000
MOST_PROCESSES = 1024


def whole(flag: str, low: int, high: int, about: str) -> Any:
    """An option that takes a whole number; unlike typer's own it says value and range of one that is wrong."""

    def parse(given: str | int) -> int:  # a default comes as it is
        text = str(given)
        value = int(text) if re.fullmatch(r"[-+]?[0-9]{1,19}", text.strip()) else None
        if value is None or not low <= value <= high:
            raise typer.BadParameter(f"{shown(text)} is no whole number from {low:,} to {high:,}")
        return value

    allowed = f"{low}-{high}" if high < 10_000 else f"from {low}"
    return typer.Option(flag, parser=parse, metavar=f"<int {allowed}>", help=about)


def number(flag: str, low: float, high: float, about: str, *, but: float | None = None) -> Any:
    """An option that takes a number from `low` to `high` other than `but`."""
    allowed = f"{low:g} to {high:g}" if but is None else f"{low:g} to {high:g}, {but:g} excluded"

    def parse(given: str | float) -> float:
        text = str(given)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or value == but:
            raise typer.BadParameter(f"{shown(text)} is no number from {allowed}")
        return value

    return typer.Option(flag, parser=parse, metavar=f"<float {low:g}-{high:g}>", help=about)


City = Annotated[
    str,
    typer.Option(
        "--city",
        help="A city by name (la-serena, coquimbo-8km, coquimbo-full), a city folder, or a road file: GraphML, "
        "GeoPackage, GeoParquet, GeoJSON, SUMO net.xml, .osm.pbf.",
    ),
]
Model = Annotated[str, typer.Option("--model", help="A shipped model, a model directory, or dijkstra, dijkstra-time.")]
Seed = Annotated[int, whole("--seed", 0, 2**63 - 1, "Another seed, other trips; the same seed, the same trips.")]
Threads = Annotated[
    int | None, whole("--threads", 1, MOST_PROCESSES, "Threads of each process. Default: what PyTorch takes.")
]
OnError = Annotated[str, typer.Option("--on-error", help="What to do with records that cannot be used: fail or skip.")]
Out = Annotated[Path, typer.Option("--out", help="The file to write; its suffix chooses the format.")]

console = Console(stderr=True)


def say(sentence: str) -> None:
    """One line on standard error, as it is: names of files and trips may hold anything."""
    console.print(sentence, highlight=False, soft_wrap=True, markup=False)


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
