"""How a best guess is best made of several draws on real trips: medoid, or consensus with more or less of a vote.

    python benchmarks/trajectory_best_guess.py --model DIR [-n 1000] [--best-of 10] [--json out.json]

DIR is a model trained by `benchmarks/trajectory_sf.py`. `-n` trips of the *training* days are asked for again, which
neither the flows that the model reads nor the recursive logit nor the zone path have counted (see `asked_again.py`);
the kept-out days are not read. Zone path is what consensus is with a vote of 0.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from asked_again import AskedAgain
from machine import DATA, describe
from rich.console import Console
from rich.table import Table

from suffuse.backbone import use_threads
from suffuse.trajectory import Requests, Trips
from suffuse.trajectory.best_guess import medoids
from suffuse.trajectory.consensus import LOGIT_DRAWS, VOTE, consensus_routes
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.generate import GenerationConfig

VOTES = (0.1, 0.2, 0.4)
COLUMNS = ("hausdorff_km", "dtw_km", "edr", "overlap", "length_ratio")


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "sf_taxi")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--best-of", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.data.is_dir():
        sys.exit(f"{args.data} is absent: the San Francisco trips are not part of the product (set SUFFUSE_DATA)")
    print(describe())
    use_threads(1)
    known = AskedAgain.load(args.data, args.model, args.n)
    asked = Requests.from_trips(known.real)
    table = Table("guess", "of", *(name.replace("_", " ") for name in COLUMNS))
    rows: list[dict[str, Any]] = []

    def score(name: str, source: str, trips: Trips) -> None:
        row = evaluate(known.city, known.real, trips).rows["generated"]
        figures = {column: getattr(row, column) for column in COLUMNS}
        rows.append({"guess": name, "of": source, **figures})
        table.add_row(name, source, *(f"{value:.3f}" for value in figures.values()))
        print(rows[-1], flush=True)

    score("zone path", "", known.zone_path.sample(asked))
    config = GenerationConfig().for_guess()
    drawn = [known.model.sample(asked, config=config, draw=draw) for draw in range(args.best_of)]
    more = [known.logit.sample(asked, seed=seed) for seed in range(LOGIT_DRAWS * args.best_of)]
    sources = {"model": [drawn], "recursive logit": [more], "both": [drawn, more]}
    for source in ("model", "recursive logit"):
        score("medoid", source, medoids(known.city, sources[source][0]))
    for source, draws in sources.items():
        for vote in VOTES if source == "both" else (VOTE,):
            routes = consensus_routes(known.logit, asked, draws, vote=vote)
            score(f"consensus, vote {vote}", source, Trips.from_lists([route.tolist() for route in routes]))
    Console(width=150).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
