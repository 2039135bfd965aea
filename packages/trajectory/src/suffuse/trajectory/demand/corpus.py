"""The simulated trips a city's models are trained and tested on: split by OD cell, and kept in the user's cache."""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from suffuse.console import UserError, replacing
from suffuse.trajectory.demand.config import DemandConfig, usual_config
from suffuse.trajectory.demand.simulate import simulate
from suffuse.trajectory.errors import TrajectoryError
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.split import OdCellSplit
from suffuse.trajectory.trips.table import Trips, concatenate

PART_SEEDS = {"train": 1, "val": 2, "test": 3}
"""The seed of each part: parts share neither a cell pair nor a random stream."""

VERSION = 2
"""Raised when the simulator changes what it draws, so that trips of an older one are not taken from the cache."""

CHUNK = 1000
"""Trips simulated between two reports of progress."""


def city_trips(name: str, part: str, count: int) -> Trips:
    """`simulated_trips` of a shipped or prepared city, by name or directory: the same on every machine."""
    return simulated_trips(load_city(name), part, count)


def simulated_trips(
    network: RoadNetwork,
    part: str,
    count: int,
    *,
    config: DemandConfig | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Trips:
    """The first `count` simulated trips of one part of a city, drawn once and then read from the cache.

    The parts are those of `OdCellSplit` with its defaults: a pair of 500 m cells seen in one part is in no other.

    Args:
        network: where.
        part: "train", "val" or "test".
        count: how many trips; fewer are a prefix of more.
        config: the world; unless given, the usual one for the mode of the network.
        on_progress: called with the number of trips drawn so far.

    Raises:
        TrajectoryError: if the part is unknown, or the network too small for the config's trips.

    """
    if part not in PART_SEEDS:
        raise TrajectoryError(f"part is {part!r}, but must be one of {', '.join(PART_SEEDS)}")
    config = config or usual_config(network.mode)
    file = cache_directory() / "trips" / f"{_digest(network, config)}-{part}-{count}.npz"
    kept = _load(file)
    if kept is not None:
        return kept
    split = OdCellSplit(network)
    wanted = split.parts.index(part)

    def in_part(origin: int, destination: int) -> bool:
        return bool(split.part_of(np.array([origin]), np.array([destination]))[0] == wanted)

    chunks = [simulate(network, config, 0, seed=PART_SEEDS[part])]
    for first in range(0, count, CHUNK):
        size = min(CHUNK, count - first)
        chunks.append(simulate(network, config, size, seed=PART_SEEDS[part], first=first, accept=in_part))
        if on_progress is not None:
            on_progress(first + size)
    trips = concatenate(chunks)
    with contextlib.suppress(OSError, UserError):  # no cache, or a full one: the trips are there all the same
        _save(trips, file)
    return trips


def cache_directory() -> Path:
    """Where trips that can be made again are kept: $SUFFUSE_CACHE_DIR, else suffuse in the user's cache."""
    if chosen := os.environ.get("SUFFUSE_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "suffuse"


def _digest(network: RoadNetwork, config: DemandConfig) -> str:
    world: tuple[object, ...] = (VERSION, config, sorted(network.closed))
    digest = hashlib.sha256(repr(world if network.mode == "drive" else (*world, network.mode)).encode())
    for values in (network.segment_ids, network.from_node, network.to_node, network.length_m, network.speed_kmh):
        digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    digest.update(np.ascontiguousarray(network.centroid_lonlat).tobytes())
    digest.update("\n".join(network.highway).encode())
    return digest.hexdigest()[:20]


def _save(trips: Trips, file: Path) -> None:
    """A reader never sees half a file, and of two writers the last one wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        np.savez_compressed(
            temporary,
            start=trips.start,
            segment=trips.segment.astype(np.int32),
            enter_s=trips.enter_s,
            duration_s=trips.duration_s,
            depart=trips.depart,
            trip_id=trips.trip_id.astype(np.str_),
        )


def _load(file: Path) -> Trips | None:
    """The trips of a cache file; None where there is none, or where it cannot be read."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            fields = {name: kept[name] for name in kept.files}
        fields["segment"] = fields["segment"].astype(np.int64)
        fields["trip_id"] = fields["trip_id"].astype(object)
        return Trips(**fields)
    except (OSError, KeyError, TypeError, ValueError, AssertionError, zipfile.BadZipFile, EOFError):
        return None
