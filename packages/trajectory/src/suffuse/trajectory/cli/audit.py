"""`audit`: what generated trips give away about the trips that were learned from."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from suffuse.console import check_writable, say, stderr, whole, write_json
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, Mode, OnError, Seed, checked_on_error
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.pretrained import TripGenerator, load_model
from suffuse.trajectory.privacy import audit as audited
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips


@app.command()
def audit(
    train: Annotated[Path, typer.Option("--train", help="The trips that were learned from.")],
    holdout: Annotated[Path, typer.Option("--holdout", help="Trips of the same source that nothing was learned from.")],
    generated: Annotated[Path, typer.Option("--generated", help="The trips that are to be published.")],
    city: City = "la-serena",
    mode: Mode = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="A trained model, attacked too: what its directory gives away if published."),
    ] = None,
    most: Annotated[int, whole("--most", 20, 100_000, "Most trips in a random sample of each set.")] = 2000,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write all figures as JSON.")] = None,
    seed: Seed = 0,
    on_error: OnError = "fail",
) -> None:
    """Print copies, shared ways, distances and membership attacks, beside those of held-out trips."""
    skipping = checked_on_error(on_error)
    if json_out is not None:
        check_writable(json_out)
    network = load_city(city, mode)
    attacked = None if model is None else load_model(model, network, city=city)
    if attacked is not None and not isinstance(attacked, TripGenerator):
        raise ModelError(f"{model} is a baseline, which gives trips no likelihood: leave --model out")
    sets = [
        read_trips(path, network, on_error=skipping, part=part)
        for path, part in ((train, _part(train, "train")), (holdout, _part(holdout, "test")), (generated, None))
    ]
    with stderr.status("Comparing"):
        found = audited(network, *sets, model=attacked, most=most, seed=seed)
    if json_out is not None:
        write_json(json_out, found.to_dict())
    Console(width=max(Console().width, 110)).print(found.table())
    for sentence in found.doubts:
        say(f"Note: {sentence}")


def _part(path: Path, part: str) -> str | None:
    """The part of a city folder that is meant; files are taken whole."""
    return part if path.is_dir() else None
