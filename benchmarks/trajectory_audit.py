"""What the shipped model gives away, beside sources whose guilt is known.

    python benchmarks/trajectory_audit.py [-n 2000] [--json out.json]

The shipped model was trained on 100,000 simulated trips. Training and held-out trips of an audit have to be of one kind
(the parts `train` and `test` are not: they share no pair of cells), so held-out trips are drawn here from the simulator
as the training trips were, pairs of cells of the training part, with another seed. Audited beside the model: the
training trips themselves given out as generated, a tenth of them among others, and another draw of the simulator, which
knows nothing of any trip.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from machine import describe
from rich.console import Console

from suffuse.trajectory import Requests, TripGenerator, load_city, load_model
from suffuse.trajectory.demand import DemandConfig, simulate
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.model.recipes import SIMULATED_TRIPS
from suffuse.trajectory.privacy import audit
from suffuse.trajectory.trips.split import OdCellSplit
from suffuse.trajectory.trips.table import concatenate

HELD_OUT_SEED, KNOWS_NOTHING_SEED = 101, 102


def main() -> None:
    """Print one table a source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe(), flush=True)
    city = load_city("la-serena")
    split = OdCellSplit(city)
    wanted = split.parts.index("train")

    def as_trained(origin: int, destination: int) -> bool:
        return bool(split.part_of(np.array([origin]), np.array([destination]))[0] == wanted)

    train = simulated_trips(city, "train", SIMULATED_TRIPS["la-serena"])
    held_out = simulate(city, DemandConfig(), 2 * args.n, seed=HELD_OUT_SEED, accept=as_trained)
    nothing = simulate(city, DemandConfig(), args.n, seed=KNOWS_NOTHING_SEED, accept=as_trained)
    model = load_model("la-serena", city)
    assert isinstance(model, TripGenerator)
    copied = train.take(np.sort(np.random.default_rng(0).choice(len(train), args.n, replace=False)))
    tenth = np.arange(args.n) < args.n // 10
    found = {}
    for name, trips, attacked in (
        ("another draw of the simulator", nothing, None),
        (
            "a tenth copied",
            concatenate([copied.take(np.flatnonzero(tenth)), nothing.take(np.flatnonzero(~tenth))]),
            None,
        ),
        ("all copied", copied, None),
        ("the shipped model", model.sample(Requests.from_trips(nothing)), model),
    ):
        result = audit(city, train, held_out, trips, model=attacked, most=args.n)
        Console(width=120).print(f"\n{name}", result.table(), *result.doubts)
        found[name] = result.to_dict()
        if args.json:
            args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
