"""`train`: a model, or a baseline, on the trips of a city; a model for any city, on those of several."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from suffuse.backbone import use_threads
from suffuse.console import WEIGHTS_FILE, Threads, say, whole, write_run
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.baselines.baseline import SETTINGS_FILE
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import MOST_TRIPS, Mode, OnError, Seed, checked_on_error
from suffuse.trajectory.corpus import held_out_trips, is_simulated, range_of, training_trips
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.pretrained import (
    is_for_any_city,
    load_network,
    model_directory,
    network_directory,
    read_facts,
)
from suffuse.trajectory.model.recipes import SIMULATED_TRIPS, recipe_by_name
from suffuse.trajectory.model.road_logit import ROAD_LOGIT_FILE
from suffuse.trajectory.model.training import (
    CITY_FILE,
    GENERATION_FILE,
    ROUTE_CHOICE_FOLDER,
    USAGE_FILE,
    Town,
    recipe_summary,
    train_model,
    train_on_several,
)
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.roads.cities import CITIES, load_city
from suffuse.trajectory.roads.modes import checked_mode
from suffuse.trajectory.roads.network import MODES
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.table import Trips

HELD_OUT = 512
"""Held-out trips whose likelihood is measured during training."""


MODEL_FILES = ("config.json", WEIGHTS_FILE, USAGE_FILE, CITY_FILE, GENERATION_FILE, ROAD_LOGIT_FILE)


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


def read_town(
    city: str,
    mode: str | None,
    trips: Path | None,
    held_out: Path | None,
    *,
    count: int | None,
    apart: bool,
    skipping: Literal["fail", "skip"],
) -> Town:
    """A city with its trips: those of a file, of its folder, or simulated ones.

    `apart` asks for trips that are only measured, where the city has a part of them and no file is given.
    """
    network = load_city(city, mode)
    if trips is not None:
        table = read_trips(trips, network, on_error=skipping)
        table = table if count is None else table.take(range_of(table, count))
    else:
        table = training_trips(city, network, count=count)
    measured: Trips | None = None
    if held_out is not None:
        measured = read_trips(held_out, network, on_error=skipping)
    elif trips is None and apart:
        measured = held_out_trips(city, network, count=HELD_OUT)
    say(f"{len(table):,} trips on {network!r}")
    return Town(network=network, trips=table, held_out=measured)


def city_and_mode(said: str, usual: str | None = None) -> tuple[str, str | None]:
    """A city and who travels there, out of `CITY:MODE`; `usual` where it names nobody.

    Raises RoadNetworkError for a city that is there with a mode that is none.
    """
    city, colon, mode = said.rpartition(":")
    if not colon or Path(said).exists():
        return said, usual
    if city in CITIES or Path(city).exists():
        checked_mode(mode)
    return (city, mode) if mode in MODES else (said, usual)


def model_to_go_on_from(start: str) -> Path:
    """The directory of a model. Raises ModelError for none, and for one that learned to read what was counted."""
    directory = model_directory(start)
    if (directory / CITY_FILE).is_file() and not is_for_any_city(read_facts(directory)):
        raise ModelError(
            f"--start is {start!r}, which reads what was counted in the one city it learned, but must be a model of "
            "several cities, which does not"
        )
    return directory


def network_to_go_on_from(directory: Path, modes: Sequence[str]) -> TrajectoryModel:
    """The network of a model for towns of these modes: that of drivers, unless all have one other mode."""
    return load_network(network_directory(directory, modes[0] if len(set(modes)) == 1 else "drive"))


def one_each(option: str, files: list[Path] | None, cities: list[str]) -> list[Path | None]:
    """The files of an option, one for each city in order; none at all where it is not given."""
    if files is None:
        return [None] * len(cities)
    if len(files) != len(cities):
        raise ValueError(
            f"{option} names {len(files)} files for {len(cities)} cities, but must name one for each or none"
        )
    return list(files)


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    city: Annotated[
        list[str] | None,
        typer.Option(
            "--city",
            help="A city by name, a city folder or a road file; repeat it to train on several, for any other city. "
            "With :drive, :bike or :walk after it, that mode instead of --mode. Default: la-serena.",
        ),
    ] = None,
    mode: Mode = None,
    trips: Annotated[
        list[Path] | None,
        typer.Option(
            "--trips",
            help="Trips of the city: CSV, GeoJSON, Parquet, GPX; of several, one file for each --city in order. "
            "Default: those in the city folder, simulated ones for the named cities.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="trajdlm, markov, zone-path, recursive-logit, dijkstra, dijkstra-time.")
    ] = "trajdlm",
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="la-serena, city, transfer or tiny. Default: city, of several transfer."),
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option("--held-out", help="Trips that are only measured, never trained on; as --trips."),
    ] = None,
    count: Annotated[
        int | None, whole("--count", 1, MOST_TRIPS, "Simulated trips, or the most trips to take, of each city.")
    ] = None,
    steps: Annotated[int | None, whole("--steps", 1, 100_000_000, "Training steps instead of the recipe's.")] = None,
    batch: Annotated[int | None, whole("--batch", 1, 100_000, "Trips a step instead of the recipe's.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            help="With recipe transfer: a model of several cities to go on from, a name or a folder. Of two networks "
            "that of drivers, unless all --city are of bike or all of walk.",
        ),
    ] = None,
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
    cities = city or ["la-serena"]
    name = recipe or ("city" if len(cities) == 1 else "transfer")
    chosen = recipe_by_name(name, steps=steps, seed=seed, batch=batch)
    abroad = chosen.batch.no_usage == 1
    if len(cities) > 1 and (model != "trajdlm" or not abroad):
        what = f"--recipe {name}" if model == "trajdlm" else f"--model {model}"
        raise ValueError(
            f"{what} learns one city, but --city is given {len(cities)} times: several need --recipe transfer"
        )
    if start is not None and not abroad:
        raise ValueError(f"--start is {start!r}, but only --recipe transfer can go on from another model")
    before = None if start is None else model_to_go_on_from(start)
    where = [city_and_mode(place, mode) for place in cities]
    places = zip(where, one_each("--trips", trips, cities), one_each("--held-out", held_out, cities), strict=True)
    towns = []
    for (place, who), file, measured in places:
        wanted = count or (SIMULATED_TRIPS.get(name) if is_simulated(place) else None)
        towns.append(read_town(place, who, file, measured, count=wanted, apart=model == "trajdlm", skipping=skipping))
    home, total = towns[0], sum(len(town.trips) for town in towns)
    if model != "trajdlm":
        BASELINES[model].fit(home.network, home.trips, seed=seed).save(out)
        write_run(out / SETTINGS_FILE, "suffuse-trajectory", arguments, trips=total)
        say(f"{model} written to {out}")
        return
    with whole_model(out):
        if abroad:
            modes = [town.network.mode for town in towns]
            first = None if before is None else network_to_go_on_from(before, modes)
            train_on_several(towns, out, chosen, resume=resume, start=first)
        else:
            train_model(home.network, home.trips, out, chosen, held_out=home.held_out, resume=resume)
    write_run(out / "config.json", "suffuse-trajectory", arguments, trips=total, recipe=recipe_summary(chosen))
    shutil.rmtree(out / "run")
    say(f"Model written to {out}")
