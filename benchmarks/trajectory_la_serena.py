"""The shipped model on held-out requests of the shipped city, beside the floor and all baselines.

    python benchmarks/trajectory_la_serena.py [-n 10000] [--json out.json]

Requests are those of simulated trips in OD cells that neither the model nor the baselines were fitted to. The real road
network, simulated trips: "real" below is one draw of the simulator, "floor" another draw for the same requests.
"""

import argparse
import json
from pathlib import Path

from drawing import draw_twice
from machine import describe
from rich.console import Console

from suffuse.trajectory import Requests, load_city
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.demand import DemandConfig, simulate_requests
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.recipes import SIMULATED_TRIPS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000)
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
    Console(width=170).print(result.table())
    if args.json:
        args.json.write_text(json.dumps(result.to_dict(), indent=2))


if __name__ == "__main__":
    main()
