"""Zone path: the cheapest route where a turn costs what it surprises, given where the trip is heading.

The cost of a transition is -log of its frequency among trips to the zone of the destination, plus a little for each
kilometre; so the cheapest route is about the most probable one of a Markov chain that knows its destination.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.baselines.baseline import Baseline, times_from
from suffuse.trajectory.baselines.travel_times import TravelTimes
from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies, destination_zones
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.metrics.overlap import overlaps
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

TUNED_ON = 1_000
"""Most trips that settings are tuned on; at most a tenth of all."""

FEWEST_TO_TUNE = 200
"""With fewer trips than this the default settings stand."""


@dataclass(frozen=True, kw_only=True)
class ZonePathSettings:
    """What the costs are made of."""

    depth: int = 4
    """The destinations are taken together in 2**depth zones."""
    smoothing: float = 4.0
    """Traversals that the frequencies of all trips are worth in those of one zone."""
    per_km: float = 2.0
    """Cost of a kilometre, nats."""

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= 14:
            raise ValueError(f"depth is {self.depth}, but must be 0 to 14")
        if not self.smoothing > 0:
            raise ValueError(f"smoothing is {self.smoothing}, but must be above 0")
        if not self.per_km >= 0:
            raise ValueError(f"per_km is {self.per_km}, but must be 0 or more")


CHOICES: dict[str, tuple[float, ...]] = {
    "depth": (2, 3, 4, 5, 6, 7, 8, 9),
    "smoothing": (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
    "per_km": (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
}
"""Values that tuning may choose, in order."""


class ZonePath(Baseline):
    """One route a request: the cheapest over learned costs."""

    name: ClassVar[str] = "zone-path"

    def __init__(
        self, network: RoadNetwork, times: TravelTimes, turns: TurnFrequencies, settings: ZonePathSettings
    ) -> None:
        super().__init__(network, times)
        self.turns, self.settings = turns, settings

    @classmethod
    def fit(
        cls, network: RoadNetwork, trips: Trips, *, seed: int = 0, settings: ZonePathSettings | None = None
    ) -> "ZonePath":
        """Count turns, with settings tuned on a part of the trips (drawn by `seed`) unless given."""
        chosen = tune(network, trips, seed=seed) if settings is None else settings
        turns = TurnFrequencies.count(TurnGraph.of(network), destination_zones(network, trips, chosen.depth), trips)
        return cls(network, TravelTimes.fit(network, trips), turns, chosen)

    def routes(self, requests: Requests, *, seed: int, first: int) -> list[Int[ndarray, " l"]]:
        """The cheapest route of each request, whatever the seed."""
        return cheapest_routes(TurnGraph.of(self.network), self.network, self.turns, self.settings, requests)

    def state(self) -> tuple[dict[str, ndarray], dict[str, Any]]:
        """Counts and settings."""
        return self.turns.state(), asdict(self.settings)

    @classmethod
    def restore(cls, network: RoadNetwork, tensors: dict[str, ndarray], settings: dict[str, Any]) -> "ZonePath":
        """The baseline with these counts."""
        return cls(
            network,
            times_from(tensors, network),
            TurnFrequencies.restore(tensors, TurnGraph.of(network)),
            ZonePathSettings(**settings),
        )


def turn_costs(
    graph: TurnGraph, network: RoadNetwork, turns: TurnFrequencies, settings: ZonePathSettings, zone: int
) -> Float[ndarray, " t"]:
    """Cost of each transition in trips to a zone, nats."""
    surprise = -np.log(turns.probability(graph, zone, settings.smoothing))
    return surprise + settings.per_km * network.length_m[graph.after] / 1000


def cheapest_routes(
    graph: TurnGraph, network: RoadNetwork, turns: TurnFrequencies, settings: ZonePathSettings, requests: Requests
) -> list[Int[ndarray, " l"]]:
    """The cheapest route of each request; empty where there is no way."""
    zone = turns.zone_of[requests.destination]
    out: list[Int[ndarray, " l"]] = [np.empty(0, np.int64)] * len(requests)
    for this in np.unique(zone).tolist():
        cost = turn_costs(graph, network, turns, settings, this)
        for row in np.flatnonzero(zone == this).tolist():
            out[row] = graph.cheapest_route(cost, int(requests.origin[row]), int(requests.destination[row]))
    return out


def hold_out(trips: Trips, *, seed: int) -> tuple[Trips, Trips]:
    """Split trips at random: what to count turns in, and at most a tenth to tune on."""
    rows = np.random.default_rng(seed).permutation(len(trips))
    size = min(TUNED_ON, len(trips) // 10)
    return trips.take(np.sort(rows[size:])), trips.take(np.sort(rows[:size]))


def tune(network: RoadNetwork, trips: Trips, *, seed: int = 0) -> ZonePathSettings:
    """The settings of the greatest mean overlap with trips that were not counted.

    One setting at a time moves to its best neighbour among `CHOICES`, until none gains.
    """
    best = ZonePathSettings()
    if len(trips) < FEWEST_TO_TUNE:
        return best
    counted, held = hold_out(trips, seed=seed)
    graph = TurnGraph.of(network)
    asked = Requests.from_trips(held)
    pairs = np.stack([np.arange(len(held))] * 2, axis=-1)
    counts: dict[int, TurnFrequencies] = {}
    known: dict[ZonePathSettings, float] = {}

    def score(settings: ZonePathSettings) -> float:
        if settings not in known:
            if settings.depth not in counts:
                zones = destination_zones(network, counted, settings.depth)
                counts[settings.depth] = TurnFrequencies.count(graph, zones, counted)
            routes = cheapest_routes(graph, network, counts[settings.depth], settings, asked)
            known[settings] = float(
                overlaps(network, held, Trips.from_lists([r.tolist() for r in routes]), pairs).mean()
            )
        return known[settings]

    improved = True
    while improved:
        improved = False
        for field, choices in CHOICES.items():
            place = choices.index(getattr(best, field))
            for neighbour in choices[max(place - 1, 0) : place + 2]:
                trial = replace(best, **{field: neighbour})  # type: ignore[arg-type]
                if score(trial) > score(best):
                    best, improved = trial, True
    return best
