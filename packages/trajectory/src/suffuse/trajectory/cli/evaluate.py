"""`evaluate`: generated trips against real ones, beside the floor and the baselines."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from suffuse.console import check_writable, say, stderr, write_json
from suffuse.trajectory.baselines import BASELINES, Baseline
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, Mode, OnError, Seed, checked_on_error
from suffuse.trajectory.corpus import has_trips, is_simulated, training_trips
from suffuse.trajectory.demand import simulate_requests, usual_config
from suffuse.trajectory.metrics import evaluate as score
from suffuse.trajectory.model.pretrained import NEED_NO_TRIPS, load_model
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.table import Trips

FEW = 1000
"""Below this many trips even two halves of the same ones diverge much: docs/trajectory/evaluation.md."""


def chosen_baselines(text: str) -> list[str]:
    """Names in `--baselines`: all, none, or a list. Raises ValueError for an unknown one."""
    if text in ("all", "none"):
        return list(BASELINES) if text == "all" else []
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in BASELINES:
            raise ValueError(f"--baselines: {name!r} is none of {', '.join(BASELINES)}, all, none")
    return names


def fitted(names: list[str], city: str, network: RoadNetwork, train: Path | None) -> dict[str, Baseline]:
    """Baselines ready to answer; those that need trips are left out, with a note, where there are none."""
    found: dict[str, Baseline] = {}
    trips: Trips | None = None
    if set(names) - set(NEED_NO_TRIPS):
        if train is not None or has_trips(city):
            trips = training_trips(city, network, file=train)
        else:
            names = [name for name in names if name in NEED_NO_TRIPS]
            say(f"Note: only {', '.join(names) or 'no baseline'} beside it; {city} has no trips: give --train FILE")
    for name in names:
        with stderr.status(f"Fitting {name}"):
            found[name] = BASELINES[name].fit(network, trips) if trips is not None else load_model(name, network)  # type: ignore[assignment]
    return found


@app.command()
def evaluate(
    generated: Annotated[Path, typer.Option("--generated", help="Trips to judge.")],
    city: City = "la-serena",
    mode: Mode = None,
    real: Annotated[
        Path | None,
        typer.Option("--real", help="Real trips. Default for the named cities: simulated ones, same requests."),
    ] = None,
    floor: Annotated[Path | None, typer.Option("--floor", help="A second, independent set of real trips.")] = None,
    train: Annotated[
        Path | None, typer.Option("--train", help="Trips the baselines learn from. Default: the city's own.")
    ] = None,
    baselines: Annotated[str, typer.Option("--baselines", help="all, none, or names separated by commas.")] = "all",
    pairing: Annotated[
        str, typer.Option("--pairing", help="segments, or HOSER's cells of 0.001 degrees.")
    ] = "segments",
    json_out: Annotated[Path | None, typer.Option("--json", help="Write all figures as JSON.")] = None,
    seed: Seed = 0,
    on_error: OnError = "fail",
) -> None:
    """Print how near generated trips come to real ones."""
    if pairing not in ("segments", "cells"):
        raise ValueError(f"--pairing is {pairing!r}, but must be segments or cells")
    names = chosen_baselines(baselines)
    skipping = checked_on_error(on_error)
    if real is None and not is_simulated(city):
        raise ValueError(f"{city} has no simulated trips: give real ones as --real FILE")
    if json_out is not None:
        check_writable(json_out)
    network = load_city(city, mode)
    trips = read_trips(generated, network, on_error=skipping)
    if real is None:
        ends = (trips.origin, trips.destination, trips.depart)
        truth = simulate_requests(network, usual_config(network.mode), *ends, seed=1001)
        second: Trips | None = simulate_requests(network, usual_config(network.mode), *ends, seed=1002)
        say("Compared with simulated trips for the same requests (real road network, simulated trips).")
    else:
        truth = read_trips(real, network, on_error=skipping)
        second = None
    if floor is not None:
        second = read_trips(floor, network, on_error=skipping)
    with stderr.status("Scoring") as status:
        result = score(
            network, truth, trips, floor=second, baselines=fitted(names, city, network, train), seed=seed,
            pairing=pairing, on_row=lambda row: status.update(f"Scoring {row}"),  # type: ignore[arg-type]
        )  # fmt: skip
    if json_out is not None:
        write_json(json_out, result.to_dict())
    Console(width=max(Console().width, 132)).print(result.table())
    if len(trips) < FEW:
        say(f"Note: {len(trips):,} trips are few: divergences (JSD) of fewer than {FEW:,} are mostly noise")
