"""`train`: a model, or a baseline, on the trips of a city."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, OnError, Seed, Threads, checked_on_error, console, use_threads
from suffuse.trajectory.corpus import held_out_trips, training_trips
from suffuse.trajectory.model.recipes import SIMULATED_TRIPS, recipe_by_name
from suffuse.trajectory.model.training import recipe_summary, train_model
from suffuse.trajectory.provenance import write_run
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.table import Trips

HELD_OUT = 512
"""Held-out trips whose likelihood is measured during training."""


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
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="Simulated trips, or the most trips to take.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps instead of the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Trips a step instead of the recipe's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    seed: Seed = 0,
    threads: Threads = None,
    on_error: OnError = "fail",
) -> None:
    """Train a model on a city's trips; checkpoints are kept in OUT/run until it is done."""
    arguments = dict(locals())
    use_threads(threads)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file, but must be a folder")
    if (out / "config.json").exists() and not resume:
        raise ValueError(f"{out} holds a model already: choose another --out")
    if model != "trajdlm" and model not in BASELINES:
        raise ValueError(f"--model is {model!r}, but must be one of trajdlm, {', '.join(BASELINES)}")
    chosen = recipe_by_name(recipe, steps=steps, seed=seed, batch=batch)
    network = load_city(city)
    if trips is not None:
        table = read_trips(trips, network, on_error=checked_on_error(on_error))
    else:
        table = training_trips(city, network, count=count or SIMULATED_TRIPS.get(recipe))
    console.print(f"{len(table):,} trips on {network!r}", highlight=False, soft_wrap=True, markup=False)
    if model != "trajdlm":
        BASELINES[model].fit(network, table, seed=seed).save(out)
        write_run(out / "baseline.json", arguments, trips=len(table))
        console.print(f"{model} written to {out}", highlight=False, soft_wrap=True)
        return
    apart: Trips | None
    if held_out is not None:
        apart = read_trips(held_out, network)
    else:
        apart = held_out_trips(city, network, count=HELD_OUT) if trips is None else None
    train_model(network, table, out, chosen, held_out=apart, resume=resume)
    write_run(out / "config.json", arguments, trips=len(table), recipe=recipe_summary(chosen))
    shutil.rmtree(out / "run")
    console.print(f"Model written to {out}", highlight=False, soft_wrap=True)
