"""Zero-shot transfer: a model trained in other cities answers requests of this one, beside baselines fitted here.

    python benchmarks/trajectory_transfer.py --city FOLDER [--mode walk] [--model base] [--trips FILE] [--train FILE]
        [--simulated COUNT] [-n 1000] [--best-of 10] [--logit DIR] [--fitted DIR] [--json out.json]

The model knows the roads of FOLDER, but none of its trips. `--trips` are the trips to answer again, by default those
that FOLDER keeps out; `--train` those the baselines are fitted to, by default FOLDER's training part. Every row says
where its knowledge of drivers comes from: nowhere, elsewhere, here. *Draw* rows are one draw a request; *guess* rows
are one route that is meant to be right: made of `--best-of` draws for a model, the cheapest route for the rest.

`--logit` puts the road logit of another model directory beside a model that has none, both used as recorded trips are
(recipe `city`). `--fitted` is a recursive logit that `train --model recursive-logit` fitted to FOLDER's training part,
which saves fitting it again. `--json` keeps the figures.

`--mode` says who travels. `--simulated` is for cities without trips of that mode: the trips to answer again are
simulated ones of the test part, the baselines are fitted to COUNT of the training part, and one more row is the
simulator's own second answer to the requests: as near as a draw can be expected to come. A guess can come nearer.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from rich.console import Console
from rich.table import Table

from suffuse.backbone import use_threads
from suffuse.trajectory import Requests, RoadNetwork, Trips, load_city, load_model, read_trips
from suffuse.trajectory.baselines import Dijkstra, DijkstraTime, RecursiveLogit
from suffuse.trajectory.best_guess import guessed
from suffuse.trajectory.consensus import consensus_routes
from suffuse.trajectory.corpus import held_out_trips, training_trips
from suffuse.trajectory.demand import simulate_requests, usual_config
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator
from suffuse.trajectory.model.recipes import REAL_DRIVERS
from suffuse.trajectory.model.road_logit import RoadLogit
from suffuse.trajectory.model.training import fingerprint
from suffuse.trajectory.roads.network import MODES

COLUMNS = ("hausdorff_km", "dtw_km", "edr", "overlap", "length_ratio", "flow_r", "jsd_distance", "redraw_overlap")


def cheapest(logit: RecursiveLogit, asked: Requests) -> Trips:
    """The route that costs least in a recursive logit, for each request; of a fitted one it is the zone path."""
    return Trips.from_lists([route.tolist() for route in consensus_routes(logit, asked, [], vote=0.0)])


def main() -> None:
    """Print a row for each way of answering."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--city", required=True)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--trips", type=Path)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--simulated", type=int, metavar="COUNT")
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--best-of", type=int, default=10)
    parser.add_argument("--logit", type=Path)
    parser.add_argument("--fitted", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(describe())
    use_threads(1)
    city = load_city(args.city, args.mode)
    model = load_model(args.model, city)
    if not isinstance(model, TripGenerator) or model.at_home or fingerprint(city) in model.seen:
        sys.exit(f"{args.model} was trained in {city.name} too, or is a baseline: nothing is transferred")
    if args.logit is not None:
        model = replace(model, logit=RoadLogit.load(args.logit, city), own=REAL_DRIVERS)
    if args.simulated is not None:
        known = simulated_trips(city, "train", args.simulated)
        compare(city, simulated_trips(city, "test", args.n), known, model, args)
        return
    real = held_out_trips(args.city, city, count=sys.maxsize) if args.trips is None else read_trips(args.trips, city)
    if real is None:
        sys.exit(f"{args.city} keeps no trips out: name some with --trips")
    real = real.take(np.random.default_rng(0).permutation(len(real))[: args.n])
    compare(city, real, training_trips(args.city, city, file=args.train), model, args)


def compare(city: RoadNetwork, real: Trips, known: Trips, model: TripGenerator, args: argparse.Namespace) -> None:
    """Score all rows and print them."""
    asked = Requests.from_trips(real)
    table = Table(
        "",
        "drivers known",
        *(name.replace("_", " ") for name in COLUMNS),
        title=f"{len(real):,} trips, {city.name}, {city.mode}",
    )
    rows: list[dict[str, Any]] = []

    def score(name: str, drivers: str, trips: Trips, redraw: Trips | None = None) -> None:
        row = evaluate(city, real, trips, requests=asked, redraw=redraw).rows["generated"]
        rows.append({"row": name, "drivers": drivers, **{column: getattr(row, column) for column in COLUMNS}})
        table.add_row(name, drivers, *(f"{rows[-1][column]:.4f}" for column in COLUMNS))
        print(rows[-1], flush=True)

    score("Dijkstra, length", "none", Dijkstra.without_trips(city).sample(asked))
    score("Dijkstra, free-flow time", "none", DijkstraTime.without_trips(city).sample(asked))
    if model.logit is not None:
        score("road logit, draw", "elsewhere", *(model.logit.sample(asked, seed=seed) for seed in (0, 1)))
        score("road logit, guess", "elsewhere", cheapest(model.logit, asked))
    config = GenerationConfig().for_guess()
    draws = [model.sample(asked, config=config, draw=draw) for draw in range(args.best_of)]
    score("model, draw", "elsewhere", draws[0], draws[1])
    score("model, guess", "elsewhere", guessed(model, asked, draws, config))
    score("Dijkstra, time", "here", DijkstraTime.fit(city, known).sample(asked))
    fitted = RecursiveLogit.fit(city, known) if args.fitted is None else RecursiveLogit.load(args.fitted, city)
    assert isinstance(fitted, RecursiveLogit)
    score("recursive logit, draw", "here", *(fitted.sample(asked, seed=seed) for seed in (0, 1)))
    score("zone path", "here", cheapest(fitted, asked))
    if args.simulated is not None:
        ends = (asked.origin, asked.destination, asked.depart)
        again = [simulate_requests(city, usual_config(city.mode), *ends, seed=seed) for seed in (1001, 1002)]
        score("the simulator again", "all", *again)
    Console(width=160).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
