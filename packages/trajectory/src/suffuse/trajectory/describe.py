"""Plain facts about a city, a model or a set of trips."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from suffuse.console import WEIGHTS_FILE, read_object, tensor_sizes
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.pretrained import model_directory, read_sharpness
from suffuse.trajectory.model.road_logit import ROAD_LOGIT_FILE
from suffuse.trajectory.model.training import ROUTE_CHOICE_FOLDER
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def describe_city(network: RoadNetwork) -> dict[str, Any]:
    """Counts, extent and origin of a road network."""
    west, south = network.node_lonlat.min(axis=0).tolist()
    east, north = network.node_lonlat.max(axis=0).tolist()
    names, counts = np.unique(network.highway.astype(str), return_counts=True)
    return {
        "name": network.name,
        "mode": network.mode,
        "segments": len(network),
        "nodes": len(network.node_ids),
        "transitions": int(network.successors.nnz),
        "kilometres": round(float(network.length_m.sum()) / 1000, 1),
        "one_way_share": round(float(network.oneway.mean()), 3),
        "highway": dict(sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda item: -item[1])),
        "bbox": [round(value, 6) for value in (west, south, east, north)],
        "crs": network.crs,
        "attribution": network.attribution,
    }


def describe_trips(trips: Trips, network: RoadNetwork) -> dict[str, Any]:
    """Counts and ranges of a set of trips."""
    kilometres = np.add.reduceat(network.length_m[trips.segment], trips.start[:-1]) / 1000
    return {
        "trips": len(trips),
        "segments_a_trip": round(float(trips.lengths.mean()), 1),
        "kilometres_a_trip": round(float(kilometres.mean()), 2),
        "minutes_a_trip": round(float(trips.duration_s.mean()) / 60, 1),
        "first_departure": f"{trips.depart.min()}Z",
        "last_departure": f"{trips.depart.max()}Z",
        "segments_used": len(np.unique(trips.segment)),
        "different_requests": len(np.unique(trips.origin * len(network) + trips.destination)),
    }


def describe_model(name_or_path: str | Path) -> dict[str, Any]:
    """What a model directory holds, without loading it."""
    directory = model_directory(name_or_path)
    facts: dict[str, Any] = {"directory": str(directory)}
    for path in (directory / name for name in ("city.json", "config.json", "baseline.json")):
        if path.is_file():
            facts[path.stem] = read_object(path, error=ModelError)
    if "config" in facts:
        facts["generation"] = asdict(read_sharpness(directory))
        logits = (directory / ROUTE_CHOICE_FOLDER, directory / ROAD_LOGIT_FILE)
        facts["recursive_logit"] = any(path.exists() for path in logits)
    weights = directory / WEIGHTS_FILE
    if weights.is_file():
        facts["parameters"] = sum(tensor_sizes(weights, error=ModelError).values())
        facts["mebibytes"] = round(sum(f.stat().st_size for f in directory.rglob("*") if f.is_file()) / 2**20, 2)
    return facts
