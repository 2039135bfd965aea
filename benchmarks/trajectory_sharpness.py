"""How a model's probabilities are best used on real trips: temperature, its spread among trips, the recursive logit.

    python benchmarks/trajectory_sharpness.py --model DIR [-n 500] [--json out.json]

DIR is a model trained by `benchmarks/trajectory_sf.py`. `-n` trips of the *training* days are asked for again; neither
the flows that the model reads nor the recursive logit have counted them. (The network's weights have seen each about
twice; they know no segment by name.) The kept-out days are not read. Two draws a request: `score` is the kernel
score of the length-weighted overlap, mean overlap with the real trip less half of that of the two draws; it is proper,
so the true distribution has the greatest one.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import DATA, begin
from rich.console import Console
from rich.table import Table

from suffuse.backbone import use_threads
from suffuse.trajectory import Requests, Trips, load_city, load_model, read_trips
from suffuse.trajectory.baselines import RecursiveLogit
from suffuse.trajectory.baselines.zone_path import ZonePathSettings
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import GenerationConfig, Sharpness
from suffuse.trajectory.model.usage import count_usage

GRID = [
    Sharpness(temperature=1.0),
    Sharpness(temperature=0.8),
    *(Sharpness(temperature=1.0, spread=s, route_choice=b) for b in (0.3, 0.6) for s in (0.0, 0.3)),
    Sharpness(temperature=1.7, spread=0.3, route_choice=1.0),
    *(Sharpness(temperature=t, spread=s, route_choice=1.0) for t in (1.6, 1.8) for s in (0.0, 0.25, 0.35)),
]


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "sf_taxi")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begin(args.data, "San Francisco trips")
    use_threads(1)
    city = load_city(args.data)
    trips = read_trips(args.data, city, part="train")
    shuffled = np.random.default_rng(0).permutation(len(trips))
    real, rest = trips.take(shuffled[: args.n]), trips.take(np.sort(shuffled[args.n :]))
    model = load_model(args.model, city)
    known = model.logit
    if known is None:
        sys.exit(f"{args.model} holds no recursive logit: train it with the recipe city")
    settings = ZonePathSettings(
        depth=round(np.log2(known.turns.zone_of.max() + 1)), smoothing=known.smoothing, per_km=known.estimate.weights[1]
    )
    logit = RecursiveLogit.fit(city, rest, settings=settings)
    model = replace(model, city=CityFeatures(city, count_usage(city, rest)), logit=logit)
    asked = Requests.from_trips(real)

    columns = ("score", "overlap", "redraw_overlap", "length_ratio", "loops", "hausdorff_km", "dtw_km", "edr")
    table = Table("temperature", "spread", "route choice", *(name.replace("_", " ") for name in columns))
    rows: list[dict[str, Any]] = []

    def score(first: Trips, second: Trips, **said: float) -> None:
        pairs = ((first, second), (second, first))
        both = [evaluate(city, real, draw, redraw=other).rows["generated"] for draw, other in pairs]
        figures = {name: float(np.mean([getattr(row, name) for row in both])) for name in columns[1:]}
        figures["score"] = figures["overlap"] - figures["redraw_overlap"] / 2
        rows.append({**said, **figures})
        table.add_row(*(f"{value:g}" for value in said.values()), *(f"{figures[name]:.3f}" for name in columns))
        print(rows[-1], flush=True)

    score(logit.sample(asked, seed=0), logit.sample(asked, seed=1), temperature=1.0, spread=0.0, route_choice=np.inf)
    for sharpness in GRID:
        config = GenerationConfig(**asdict(sharpness))
        score(*(model.sample(asked, config=config, draw=draw) for draw in (0, 1)), **asdict(sharpness))
    Console(width=150).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
