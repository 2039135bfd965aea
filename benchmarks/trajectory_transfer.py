"""Zero-shot transfer: a model trained in one city answers requests of another, beside baselines fitted there.

    python benchmarks/trajectory_transfer.py --model DIR --city FOLDER [--trips FILE] [--train FILE] [-n 1000]

DIR was trained elsewhere: it knows the roads of FOLDER, but none of its trips. `--trips` are the trips to answer again,
by default those that FOLDER keeps out; `--train` those the baselines are fitted to, by default FOLDER's training part.
Dijkstra needs no trips. The zone path and the recursive logit are fitted in the city itself: what transfer is up
against. `sampling` is one draw, `best guess` the medoid of ten.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from machine import describe
from rich.console import Console

from suffuse.backbone import use_threads
from suffuse.trajectory import Requests, load_city, load_model, read_trips
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.best_guess import answered
from suffuse.trajectory.corpus import held_out_trips, training_trips
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator


def main() -> None:
    """Print a table for each use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--city", required=True)
    parser.add_argument("--trips", type=Path)
    parser.add_argument("--train", type=Path)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(describe())
    use_threads(1)
    city = load_city(args.city)
    model = load_model(args.model, city)
    if not isinstance(model, TripGenerator) or model.at_home:
        sys.exit(f"{args.model} was trained in {city.name} itself, or is a baseline: nothing is transferred")
    real = held_out_trips(args.city, city, count=args.n) if args.trips is None else read_trips(args.trips, city)
    if real is None:
        sys.exit(f"{args.city} keeps no trips out: name some with --trips")
    real = real.take(np.random.default_rng(0).permutation(len(real))[: args.n])
    known = training_trips(args.city, city, file=args.train)
    baselines = {name: kind.fit(city, known) for name, kind in BASELINES.items()}
    asked = Requests.from_trips(real)
    console, found = Console(width=150), {}
    for name, best_of in (("sampling", 1), ("best guess", 10)):
        trips = answered(model, asked, GenerationConfig(), best_of=best_of)
        result = evaluate(city, real, trips, baselines=baselines)
        console.rule(f"{name}: {args.model} in {city.name}, {len(real):,} trips")
        console.print(result.table())
        found[name] = result.to_dict()
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
