"""`show`: a map of trips, as a page or a picture."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.console import say
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, OnError, Out, checked_on_error
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.show.plot import check_map_suffix, plot_trips
from suffuse.trajectory.trips.read import read_trips


@app.command()
def show(
    trips: Annotated[Path, typer.Argument(help="Trips as GeoJSON, Parquet or CSV.")],
    out: Out,
    city: City = "la-serena",
    title: Annotated[str | None, typer.Option("--title", help="Title of the map. Default: the city's name.")] = None,
    on_error: OnError = "fail",
) -> None:
    """Draw roads, flows and some single trips: .html (one offline page) or .png."""
    check_map_suffix(out)
    skipping = checked_on_error(on_error)
    network = load_city(city)
    table = read_trips(trips, network, on_error=skipping)
    plot_trips(table, network, out, title=title)
    say(f"A map of {len(table):,} trips written to {out}")
