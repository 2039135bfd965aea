"""SDAR-VL's training devices, added one by one: updates to a given validation loss, and its spread over seeds.

    python benchmarks/trajectory_devices.py [--steps 300] [--seeds 3] [--json out.json]

A small trajectory model (width 64, 2 layers) in blocks of 8 on simulated trips of La Serena. The validation loss is
the same for all: the block-diffusion bound on 512 held-out trips, in nats a segment, with masks that are always the
same (uniform ratios, one a block, 4 draws). *Updates* are those to the mean last loss of the plain way, by
interpolation between measurements; a dash where it is not reached.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from machine import describe
from torch import Generator, Tensor, nn

from suffuse.backbone import use_threads
from suffuse.backbone.discrete import (
    BetaCurriculum,
    LogLinearNoise,
    NoiseConfig,
    block_diffusion_loss,
    block_diffusion_weights,
)
from suffuse.backbone.discrete.loss import MaskScaling
from suffuse.backbone.train import TrainConfig, read_log, train
from suffuse.trajectory import RoadNetwork, Trips, load_city
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.model.batches import BatchConfig, TripBatch, TripBatches, make_batch
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.loss import route_nll
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import count_usage

BLOCK = 8
UNIFORM = LogLinearNoise()
WAYS: dict[str, tuple[NoiseConfig, MaskScaling]] = {
    "plain: one ratio a trip, weights 1 / t": (NoiseConfig(per_block=False, distribution=UNIFORM), "nominal"),
    "one ratio a block (ABNS)": (NoiseConfig(distribution=UNIFORM), "nominal"),
    "and weights L / k (EMRS)": (NoiseConfig(distribution=UNIFORM), "effective"),
    "and weights (L + 1) / k instead": (NoiseConfig(distribution=UNIFORM), "posterior"),
    "and the Beta curriculum (PBNC)": (NoiseConfig(distribution=BetaCurriculum()), "posterior"),
}


def loss_with(scaling: MaskScaling) -> Callable[[nn.Module, TripBatch, Generator], Mapping[str, Tensor]]:
    """The route's loss with one of the scalings; travel times are left out."""

    def loss(model: nn.Module, batch: TripBatch, generator: Generator) -> Mapping[str, Tensor]:
        del generator
        assert isinstance(model, TrajectoryModel)
        nll, _ = route_nll(model, batch)
        weights = block_diffusion_weights(batch.masked, batch.ratio, batch.blocks, batch.valid, scaling)
        return {"loss": block_diffusion_loss(nll, weights, batch.valid)}

    return loss


def fixed_batches(city: CityFeatures, trips: Trips) -> list[TripBatch]:
    """Held-out trips with masks that are the same for every model."""
    costs = city.costs_to_go(trips.destination)
    return [
        make_batch(
            city, trips.take(np.arange(first, first + 128)), costs, noise=NoiseConfig(distribution=UNIFORM),
            block_size=BLOCK, progress=0.0, drop_condition=0.0, rng=np.random.default_rng(draw),
        )
        for draw in range(4)
        for first in range(0, len(trips), 128)
    ]  # fmt: skip


@torch.no_grad()
def bound(model: TrajectoryModel, batches: list[TripBatch]) -> float:
    """The block-diffusion bound, nats a segment."""
    losses = []
    for batch in batches:
        nll, _ = route_nll(model, batch)
        weights = block_diffusion_weights(batch.masked, batch.ratio, batch.blocks, batch.valid)
        losses.append(float(block_diffusion_loss(nll, weights, batch.valid)))
    return float(np.mean(losses))


def curve(
    network: RoadNetwork, trips: Trips, held_out: Trips, way: str, steps: int, seed: int
) -> list[tuple[int, float]]:
    """Validation losses by the number of updates."""
    noise, scaling = WAYS[way]
    torch.manual_seed(seed)
    model = TrajectoryModel(width=64, depth=2, heads=4, road_width=32, road_heads=2, scorer_width=32)
    config = BatchConfig(trips=48, block_sizes=(BLOCK,), block_weights=(1.0,))
    measured = fixed_batches(CityFeatures(network, count_usage(network, trips)), held_out)
    settings = TrainConfig(
        steps=steps, learning_rate=2e-3, warmup_steps=20, ema_decay=0.97, log_every=25, evaluate_every=25,
        checkpoint_every_steps=None, seed=seed,
    )  # fmt: skip
    with TemporaryDirectory() as place:
        train(
            model=model, loss=loss_with(scaling), config=settings, directory=Path(place),
            batches=TripBatches(network, trips, config, noise, steps=steps, seed=seed),
            evaluate=lambda averaged, step: {"bound": bound(averaged, measured)},  # type: ignore[arg-type]
        )  # fmt: skip
        records = read_log(Path(place))
    return [(record["step"], record["values"]["bound"]) for record in records if record["kind"] == "evaluation"]


def updates_to(target: float, line: list[tuple[int, float]]) -> float | None:
    """Where the line first comes down to a loss, between its points."""
    for (before, high), (after, low) in pairwise(line):
        if low <= target:
            return before + (after - before) * (high - target) / max(high - low, 1e-12) if high > target else before
    return None


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trips", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(describe())
    use_threads(1)
    network = load_city("la-serena")
    trips, held_out = simulated_trips(network, "train", args.trips), simulated_trips(network, "val", 512)
    kept = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    for seed in range(args.seeds):
        for way in WAYS:
            key = f"{way}, seed {seed}, {args.steps} updates"
            if key not in kept:
                kept[key] = curve(network, trips, held_out, way, args.steps, seed)
                print(f"{key}: {kept[key][-1][1]:.4f}", flush=True)
                if args.json:
                    args.json.write_text(json.dumps(kept, indent=1) + "\n")
    lines = {way: [kept[f"{way}, seed {seed}, {args.steps} updates"] for seed in range(args.seeds)] for way in WAYS}
    target = float(np.mean([line[-1][1] for line in next(iter(lines.values()))]))
    print(f"| | validation loss after {args.steps} | spread over seeds | updates to {target:.4f} |")
    print("|---|---|---|---|")
    for way, found in lines.items():
        last = np.array([line[-1][1] for line in found])
        needed = [updates_to(target, line) for line in found]
        shown = ", ".join("–" if one is None else f"{one:.0f}" for one in needed)
        print(f"| {way} | {last.mean():.4f} | {last.std(ddof=1) if len(last) > 1 else 0:.4f} | {shown} |")


if __name__ == "__main__":
    main()
