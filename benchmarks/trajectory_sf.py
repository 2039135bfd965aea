"""Real trips: train on San Francisco taxi trips, evaluate on days that were kept out.

    python benchmarks/trajectory_sf.py --model DIR [--train] [-n 10000] [--paired 2000] [--best-of 10]
        [--only sampling|guess] [--json out.json]

`--train` first trains DIR with the recipe `city` on the training days (about an hour and a half on two cores), as
`suffuse-trajectory train --city DATA/sf_taxi --out DIR` does. Two tables follow. *Sampling*: one draw a request for
all of `-n` requests. *Best guess*: that of `--best-of` draws for `--paired` requests. The floor of the first is
random halves of the kept-out days, and trips of the same request within them. Between the tables stands how alike two
answers to one request are, for the requests of which the kept-out days hold two trips. The data are evaluation only,
and their paths between two fixes are those of a map matcher; see docs/data.md.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from drawing import draw, draw_twice
from machine import DATA, begin
from rich.console import Console

from suffuse.trajectory import Requests, RoadNetwork, Trips, load_city, read_trips
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.metrics.overlap import overlaps
from suffuse.trajectory.metrics.pairing import request_keys, twice
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.workers import Job


def same_request(city: RoadNetwork, real: Trips) -> np.ndarray:
    """Rows of two real trips for each request that was made more than once, the most direct evidence of variety."""
    return twice(request_keys(city, real.origin, real.destination, "segments"))


def mean_overlap(city: RoadNetwork, first: Trips, second: Trips) -> str:
    """How much of their metres trips share, row by row: mean and standard error."""
    shared = overlaps(city, first, second, np.stack([np.arange(len(first))] * 2, axis=-1))
    return f"{shared.mean():.3f} +- {shared.std() / len(shared) ** 0.5:.3f}"


def main() -> None:
    """Train if asked to, then print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "sf_taxi")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--paired", type=int, default=2000)
    parser.add_argument("--best-of", type=int, default=10)
    parser.add_argument("--guidance", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--baselines", default="all", choices=("all", "none"))
    parser.add_argument("--only", choices=("sampling", "guess"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    begin(args.data, "San Francisco trips")
    if args.train:
        command = [
            sys.executable,
            "-m",
            "suffuse.trajectory",
            "train",
            "--city",
            str(args.data),
            "--out",
            str(args.model),
        ]
        subprocess.run([*command, "--resume", "--threads", "1"], check=True)
    city = load_city(args.data)
    train, kept_out = read_trips(args.data, city, part="train"), read_trips(args.data, city, part="val")
    baselines = {}
    if args.baselines == "all":
        baselines = {name: kind.fit(city, train) for name, kind in BASELINES.items()}
    shuffled = np.random.default_rng(0).permutation(len(kept_out))
    real = kept_out.take(shuffled[: args.n])
    asked = Requests.from_trips(real)
    console = Console(width=170)
    found: dict[str, object] = {}
    if args.only != "guess":
        trips, redraw = draw_twice(str(args.data), str(args.model), asked, guidance=args.guidance, workers=args.workers)
        sampling = evaluate(city, real, trips, redraw=redraw, baselines=baselines)
        console.rule("sampling: one draw a request")
        console.print(sampling.table())

        pairs = same_request(city, kept_out)
        repeated = kept_out.take(pairs[:, 0])
        again = Requests.from_trips(repeated)
        draws = draw_twice(str(args.data), str(args.model), again, guidance=args.guidance, workers=args.workers)
        alike = {"two real trips": mean_overlap(city, repeated, kept_out.take(pairs[:, 1]))}
        alike["generated"] = mean_overlap(city, *draws)
        for name, baseline in baselines.items():
            alike[name] = mean_overlap(city, *(baseline.sample(again, seed=seed) for seed in (0, 1)))
        console.rule(f"overlap of two answers to one request, over the {len(pairs)} requests that were made twice")
        for name, figure in alike.items():
            console.print(f"{name:>20}  {figure}")
        found |= {"sampling": sampling.to_dict(), "same_request": alike}
    if args.only != "sampling":
        rows = np.arange(min(args.paired, len(real)))
        job = Job(
            city=str(args.data),
            model=str(args.model),
            config=GenerationConfig(guidance=args.guidance),
            best_of=args.best_of,
            threads=1,
        )
        guess = draw(job, asked.take(rows), args.workers)
        best = evaluate(city, real.take(rows), guess, baselines=baselines)
        console.rule(f"best guess of {args.best_of} draws")
        console.print(best.table())
        found["best_guess"] = best.to_dict()
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
