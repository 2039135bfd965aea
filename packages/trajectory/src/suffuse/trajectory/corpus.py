"""The trips a city comes with: a folder's own files, or simulated ones for the named cities."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.cities import CITIES, load_city
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.read import find_trips, read_trips
from suffuse.trajectory.trips.shards import has_shards
from suffuse.trajectory.trips.table import Trips

SIMULATED = 20_000
"""Simulated trips that the baselines of a named city are fitted to, unless told otherwise."""


def is_simulated(city: str) -> bool:
    """Whether a city's trips are simulated: the named cities have a real road network, but no recorded trips.

    A name stands for that city whatever lies here under the same name: `./la-serena` is a folder.
    """
    return city in CITIES


def has_trips(city: str) -> bool:
    """Whether there are trips to learn from without a file of the user's: see `training_trips`."""
    if is_simulated(city):
        return True
    try:
        return Path(city).is_dir() and find_trips(Path(city)).is_file()
    except TripError:
        return False


def training_trips(city: str, network: RoadNetwork, *, file: Path | None = None, count: int | None = None) -> Trips:
    """Trips to learn from: `file`; else the training part of a city folder; else simulated ones of a named city.

    `count` is how many to simulate, or the most to take. Raises TripError where there are none, or where those of a
    folder are of another mode than the network.
    """
    if file is None and is_simulated(city):
        return simulated_trips(network, "train", count or SIMULATED)
    if file is None and not Path(city).is_dir():
        raise TripError(f"{city}: a road file has no trips with it: give them as --trips FILE")
    if file is None:
        check_mode_of_folder(city, network)
    source = Path(city) if file is None else file
    trips = read_trips(source, network, part="train" if has_parts(source) else None)
    return trips if count is None else trips.take(range_of(trips, count))


def held_out_trips(city: str, network: RoadNetwork, *, count: int) -> Trips | None:
    """Trips that `training_trips` has no part in, at most `count`; None where a city has no such part."""
    if is_simulated(city):
        return simulated_trips(network, "val", count)
    if not Path(city).is_dir() or not has_parts(Path(city)) or not has_part(Path(city), "val"):
        return None
    check_mode_of_folder(city, network)
    trips = read_trips(Path(city), network, part="val")
    return trips.take(range_of(trips, count)) if len(trips) else None


def check_mode_of_folder(city: str, network: RoadNetwork) -> None:
    """Raise TripError where a city folder, and so the trips in it, is for another mode than the network made of it."""
    if network.mode != "drive" and (own := load_city(city).mode) != network.mode:
        raise TripError(
            f"{city}: its trips are of mode {own}, but its roads are asked for in mode {network.mode}: "
            "give a file of such trips"
        )


def range_of(trips: Trips, count: int) -> np.ndarray:
    """Rows of at most `count` trips, evenly over the table."""
    return np.unique(np.linspace(0, len(trips) - 1, min(count, len(trips))).astype(np.int64))


def has_parts(source: Path) -> bool:
    """Whether a file or folder of trips says which are for training."""
    if has_shards(source):
        return False
    if source.is_dir():
        if any((source / name).is_file() for name in ("train.csv", "train.csv.gz", "train.parquet")):
            return True
        source = find_trips(source)
    return source.suffix == ".parquet" and "split" in pq.read_schema(source).names


def has_part(folder: Path, part: str) -> bool:
    """Whether a city folder holds trips of a part: in a file called so, or in a Parquet file that names it."""
    try:
        file = find_trips(folder, part)
    except TripError:
        return False
    if file.name.startswith(f"{part}."):
        return True
    if file.suffix != ".parquet" or "split" not in pq.read_schema(file).names:
        return False
    return part in pq.read_table(file, columns=["split"])["split"].unique().to_pylist()
