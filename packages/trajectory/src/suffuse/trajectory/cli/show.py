"""`show`: a map of trips, as a page or a picture; or of what changed from one set of trips to another."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.console import read_object, say
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, Close, Mode, OnError, Out, Speed, checked_on_error
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.show.plot import check_map_suffix, plot_change, plot_trips
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.what_if import Changes


@app.command()
def show(
    trips: Annotated[Path, typer.Argument(help="Trips as GeoJSON, Parquet or CSV.")],
    out: Out,
    city: City = "la-serena",
    mode: Mode = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Trips after a change: draw what changed from TRIPS to these.")
    ] = None,
    close: Close = "",
    speed: Speed = None,
    title: Annotated[str | None, typer.Option("--title", help="Title of the map. Default: the city's name.")] = None,
    on_error: OnError = "fail",
) -> None:
    """Draw roads, flows and some single trips: .html (one offline page) or .png.

    With --compare, draw more and fewer trips instead. Closed and slowed segments are those of --close and --speed, else
    those that the record beside the compared trips names.
    """
    check_map_suffix(out)
    skipping = checked_on_error(on_error)
    network = load_city(city, mode)
    table = read_trips(trips, network, on_error=skipping)
    if compare is None:
        changes = Changes.parse(network, close=close, speed=speed or ())
        plot_trips(table, changes.on(network), out, title=title)
        say(f"A map of {len(table):,} trips written to {out}")
        return
    after = read_trips(compare, network, on_error=skipping)
    said = (close, speed or ()) if close or speed else recorded(compare)
    plot_change(table, after, network, out, changes=Changes.parse(network, close=said[0], speed=said[1]), title=title)
    say(f"A map of what changed from {trips} to {compare} written to {out}")


def recorded(trips: Path) -> tuple[str, tuple[str, ...]]:
    """`--close` and `--speed` of the command that made a file, from the record beside it; nothing if there is none."""
    path = trips.with_name(f"{trips.name}.run.json")
    if not path.is_file():
        return "", ()
    said = read_object(path, error=TripError).get("arguments")
    arguments = said if isinstance(said, dict) else {}
    speed = arguments.get("speed")
    return str(arguments.get("close") or ""), tuple(map(str, speed)) if isinstance(speed, list) else ()
