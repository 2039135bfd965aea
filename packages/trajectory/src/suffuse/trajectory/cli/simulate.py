"""`simulate`: trips of the demand simulator, to learn from and to compare with."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from suffuse.console import progress, say, whole
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import MOST_TRIPS, City, Close, Mode, Out, Seed, Speed
from suffuse.trajectory.demand import simulate_requests, usual_config
from suffuse.trajectory.demand.corpus import PART_SEEDS, simulated_trips
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.write import check_suffix, write_trips
from suffuse.trajectory.what_if import Changes


@app.command()
def simulate(
    out: Out,
    city: City = "la-serena",
    mode: Mode = None,
    n: Annotated[int, whole("-n", 1, MOST_TRIPS, "How many trips.")] = 1000,
    part: Annotated[
        str, typer.Option("--part", help="train, val or test: parts share no pair of 500 m cells.")
    ] = "test",
    again: Annotated[
        Path | None, typer.Option("--again", help="Trips whose requests are driven once more, by other drivers.")
    ] = None,
    close: Close = "",
    speed: Speed = None,
    seed: Seed = 1,
) -> None:
    """Write simulated trips: a real road network, simulated people. Files as for generate."""
    check_suffix(out)
    if part not in PART_SEEDS:
        raise ValueError(f"--part is {part!r}, but must be one of {', '.join(PART_SEEDS)}")
    if (close or speed) and again is None:
        raise ValueError(
            f"{'--close' if close else '--speed'} needs --again: changed roads change how requests are met"
        )
    network = load_city(city, mode)
    if again is None:
        with progress("Simulating trips", n) as bar:
            trips = simulated_trips(
                network, cast(Literal["train", "val", "test"], part), n,
                on_progress=lambda done: bar.update(bar.task_ids[0], completed=done),
            )  # fmt: skip
    else:
        asked = read_trips(again, network)
        changes = Changes.parse(network, close=close, speed=speed or ())
        trips = simulate_requests(
            changes.on(network), usual_config(network.mode), asked.origin, asked.destination, asked.depart, seed=seed
        )
    write_trips(trips, network, out)
    say(f"{len(trips):,} simulated trips written to {out}")
