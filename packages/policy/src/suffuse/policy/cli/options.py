"""Options that several verbs share, and how long work shows that it goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from suffuse.policy.environments import PUSHT
from suffuse.policy.model.noise import Sampler

Env = Annotated[str, typer.Option("--env", help="A simulated task, by its gymnasium id.")]
Model = Annotated[str, typer.Option("--model", help="A model directory, a shipped model, or planner, random.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same result.")]
FirstSeed = Annotated[
    int,
    typer.Option("--first-seed", min=0, help="Seed of the first episode; 100000 and up are held out."),
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads. Default: what PyTorch takes.")]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="How chunks are drawn: ddpm, ddim, dpm, flow. Default: the model's."),
]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Denoising steps of a chunk. Default: the model's own.")
]
Data = Annotated[
    Path, typer.Option("--data", help="Demonstrations: zarr replay buffer (or .zip), robomimic HDF5, LeRobot folder.")
]
DEFAULT_ENV = PUSHT.name

console = Console(stderr=True)


def use_threads(threads: int | None) -> None:
    """Pin the number of threads of this process, if one was asked for."""
    if threads is not None:
        torch.set_num_threads(threads)


def checked_sampler(name: str | None) -> Sampler | None:
    """The sampler of that name. Raises ValueError for an unknown one."""
    for known in get_args(Sampler):
        if name == known:
            return known
    if name is None:
        return None
    raise ValueError(f"--scheduler is {name!r}, but must be one of {', '.join(get_args(Sampler))}")


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
