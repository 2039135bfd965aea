"""Do drivers of the model answer to closed and slow streets as those of the simulator do?

    python benchmarks/trajectory_what_if.py [-n 400] [--part test] [--json out.json]

Four busy streets are closed, one at a time, and the main roads around two more are slowed to 10 km/h. For each the same
requests are driven before and after: by the demand simulator, whose drivers choose their way anew and which is the
truth here (mean of two runs); by another run of it with other drivers, the floor; by the shipped model; and by
baselines. All use the same random numbers before and after. Requests are those of simulated trips that neither the
model nor the baselines saw, for which the changed street is a way to go: at most 15 % slower than the fastest one.

Figures are of the shift, trips after minus trips before, on every segment but the closed ones: Pearson correlation with
the true shift; error on the ten segments it is largest on, as a share of it; size, the sum of all shifts without sign
over that of the true ones. Streets of even rank by traffic are for choosing settings (`--part val`), those of odd rank
for the table.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from machine import describe
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from suffuse.trajectory import Requests, RoadNetwork, TripGenerator, Trips, load_city, load_model
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.demand import DemandConfig, simulate_requests
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import unreachable
from suffuse.trajectory.roads.costs import cost_to_nodes
from suffuse.trajectory.what_if import Changes

CLOSED, SLOWED = 4, 2
APART_M = 400.0
"""Chosen streets are this far from each other."""
AROUND_M = 500.0
"""Roads of the same class within this distance of a street are slowed with it."""
SLOW_KMH = 10.0
DETOUR = 1.15
LOST = 0.05
"""A street whose closing leaves more requests than this share without a way is no candidate."""


def busy_streets(city: RoadNetwork, train: Trips, count: int) -> list[list[int]]:
    """The busiest streets, both directions each, far from each other, that can be closed."""
    flow = np.bincount(train.segment, minlength=len(city))
    rows = np.arange(len(city))
    street = np.where(city.reverse >= 0, np.minimum(rows, city.reverse), rows)
    total = np.bincount(street, flow, len(city))
    middle = city.to_metres(city.centroid_lonlat)
    some = Requests.from_trips(train.take(np.arange(1000)))
    found: list[list[int]] = []
    for here in np.argsort(-total, kind="stable").tolist():
        both = [here, int(city.reverse[here])] if city.reverse[here] >= 0 else [here]
        if any(np.hypot(*(middle[here] - middle[other[0]])) < APART_M for other in found):
            continue
        if len(unreachable(city.without(np.array(both)), some)) <= LOST * len(some):
            found.append(both)
        if len(found) == count:
            break
    return found


def scenarios(city: RoadNetwork, train: Trips, part: str) -> dict[str, Changes]:
    """What is changed, by name."""
    streets = busy_streets(city, train, 2 * (CLOSED + SLOWED))[0 if part == "val" else 1 :: 2]
    middle = city.to_metres(city.centroid_lonlat)
    found = {}
    for segments in streets[:CLOSED]:
        found[f"close {city.segment_ids[segments[0]]}"] = Changes(closed=tuple(segments))
    for segments in streets[CLOSED:]:
        near = np.hypot(*(middle - middle[segments[0]]).T) < AROUND_M
        rows = np.flatnonzero(near & (city.highway == city.highway[segments[0]])).tolist()
        name = f"{SLOW_KMH:g} km/h near {city.segment_ids[segments[0]]}"
        found[name] = Changes(speed_kmh=tuple((row, SLOW_KMH) for row in rows))
    return found


def concerned(city: RoadNetwork, requests: Requests, changes: Changes, most: int) -> Requests:
    """Requests for which a changed segment is on a way hardly slower than the fastest, and that can be met after."""
    seconds = city.free_flow_s.astype(np.float64)
    ends, back = np.unique(city.from_node[requests.destination], return_inverse=True)
    to_go = cost_to_nodes(city, seconds, ends)
    start = city.to_node[requests.origin]
    best = np.full(len(requests), np.inf)
    for segment in changes.segments:
        reach = cost_to_nodes(city, seconds, city.from_node[[segment]].astype(np.int64))[0]
        best = np.minimum(best, reach[start] + seconds[segment] + to_go[back, city.to_node[segment]])
    at_end = np.isin(requests.origin, changes.segments) | np.isin(requests.destination, changes.segments)
    near = requests.take(np.flatnonzero((best <= DETOUR * to_go[back, start]) & ~at_end))
    can: Int[ndarray, " r"] = np.setdiff1d(np.arange(len(near)), unreachable(changes.on(city), near))
    return near.take(can[:most])


def simulated(network: RoadNetwork, seed: int) -> Callable[[Requests], Trips]:
    """How the simulator answers on a network: the same seed, the same drivers."""

    def answered(asked: Requests) -> Trips:
        return simulate_requests(network, DemandConfig(), asked.origin, asked.destination, asked.depart, seed=seed)

    return answered


def shift_of(
    city: RoadNetwork,
    asked: Requests,
    kept: Int[ndarray, " k"],
    before: Callable[[Requests], Trips],
    after: Callable[[Requests], Trips],
) -> Float[ndarray, " k"]:
    """Trips after minus trips before on each of the segments `kept`."""
    flows = [np.bincount(how(asked).segment, minlength=len(city)) for how in (before, after)]
    return (flows[1] - flows[0])[kept].astype(np.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=400)
    parser.add_argument("--part", default="test", choices=("val", "test"))
    parser.add_argument("--model", default="la-serena")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe(), flush=True)
    city = load_city("la-serena")
    train = simulated_trips(city, "train", 20_000)
    requests = Requests.from_trips(simulated_trips(city, args.part, 10_000 if args.part == "test" else 12_000))
    model = load_model(args.model, city)
    assert isinstance(model, TripGenerator)
    baselines = {name: BASELINES[name].fit(city, train) for name in ("dijkstra-time", "recursive-logit")}

    def without_pivot(network: RoadNetwork) -> TripGenerator:
        there = model.on(network)
        return replace(there, city=CityFeatures(network, there.city.observed))

    rows: dict[str, dict[str, dict[str, float]]] = {}
    table = Table(
        title="Shift of trips a segment, against the simulator", caption="correlation, error on the ten, size"
    )
    for scenario, changes in scenarios(city, train, args.part).items():
        changed, asked = changes.on(city), concerned(city, requests, changes, args.n)
        kept = np.setdiff1d(np.arange(len(city)), changes.closed)

        shift = partial(shift_of, city, asked, kept)
        true = (
            shift(simulated(city, 11), simulated(changed, 11)) + shift(simulated(city, 13), simulated(changed, 13))
        ) / 2
        ten = np.argsort(-np.abs(true), kind="stable")[:10]
        found = {
            "floor": shift(simulated(city, 12), simulated(changed, 12)),
            "suffuse": shift(model.sample, model.on(changed).sample),
            "suffuse, features alone": shift(model.sample, without_pivot(changed).sample),
            **{name: shift(each.sample, each.on(changed).sample) for name, each in baselines.items()},
        }
        rows[scenario] = {
            name: {
                "requests": len(asked),
                "correlation": float(np.nan_to_num(np.corrcoef(true, each)[0, 1])) if each.any() else 0.0,
                "error_on_ten": float(np.abs(each - true)[ten].sum() / np.abs(true)[ten].sum()),
                "size": float(np.abs(each).sum() / np.abs(true).sum()),
            }
            for name, each in found.items()
        }
        print(scenario, json.dumps(rows[scenario]), flush=True)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    rows["mean"] = {
        name: {
            figure: float(np.mean([of[name][figure] for of in rows.values()]))
            for figure in ("requests", "correlation", "error_on_ten", "size")
        }
        for name in next(iter(rows.values()))
    }
    table.add_column("")
    for name in rows["mean"]:
        table.add_column(name, justify="right")
    for scenario, of in rows.items():
        cells = [f"{x['correlation']:.3f}  {x['error_on_ten']:.3f}  {x['size']:.2f}" for x in of.values()]
        table.add_row(scenario, *cells)
    Console(width=160).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
