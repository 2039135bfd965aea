"""`prepare`: make a named city, or a clean city folder from a user's own road file."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.console import say
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import Mode
from suffuse.trajectory.roads.cities import CITIES, load_city, prepare_city


@app.command()
def prepare(
    city: Annotated[str, typer.Argument(help=f"{', '.join(CITIES)}, or a name for a city of your own.")],
    source: Annotated[
        Path | None,
        typer.Option("--source", help="Your road file; for the named cities, aequilibrae's wheel or its coquimbo.zip."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write. Default: where --city NAME looks.")
    ] = None,
    mode: Mode = None,
    join: Annotated[bool, typer.Option("--join/--keep", help="Join segments at nodes where nothing meets.")] = True,
) -> None:
    """Make a city folder: the roads, joined at nodes of degree two and cut to what is strongly connected."""
    written = prepare_city(city, source=source, out=out, join=join, mode=mode)
    say(f"{load_city(written)!r} written to {written}")
