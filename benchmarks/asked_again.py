"""Training trips that are asked for again, and a model that has not counted them: for choosing settings."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suffuse.trajectory import RoadNetwork, Trips, load_city, load_model, read_trips
from suffuse.trajectory.baselines import RecursiveLogit, ZonePath
from suffuse.trajectory.baselines.zone_path import ZonePathSettings
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.pretrained import TripGenerator
from suffuse.trajectory.model.usage import count_usage


@dataclass(frozen=True, eq=False)
class AskedAgain:
    """Trips of the training days, and what answers their requests without having counted them.

    Only the weights of the network have seen each of them, about twice; they know no segment by name.
    """

    city: RoadNetwork
    real: Trips
    model: TripGenerator
    logit: RecursiveLogit
    zone_path: ZonePath

    @staticmethod
    def load(data: Path, directory: Path, count: int) -> "AskedAgain":
        """`count` random trips of the training days of `data`, for the model in `directory`.

        Raises ValueError for a model without a recursive logit.
        """
        city = load_city(data)
        trips = read_trips(data, city, part="train")
        shuffled = np.random.default_rng(0).permutation(len(trips))
        real, rest = trips.take(shuffled[:count]), trips.take(np.sort(shuffled[count:]))
        model = load_model(directory, city)
        if not isinstance(model, TripGenerator) or model.logit is None:
            raise ValueError(f"{directory} holds no recursive logit: train it with the recipe city")
        known = model.logit
        settings = ZonePathSettings(
            depth=round(np.log2(known.turns.zone_of.max() + 1)),
            smoothing=known.smoothing,
            per_km=known.estimate.weights[1],
        )
        logit = RecursiveLogit.fit(city, rest, settings=settings)
        model = replace(model, city=CityFeatures(city, count_usage(city, rest)), logit=logit)
        return AskedAgain(city, real, model, logit, ZonePath.fit(city, rest, settings=settings))
