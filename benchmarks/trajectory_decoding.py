"""Which decoder: one segment after the other, blocks by confidence, or deferred commitment, by what each call buys.

    python benchmarks/trajectory_decoding.py [-n 1000] [--only blocks] [--json out.json]
    python benchmarks/trajectory_decoding.py --city ../shared/data/sf_taxi --model DIR [-n 1000]

The shipped model of La Serena on held-out requests, one draw each, every decoder with the same random numbers; or a
model of your own on trips of a city's training days, for the kept-out days are not for choosing.
*Calls* are denoiser calls a trip made: rows of the same number cost the same. *Judge*: nats a segment by a recursive
logit fitted to other held-out trips, which neither the model nor any decoder has seen; what real trips get is the mark
to meet, not to beat: fewer nats are trips that are too usual. *Arrives*: share of trips that come to their destination
when nothing keeps them to where it can still be reached. Hausdorff to overlap compare a trip with a driver's at the
same request; CPU time is of one thread.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from machine import describe

from suffuse.backbone import use_threads
from suffuse.backbone.discrete import ConfidenceDecoding, Decoding, DeferredCommitmentDecoding
from suffuse.trajectory import Requests, RoadNetwork, Trips, load_city, load_model, read_trips
from suffuse.trajectory.baselines import RecursiveLogit
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model import generate
from suffuse.trajectory.model.canvas import RoadCanvas
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator

Order = str
DECODERS: dict[str, tuple[Decoding, Order]] = {
    "one after the other": (ConfidenceDecoding(block=1, steps=1, threshold=None), "left"),
    **{
        f"blocks of {block}, {order} first, threshold {threshold:g}": (
            ConfidenceDecoding(block=block, steps=block, threshold=threshold), order
        )
        for block, order, threshold in (
            (8, "left", 0.97), (8, "left", 0.9), (16, "left", 0.97), (8, "confidence", 0.97), (8, "confidence", 0.9),
            (16, "confidence", 0.9),
        )
    },
    **{
        f"blocks of 8, {order} first, {steps} calls": (ConfidenceDecoding(block=8, steps=steps, threshold=None), order)
        for order in ("left", "confidence")
        for steps in (4, 2)
    },
    **{
        f"deferred commitment, 8 of {width}, threshold {threshold:g}": (
            DeferredCommitmentDecoding(masks=8, width=width, threshold=threshold), "confidence"
        )
        for width, threshold in ((16, 0.97), (16, 0.9), (16, 0.7))
    },
    "deferred commitment, 8 of 16, left first, threshold 0.97": (
        DeferredCommitmentDecoding(masks=8, width=16, threshold=0.97), "left"
    ),
}  # fmt: skip


class Watched(RoadCanvas):
    """A canvas that counts what is asked of it, and may forget where destinations can be reached from."""

    calls: ClassVar[int] = 0
    arrived: ClassVar[int] = 0
    free: ClassVar[bool] = False

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if Watched.free:
            self.hops = None  # type: ignore[assignment]

    def propose(self, start: torch.Tensor, width: int) -> torch.Tensor:
        """The same, counted by the trip."""
        Watched.calls += int(self.masked.any(dim=1).sum())
        return super().propose(start, width)

    def settle(self, stop: torch.Tensor) -> None:
        """The same; at the end, those that came to their destination are counted."""
        super().settle(stop)
        if bool((stop >= self.tokens.shape[1]).all()):
            Watched.arrived += int((self.tokens == self.end).any(axis=1).sum())
            if Watched.free:
                raise _DoneError


class _DoneError(Exception):
    """Nothing more is asked of trips that may not have arrived."""


@contextmanager
def watched(*, free: bool) -> Iterator[None]:
    """Trips are drawn on watched canvases."""
    usual = generate.RoadCanvas
    Watched.calls, Watched.arrived, Watched.free = 0, 0, free
    generate.RoadCanvas = Watched  # type: ignore[misc]
    try:
        yield
    finally:
        generate.RoadCanvas = usual  # type: ignore[misc]


def arrivals(model: TripGenerator, network: RoadNetwork, asked: Requests, config: GenerationConfig) -> float:
    """Share of trips that arrive without the mask; one tile at a time, each given up once it is drawn."""
    del network
    with watched(free=True):
        for first in range(0, len(asked), 64):
            try:
                model.sample(asked.take(np.arange(first, min(first + 64, len(asked)))), config=config)
            except _DoneError:
                continue
        return Watched.arrived / len(asked)


def judged(judge: RecursiveLogit, trips: Trips) -> float:
    """Nats a segment of trips by a recursive logit; a step that it holds impossible counts as 20."""
    graph = judge.graph
    total, count = 0.0, 0
    for trip in range(len(trips)):
        route = trips.segments_of(trip)
        function = judge.value_function(int(judge.turns.zone_of[route[-1]]))
        weights = function.choice_weights(int(route[-1]))
        taken = graph.find(route[:-1], route[1:])
        for before, place in zip(route[:-1], taken, strict=True):
            ways = weights[graph.start[before] : graph.start[before + 1]]
            share = float(weights[place] / ways.sum()) if ways.sum() > 0 else 0.0
            total += min(-np.log(share), 20.0) if share > 0 else 20.0
        count += len(route) - 1
    return total / count


def sides(name: str, city: RoadNetwork, count: int) -> tuple[Trips, Trips]:
    """The trips to answer again, and those the judge is fitted to."""
    if name == "la-serena":
        return simulated_trips(city, "test", count), simulated_trips(city, "val", 10_000)
    known = read_trips(name, city, part="train")
    return known.take(np.random.default_rng(5).permutation(len(known))[:count]), read_trips(name, city, part="val")


def main() -> None:
    """Print a row for each decoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--free", type=int, default=300, help="requests that are answered without the mask")
    parser.add_argument("--city", default="la-serena")
    parser.add_argument("--model", default="la-serena")
    parser.add_argument("--only", default="", help="decoders whose names hold this")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(describe())
    use_threads(1)
    city = load_city(args.city)
    model = load_model(args.model, city)
    assert isinstance(model, TripGenerator)
    real, others = sides(args.city, city, args.n)
    asked = Requests.from_trips(real)
    judge = RecursiveLogit.fit(city, others)
    print(f"real trips: {judged(judge, real):.3f} nats a segment by the judge")
    print("| decoder | calls | ms | judge | arrives | JSD distance, × floor | Hausdorff | DTW | EDR | overlap |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    model.sample(asked.take(np.arange(8)), config=GenerationConfig())  # compile
    for name, (decoding, order) in ((name, how) for name, how in DECODERS.items() if args.only in name):
        config = GenerationConfig(decoding=decoding, order=order)  # type: ignore[arg-type]
        with watched(free=False):
            began = time.process_time()
            trips = model.sample(asked, config=config)
            spent = (time.process_time() - began) / len(asked)
            calls = Watched.calls / len(asked)
        found = evaluate(city, real, trips)
        figures = found.rows["generated"]
        row = {
            "decoder": name, "calls": calls, "ms": 1000 * spent, "judge": judged(judge, trips),
            "arrives": arrivals(model, city, asked.take(np.arange(min(args.free, args.n))), config),
            "jsd_distance": found.over_floor("generated", "jsd_distance"),
            **{key: getattr(figures, key) for key in ("hausdorff_km", "dtw_km", "edr", "overlap")},
        }  # fmt: skip
        rows.append(row)
        values = [value for key, value in row.items() if key != "decoder"]
        print(f"| {name} | " + " | ".join(f"{value:.3g}" for value in values) + " |", flush=True)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
