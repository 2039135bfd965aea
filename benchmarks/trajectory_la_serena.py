"""The shipped model on held-out requests of the shipped city, beside the floor and all baselines.

    python benchmarks/trajectory_la_serena.py [-n 10000] [--paired 1000] [--best-of 10] [--json out.json]

Two tables, for two ways of use. *Sampling*: one draw a request, for what the trips look like together. *Best guess*:
for which way a driver will go, from `--best-of` draws: the medoid with the shipped model, the consensus with a
model that is used with a recursive logit. A draw is as far from a driver as another driver is
(the floor), so figures of pairs reward whoever always says the same; compare the best guess with a shortest path.

Requests are those of simulated trips in OD cells that neither the model nor the baselines were fitted to. The real road
network, simulated trips: "real" below is one draw of the simulator, "floor" another draw for the same requests.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from drawing import draw, draw_twice
from machine import describe
from rich.console import Console

from suffuse.trajectory import Requests, load_city
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.demand import DemandConfig, simulate_requests
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.recipes import SIMULATED_TRIPS
from suffuse.trajectory.workers import Job


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--paired", type=int, default=1000)
    parser.add_argument("--best-of", type=int, default=10)
    parser.add_argument("--model", default="la-serena")
    parser.add_argument("--part", default="test", choices=("val", "test"))
    parser.add_argument("--guidance", type=float, default=0.0)
    parser.add_argument("--baselines", default="all", choices=("all", "none"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(describe())
    city = load_city("la-serena")
    real = simulated_trips(city, args.part, args.n)
    asked = Requests.from_trips(real)
    floor = simulate_requests(city, DemandConfig(), asked.origin, asked.destination, asked.depart, seed=17)
    baselines = {}
    if args.baselines == "all":
        train = simulated_trips(city, "train", SIMULATED_TRIPS["la-serena"])
        baselines = {name: kind.fit(city, train) for name, kind in BASELINES.items()}
    trips, redraw = draw_twice("la-serena", args.model, asked, guidance=args.guidance, workers=args.workers)
    result = evaluate(city, real, trips, floor=floor, redraw=redraw, baselines=baselines)
    console = Console(width=170)
    console.rule("sampling: one draw a request")
    console.print(result.table())

    rows = np.arange(min(args.paired, args.n))
    config = GenerationConfig(guidance=args.guidance)
    job = Job(city="la-serena", model=args.model, config=config, best_of=args.best_of, threads=1)
    guess = draw(job, asked.take(rows), args.workers)
    best = evaluate(city, real.take(rows), guess, floor=floor.take(rows), baselines=baselines)
    console.rule(f"best guess: the medoid of {args.best_of} draws")
    console.print(best.table())
    if args.json:
        args.json.write_text(json.dumps({"sampling": result.to_dict(), "best_guess": best.to_dict()}, indent=2))


if __name__ == "__main__":
    main()
