"""How a best guess is best made of several draws on real trips: medoid, or consensus with more or less of a vote.

    python benchmarks/trajectory_best_guess.py --model DIR [-n 2000] [--best-of 10] [--json out.json]

DIR is a model trained by `benchmarks/trajectory_sf.py`. `-n` trips of the kept-out days are asked for again, none of
them among the 10,000 of the tables of that benchmark. (Trips that the network has been trained on would flatter its
draws.) Zone path is what consensus is with a vote of 0.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from machine import DATA, begin
from rich.console import Console
from rich.table import Table

from suffuse.backbone import use_threads
from suffuse.trajectory import Requests, Trips, load_city, load_model, read_trips
from suffuse.trajectory.best_guess import medoids
from suffuse.trajectory.consensus import VOTE, consensus_routes
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator

TABLED = 10_000
"""Kept-out trips, in the random order of `trajectory_sf.py`, that its tables are of."""

VOTES = (1.0, 3.0, 10.0)

LOGIT_DRAWS = 3
"""Draws of the recursive logit for each one of the model: they cost little."""

COLUMNS = ("hausdorff_km", "dtw_km", "edr", "overlap", "length_ratio")


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "sf_taxi")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--best-of", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begin(args.data, "San Francisco trips")
    use_threads(1)
    city = load_city(args.data)
    kept_out = read_trips(args.data, city, part="val")
    shuffled = np.random.default_rng(0).permutation(len(kept_out))
    real = kept_out.take(shuffled[TABLED : TABLED + args.n])
    model = load_model(args.model, city)
    if not isinstance(model, TripGenerator) or model.logit is None:
        sys.exit(f"{args.model} holds no recursive logit: train it with the recipe city")
    logit, asked = model.logit, Requests.from_trips(real)
    table = Table("guess", "of", *(name.replace("_", " ") for name in COLUMNS))
    rows: list[dict[str, Any]] = []

    def score(name: str, source: str, trips: Trips) -> None:
        row = evaluate(city, real, trips).rows["generated"]
        figures = {column: getattr(row, column) for column in COLUMNS}
        rows.append({"guess": name, "of": source, **figures})
        table.add_row(name, source, *(f"{value:.3f}" for value in figures.values()))
        print(rows[-1], flush=True)

    config = GenerationConfig().for_guess()
    draws = {
        "model": [model.sample(asked, config=config, draw=draw) for draw in range(args.best_of)],
        "recursive logit": [logit.sample(asked, seed=seed) for seed in range(LOGIT_DRAWS * args.best_of)],
    }

    def consensus(source: str, vote: float) -> Trips:
        routes = consensus_routes(logit, asked, draws[source], vote=vote)
        return Trips.from_lists([route.tolist() for route in routes])

    score("zone path", "", consensus("model", 0.0))
    for source in draws:
        score("medoid", source, medoids(city, draws[source]))
    for vote in VOTES:
        score(f"consensus, vote {vote:g}", "model", consensus("model", vote))
    score(f"consensus, vote {VOTE:g}", "recursive logit", consensus("recursive logit", VOTE))
    Console(width=150).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
