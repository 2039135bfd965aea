"""Training a trajectory model on the trips of one city or of several, and what a model directory holds.

A model directory is a diffusers directory (config.json, diffusion_pytorch_model.safetensors) with more beside it:
`usage.safetensors`, the observed flows of the city it was trained on; `city.json`, which says which city that is; and
where the recipe says so `generation.json`, how the probabilities are best used, and `route-choice`, a recursive logit
of the same trips. A model of several cities has no usage, for it is meant for others, and a recursive logit that any
road network has the attributes for: `road-logit.json`. It may have a second network for cyclists and walkers, in the
folder `beside-cars`: `config.json` and weights.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from suffuse.backbone.discrete import BetaCurriculum, NoiseConfig
from suffuse.backbone.train import TrainConfig, train
from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.model.batches import BatchConfig, SeveralCities, TripBatches, make_batch
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import Sharpness
from suffuse.trajectory.model.loss import route_nll, trajectory_loss
from suffuse.trajectory.model.road_logit import RoadLogit, fit_road_logit
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

USAGE_FILE = "usage.safetensors"
CITY_FILE = "city.json"
GENERATION_FILE = "generation.json"
ROUTE_CHOICE_FOLDER = "route-choice"
BESIDE_CARS = "beside-cars"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what is trained, apart from the city and its trips."""

    model: dict[str, int] = field(default_factory=dict)
    """Arguments of `TrajectoryModel`; its defaults for what is not named."""
    batch: BatchConfig = field(default_factory=BatchConfig)
    noise: NoiseConfig = field(default_factory=lambda: NoiseConfig(distribution=BetaCurriculum()))
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=3000, learning_rate=2e-3, warmup_steps=200))
    sharpness: Sharpness = field(default_factory=Sharpness)
    """How the probabilities of the trained model are used where a request does not say."""


def fingerprint(network: RoadNetwork) -> str:
    """A hash of a network's mode, segments and where they lead: models know by it whether they are at home."""
    digest = hashlib.sha256(b"" if network.mode == "drive" else network.mode.encode())
    for values in (network.segment_ids, network.from_node, network.to_node, np.round(network.length_m, 1)):
        digest.update(np.ascontiguousarray(values.astype(np.float64)).tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Town:
    """One of several cities to train on."""

    network: RoadNetwork
    trips: Trips
    held_out: Trips | None = None
    """Trips that are only measured."""


def identity(towns: Sequence[Town], recipe: Recipe, start: TrajectoryModel | None = None) -> dict[str, str]:
    """What a run that is resumed must have kept, beside the settings of the loop: see `suffuse.backbone.train.train`.

    Modes, road networks and training trips in the order of the cities, how batches are made of them, and the weights
    to go on from; hashes where a value would be long.
    """
    settings = {"batch": asdict(recipe.batch), "noise": asdict(recipe.noise)}
    return {
        "mode": ", ".join(town.network.mode for town in towns),
        "road network": ", ".join(fingerprint(town.network) for town in towns),
        "training trips": ", ".join(hash_of_trips(town.trips) for town in towns),
        **{f"{part}.{name}": str(value) for part, values in settings.items() for name, value in values.items()},
        "start": "a new network" if start is None else hash_of_weights(start),
    }


def hash_of_trips(trips: Trips) -> str:
    """A hash of where trips go and when, to the millisecond; their names do not matter."""
    times = (np.round(values, 3).astype(np.float64) for values in (trips.enter_s, trips.duration_s))
    places = (values.astype(np.int64) for values in (trips.start, trips.segment, trips.depart))
    digest = hashlib.sha256()
    for values in (*places, *times):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def hash_of_weights(model: torch.nn.Module) -> str:
    """A hash of the names and values of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def called(network: RoadNetwork) -> str:
    """A city's name among several, with its mode where that is not driving."""
    return network.name if network.mode == "drive" else f"{network.name} {network.mode}"


@torch.no_grad()
def sequential_nll(
    model: TrajectoryModel, city: CityFeatures, trips: Trips, *, batch: int = 128, logit: RecursiveLogit | None = None
) -> float:
    """Exact negative log-likelihood of held-out trips in nats a segment, decided one after the other (block size 1).

    `logit` is the one the model was trained beside, if any.
    """
    noise = NoiseConfig()
    total, count = 0.0, 0
    for first in range(0, len(trips), batch):
        part = trips.take(np.arange(first, min(first + batch, len(trips))))
        made = make_batch(
            city, part, city.costs_to_go(part.destination), noise=noise, block_size=1, progress=0.0, drop_condition=0.0,
            rng=np.random.default_rng(0), all_masked=True, logit=logit,
        )  # fmt: skip
        nll, _ = route_nll(model, made)
        total, count = total + float(nll.sum()), count + int(made.valid.sum())
    return total / count


@torch.no_grad()
def delay_correlation(model: TrajectoryModel, city: CityFeatures, trips: Trips, *, most: int = 512) -> float:
    """How alike the relative delays of neighbouring segments are, beyond what the model expects: in [0, 0.95].

    The correlation of successive standardised residuals of log travel time; 0 where no trip has times.
    """
    part = trips.take(np.unique(np.linspace(0, len(trips) - 1, min(most, len(trips))).astype(np.int64)))
    made = make_batch(
        city, part, city.costs_to_go(part.destination), noise=NoiseConfig(), block_size=8, progress=0.0,
        drop_condition=0.0, rng=np.random.default_rng(0),
    )  # fmt: skip
    _, clean = route_nll(model, made)
    mean, spread = model.travel_time(clean)
    residual = (made.log_time - mean) / spread
    first, second = residual[:, :-1].flatten(), residual[:, 1:].flatten()
    known = ~(first.isnan() | second.isnan())
    if int(known.sum()) < 2:
        return 0.0
    correlation = float(torch.corrcoef(torch.stack([first[known], second[known]]))[0, 1])
    return min(max(correlation, 0.0), 0.95) if np.isfinite(correlation) else 0.0


def train_model(
    network: RoadNetwork,
    trips: Trips,
    directory: Path,
    recipe: Recipe,
    *,
    held_out: Trips | None = None,
    resume: bool = False,
) -> TrajectoryModel:
    """Train on `trips`; checkpoints go to `directory/run`, the model to `directory`. Returns the averaged model.

    `held_out` trips are only measured (`nll`, nats a segment), never trained on or counted.
    """
    torch.manual_seed(recipe.train.seed)
    model = TrajectoryModel(**recipe.model)
    batches = TripBatches(network, trips, recipe.batch, recipe.noise, steps=recipe.train.steps, seed=recipe.train.seed)
    city = CityFeatures(network, count_usage(network, trips))

    def evaluate(averaged: torch.nn.Module, step: int) -> dict[str, float]:
        del step
        assert isinstance(averaged, TrajectoryModel)
        return {} if held_out is None else {"nll": sequential_nll(averaged, city, held_out)}

    result = train(
        model=model, loss=trajectory_loss, batches=batches, config=recipe.train, directory=directory / "run",
        evaluate=evaluate, resume=resume, identity=identity([Town(network=network, trips=trips)], recipe),
    )  # fmt: skip
    assert isinstance(result.model, TrajectoryModel)
    correlation = round(delay_correlation(result.model, city, trips), 3)
    result.model.register_to_config(time_correlation=correlation)  # type: ignore[no-untyped-call]
    save_sharpness(recipe.sharpness, network, trips, directory, seed=recipe.train.seed)
    save_model(result.model, city, directory, trained={"trips": len(trips), **result.evaluation})
    return result.model


def train_on_several(
    towns: Sequence[Town],
    directory: Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    start: TrajectoryModel | None = None,
) -> TrajectoryModel:
    """Train for cities never seen: on several, without usage, beside a recursive logit of road attributes.

    Files as with `train_model`. What is held out is measured for each city (`nll NAME`, nats a segment). Each city
    has its own mode, and each mode weights of its own in the recursive logit. The recipe must have `no_usage` 1.
    `start` is a network to go on from, instead of a new one. Returns the averaged model.
    """
    if recipe.batch.no_usage < 1:
        raise ValueError(f"no_usage is {recipe.batch.no_usage}, but must be 1 to train on several cities")
    torch.manual_seed(recipe.train.seed)
    known = identity(towns, recipe, start)  # before `start` is trained in place
    model = TrajectoryModel(**recipe.model) if start is None else start
    steps, seed = recipe.train.steps, recipe.train.seed
    estimates = fit_road_logit([(town.network, town.trips) for town in towns], seed=seed)
    logits = [RoadLogit(town.network, estimates) for town in towns]
    sources = [
        TripBatches(town.network, town.trips, recipe.batch, recipe.noise, steps=steps, seed=seed, logit=logit)
        for town, logit in zip(towns, logits, strict=True)
    ]

    def evaluate(averaged: torch.nn.Module, step: int) -> dict[str, float]:
        del step
        assert isinstance(averaged, TrajectoryModel)
        return {
            f"nll {called(city)}": sequential_nll(averaged, CityFeatures(city), held_out, logit=logit)
            for (city, held_out), logit in zip(((town.network, town.held_out) for town in towns), logits, strict=True)
            if held_out is not None
        }

    result = train(
        model=model, loss=trajectory_loss, batches=SeveralCities(sources, steps=steps, seed=seed), config=recipe.train,
        directory=directory / "run", evaluate=evaluate, resume=resume, identity=known,
    )  # fmt: skip
    assert isinstance(result.model, TrajectoryModel)
    alike = [delay_correlation(result.model, CityFeatures(town.network), town.trips) for town in towns]
    correlation = round(float(np.average(alike, weights=[len(town.trips) for town in towns])), 3)
    result.model.register_to_config(time_correlation=correlation)  # type: ignore[no-untyped-call]
    logits[0].save(directory)
    write_sharpness(recipe.sharpness, directory)
    result.model.save_pretrained(directory)
    cities = [
        {"name": town.network.name, "mode": town.network.mode, "fingerprint": fingerprint(town.network),
         "segments": len(town.network), "trips": len(town.trips)}
        for town in towns
    ]  # fmt: skip
    facts = {"cities": cities, "trained": result.evaluation}
    (directory / CITY_FILE).write_text(json.dumps(facts, indent=2) + "\n")
    return result.model


def save_sharpness(sharpness: Sharpness, network: RoadNetwork, trips: Trips, directory: Path, *, seed: int) -> None:
    """Write how a model's probabilities are used, with the recursive logit that this needs. Nothing for the default."""
    if sharpness == Sharpness():
        return
    if sharpness.route_choice > 0:
        RecursiveLogit.fit(network, trips, seed=seed).save(directory / ROUTE_CHOICE_FOLDER)
    write_sharpness(sharpness, directory)


def write_sharpness(sharpness: Sharpness, directory: Path) -> None:
    """Write `generation.json`."""
    (directory / GENERATION_FILE).write_text(json.dumps(asdict(sharpness), indent=2) + "\n")


def save_model(model: TrajectoryModel, city: CityFeatures, directory: Path, *, trained: dict[str, Any]) -> None:
    """Write a model directory."""
    model.save_pretrained(directory)
    (city.observed or city.usage).save(directory / USAGE_FILE)
    network = city.network
    facts = {
        "name": network.name, "mode": network.mode, "fingerprint": fingerprint(network), "segments": len(network)
    }  # fmt: skip
    (directory / CITY_FILE).write_text(json.dumps({**facts, "trained": trained}, indent=2) + "\n")


def recipe_summary(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values, for run.json and logs."""
    return {
        "model": recipe.model,
        "batch": asdict(recipe.batch),
        "noise": asdict(recipe.noise),
        "train": asdict(recipe.train),
        "sharpness": asdict(recipe.sharpness),
    }
