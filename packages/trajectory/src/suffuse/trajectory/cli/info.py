"""`info`: what a city, a model or a file of trips is."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from suffuse.console import say, stderr
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import Mode
from suffuse.trajectory.describe import describe_city, describe_model, describe_trips
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips


@app.command()
def info(
    city: Annotated[str | None, typer.Option("--city", help="A city by name, folder or road file.")] = None,
    mode: Mode = None,
    model: Annotated[str | None, typer.Option("--model", help="A shipped model or a model directory.")] = None,
    trips: Annotated[Path | None, typer.Option("--trips", help="Trips of the city.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Describe a city, a model, or trips of a city. Without options: the shipped city and model."""
    if city is None and model is None and trips is None and mode is None:
        city, model = "la-serena", "la-serena"
    facts: dict[str, Any] = {}
    if city is not None or trips is not None or mode is not None:
        network = load_city(city or "la-serena", mode)
        facts["city"] = describe_city(network)
        if trips is not None:
            facts["trips"] = describe_trips(read_trips(trips, network), network)
    if model is not None:
        facts["model"] = describe_model(model)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for what, values in facts.items():
        stderr.print(f"[bold]{what}[/bold]")
        for name, value in values.items():
            say(f"  {name:24} {value}")
