"""Baselines: what a learned generator has to beat. Each is fitted to trips, saved and loaded, and answers requests."""

from pathlib import Path

from suffuse.console import shown
from suffuse.trajectory.baselines.baseline import Baseline, read_settings
from suffuse.trajectory.baselines.dijkstra import Dijkstra, DijkstraTime
from suffuse.trajectory.baselines.markov import Markov
from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.baselines.zone_path import ZonePath
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.roads.network import RoadNetwork

BASELINES: dict[str, type[Baseline]] = {
    kind.name: kind for kind in (Dijkstra, DijkstraTime, Markov, ZonePath, RecursiveLogit)
}
"""By the name that `--model` and the tables use."""


def load_baseline(directory: Path, network: RoadNetwork) -> Baseline:
    """Any fitted baseline from its directory. Raises ModelError for files that are none, or of another network."""
    name = read_settings(directory)["baseline"]
    if not isinstance(name, str) or name not in BASELINES:
        raise ModelError(f"{directory} holds an unknown baseline {shown(name)}; known are {', '.join(BASELINES)}")
    return BASELINES[name].load(directory, network)


__all__ = [
    "BASELINES",
    "Baseline",
    "Dijkstra",
    "DijkstraTime",
    "Markov",
    "RecursiveLogit",
    "ZonePath",
    "load_baseline",
]
