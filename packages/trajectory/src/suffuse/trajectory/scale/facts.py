"""What trips depend on beside settings: the roads as they are, and the files of the model. Hashes, not names.

A city prepared anew, or a model trained further, keeps its name and gives other trips.
"""

import hashlib
from pathlib import Path

import numpy as np
import shapely

from suffuse.console import CONFIG_FILE, WEIGHTS_FILE, file_hash
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.baselines.baseline import SETTINGS_FILE, TENSORS_FILE
from suffuse.trajectory.corpus import has_parts, is_simulated
from suffuse.trajectory.model.cached_blocks import dense_type
from suffuse.trajectory.model.pretrained import NEED_NO_TRIPS, model_directory
from suffuse.trajectory.model.road_logit import ROAD_LOGIT_FILE
from suffuse.trajectory.model.training import (
    BESIDE_CARS,
    CITY_FILE,
    GENERATION_FILE,
    ROUTE_CHOICE_FOLDER,
    USAGE_FILE,
    fingerprint,
)
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.read import find_trips

DIGITS = 16
"""Of each hash, which tells files apart and keeps sentences short."""

DENSE_LAYERS = "dense_layers"

FILES = (
    CONFIG_FILE,
    WEIGHTS_FILE,
    CITY_FILE,
    USAGE_FILE,
    GENERATION_FILE,
    ROAD_LOGIT_FILE,
    f"{ROUTE_CHOICE_FOLDER}/{SETTINGS_FILE}",
    f"{ROUTE_CHOICE_FOLDER}/{TENSORS_FILE}",
    f"{BESIDE_CARS}/{CONFIG_FILE}",
    f"{BESIDE_CARS}/{WEIGHTS_FILE}",
    SETTINGS_FILE,
    TENSORS_FILE,
)
"""What a trained model and a fitted baseline are read from."""


def facts_of_city(network: RoadNetwork) -> dict[str, str]:
    """`segments`, a hash of ids and where they lead, and `roads`, one of everything else that a trip follows."""
    digest = hashlib.sha256()
    for values in (network.length_m, network.speed_kmh, network.lanes, shapely.get_coordinates(network.geometry)):
        digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    digest.update("\n".join([network.crs, *map(str, network.highway)]).encode())
    return {"segments": fingerprint(network), "roads": digest.hexdigest()[:DIGITS]}


def facts_of_model(model: str, city: str) -> dict[str, str]:
    """The name of a baseline and a hash of the trips it is fitted to; or one hash for each file of a model directory.

    Of a trained model also `dense_layers`, the type this machine computes them in: where it is another one, trips are
    rounded otherwise and may take other ways.

    Raises:
        ModelError: if there is no such model.
        TripError: if a city folder has no trips for a baseline that needs them.

    """
    if model in BASELINES and not Path(model).exists():
        folder = Path(city)
        if model in NEED_NO_TRIPS or is_simulated(city) or not folder.is_dir():
            return {"model": model}
        trips = find_trips(folder, "train" if has_parts(folder) else None)
        return {"model": model, "fitted_to": file_hash(trips)[:DIGITS]}
    directory = model_directory(model)
    there = {f"model/{name}": file_hash(directory / name)[:DIGITS] for name in FILES if (directory / name).is_file()}
    trained = not (directory / SETTINGS_FILE).is_file()
    rounding = {DENSE_LAYERS: str(dense_type()).removeprefix("torch.")} if trained else {}
    return {"model": "a directory", **there, **rounding}
