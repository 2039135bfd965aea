"""Options that several verbs share."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, get_args

import typer

from suffuse.console import whole
from suffuse.policy.environments import PUSHT
from suffuse.policy.model.noise import Sampler
from suffuse.policy.shortcuts import ShortcutName

MOST_SEED = 2**31 - 1
"""What every simulator takes."""

Env = Annotated[str, typer.Option("--env", help="A simulated task, by its gymnasium id.")]
Model = Annotated[str, typer.Option("--model", help="A model directory, a shipped model, or expert, random.")]
Seed = Annotated[int, whole("--seed", 0, MOST_SEED, "The same seed, the same result.")]
FirstSeed = Annotated[
    int,
    whole("--first-seed", 0, MOST_SEED, "Seed of the first episode; 100000 and up are held out."),
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="How chunks are drawn: ddpm, ddim, dpm, flow, mean. Default: the model's."),
]
Steps = Annotated[int | None, whole("--steps", 1, 10_000, "Denoising steps of a chunk. Default: the model's own.")]
ActionSteps = Annotated[
    int | None,
    whole("--action-steps", 1, 10_000, "Actions of a chunk that are carried out. Default: the model's own number."),
]
Shortcut = Annotated[
    str | None,
    typer.Option("--shortcut", help="Leave out part of the denoiser: bac (calibrated), uniform. Default: nothing."),
]
Budget = Annotated[
    float | None, typer.Option("--budget", help="Share of the denoiser's work that --shortcut may take, in (0, 1].")
]
Data = Annotated[
    list[Path],
    typer.Option(
        "--data", help="Demonstrations: zarr replay buffer (or .zip), robomimic HDF5, LeRobot folder. Repeat for more."
    ),
]
DEFAULT_ENV = PUSHT.name
DEFAULT_MODEL = "pusht"


def checked_sampler(name: str | None) -> Sampler | None:
    """The sampler of that name. Raises ValueError for an unknown one."""
    for known in get_args(Sampler):
        if name == known:
            return known
    if name is None:
        return None
    raise ValueError(f"--scheduler is {name!r}, but must be one of {', '.join(get_args(Sampler))}")


def checked_shortcut(name: str | None) -> ShortcutName | None:
    """The shortcut of that name. Raises ValueError for an unknown one."""
    for known in get_args(ShortcutName):
        if name == known:
            return known
    if name is None:
        return None
    raise ValueError(f"--shortcut is {name!r}, but must be one of {', '.join(get_args(ShortcutName))}")


def check_given(command: Callable[..., None], given: Mapping[str, object], names: Iterable[str], why: str) -> None:
    """Raises ValueError, which ends in `why`, if one of the named options of a command is not at its default."""
    usual = inspect.signature(command).parameters
    for name in sorted(names):
        if given[name] != usual[name].default:
            raise ValueError(f"--{name.replace('_', '-')} {why}")
