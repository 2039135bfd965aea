"""`train`: a model, or a baseline, on the trips of a city."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone import use_threads
from suffuse.console import WEIGHTS_FILE, Threads, say, whole, write_run
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.baselines.baseline import SETTINGS_FILE
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import MOST_TRIPS, City, OnError, Seed, checked_on_error
from suffuse.trajectory.corpus import held_out_trips, range_of, training_trips
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.recipes import SIMULATED_TRIPS, recipe_by_name
from suffuse.trajectory.model.training import (
    CITY_FILE,
    GENERATION_FILE,
    ROUTE_CHOICE_FOLDER,
    USAGE_FILE,
    recipe_summary,
    train_model,
)
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.table import Trips

HELD_OUT = 512
"""Held-out trips whose likelihood is measured during training."""


MODEL_FILES = ("config.json", WEIGHTS_FILE, USAGE_FILE, CITY_FILE, GENERATION_FILE)


def check_out(out: Path, *, resume: bool) -> None:
    """Raise ModelError, before any work is done, for a folder that no model may be written to."""
    if out.exists() and not out.is_dir():
        raise ModelError(f"--out {out} is a file, but must be a folder")
    if any((out / name).exists() for name in ("config.json", SETTINGS_FILE)) and not (
        resume and (out / "run").exists()
    ):
        raise ModelError(f"--out {out} holds a model already: choose another folder")
    ground = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not (ground.is_dir() and os.access(ground, os.W_OK | os.X_OK)):
        raise ModelError(f"--out {out} cannot be written: {ground} is no folder that may be written in")


@contextmanager
def whole_model(out: Path) -> Iterator[None]:
    """A new model directory has all its files or none; the checkpoints beside them stay, whatever happens."""
    new = [out / name for name in MODEL_FILES if not (out / name).exists()]
    logit = out / ROUTE_CHOICE_FOLDER
    had_logit = logit.exists()
    try:
        yield
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        if not had_logit:
            shutil.rmtree(logit, ignore_errors=True)
        raise


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    city: City = "la-serena",
    trips: Annotated[
        Path | None,
        typer.Option(
            "--trips",
            help="Trips of the city: CSV, GeoJSON, Parquet, GPX. Default: those in the city folder, "
            "simulated ones for the named cities.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="trajdlm, markov, zone-path, recursive-logit, dijkstra, dijkstra-time.")
    ] = "trajdlm",
    recipe: Annotated[str, typer.Option("--recipe", help="la-serena, city or tiny.")] = "city",
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="Trips that are only measured, never trained on.")
    ] = None,
    count: Annotated[int | None, whole("--count", 1, MOST_TRIPS, "Simulated trips, or the most trips to take.")] = None,
    steps: Annotated[int | None, whole("--steps", 1, 100_000_000, "Training steps instead of the recipe's.")] = None,
    batch: Annotated[int | None, whole("--batch", 1, 100_000, "Trips a step instead of the recipe's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    seed: Seed = 0,
    threads: Threads = None,
    on_error: OnError = "fail",
) -> None:
    """Train a model on a city's trips; checkpoints are kept in OUT/run until it is done."""
    arguments = dict(locals())
    use_threads(threads)
    check_out(out, resume=resume)
    skipping = checked_on_error(on_error)
    if model != "trajdlm" and model not in BASELINES:
        raise ValueError(f"--model is {model!r}, but must be one of trajdlm, {', '.join(BASELINES)}")
    chosen = recipe_by_name(recipe, steps=steps, seed=seed, batch=batch)
    network = load_city(city)
    if trips is not None:
        table = read_trips(trips, network, on_error=skipping)
        table = table if count is None else table.take(range_of(table, count))
    else:
        table = training_trips(city, network, count=count or SIMULATED_TRIPS.get(recipe))
    apart: Trips | None = None
    if held_out is not None:
        apart = read_trips(held_out, network, on_error=skipping)
    elif trips is None and model == "trajdlm":
        apart = held_out_trips(city, network, count=HELD_OUT)
    say(f"{len(table):,} trips on {network!r}")
    if model != "trajdlm":
        BASELINES[model].fit(network, table, seed=seed).save(out)
        write_run(out / SETTINGS_FILE, "suffuse-trajectory", arguments, trips=len(table))
        say(f"{model} written to {out}")
        return
    with whole_model(out):
        train_model(network, table, out, chosen, held_out=apart, resume=resume)
    write_run(out / "config.json", "suffuse-trajectory", arguments, trips=len(table), recipe=recipe_summary(chosen))
    shutil.rmtree(out / "run")
    say(f"Model written to {out}")
