"""The public functions: what the command line calls, and what a notebook needs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from suffuse.trajectory.baselines import Baseline
from suffuse.trajectory.best_guess import answered
from suffuse.trajectory.demand.draw_requests import draw_requests
from suffuse.trajectory.metrics import Evaluation
from suffuse.trajectory.metrics import evaluate as score
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.show import plot_trips
from suffuse.trajectory.trips.table import Trips


def generate(
    model: TripGenerator | Baseline,
    city: RoadNetwork,
    *,
    n: int = 1000,
    requests: Requests | None = None,
    seed: int = 0,
    best_of: int = 1,
    config: GenerationConfig | None = None,
) -> Trips:
    """Trips for `requests`, one each in order, or for `n` requests of the city's simulated demand.

    Segments that are closed in `city` (see `RoadNetwork.without`) are not used. With `best_of` above 1 each trip is the
    best guess from so many draws: their consensus where the model is used with a recursive logit, else the medoid (as
    with the shipped model). `config` says how a trained model decodes; its seed is replaced by `seed`.

    Raises:
        RequestError: if a destination cannot be reached.
        ValueError: if `best_of` is below 1.

    """
    if best_of < 1:
        raise ValueError(f"best_of must be at least 1, got {best_of}")
    here = model.on(city)
    asked = draw_requests(city, n, seed=seed) if requests is None else requests
    return answered(here, asked, replace(config or GenerationConfig(), seed=seed), best_of=best_of)


def evaluate(
    city: RoadNetwork,
    real: Trips,
    generated: Trips,
    *,
    floor: Trips | None = None,
    baselines: Mapping[str, Baseline] | None = None,
    seed: int = 0,
) -> Evaluation:
    """How near generated trips come to real ones; `.table()` prints, `.to_dict()` is for programs.

    See `suffuse.trajectory.metrics.evaluate` for what is measured.
    """
    return score(city, real, generated, floor=floor, baselines=baselines, seed=seed)


def plot(trips: Trips, city: RoadNetwork, out: str | Path, *, title: str | None = None) -> None:
    """A map of trips: an offline page (`.html`) or a picture (`.png`)."""
    plot_trips(trips, city, Path(out), title=title)
