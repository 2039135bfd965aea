"""A Markov chain over segments, conditioned on the zone of the destination.

It knows where a trip is heading but not how to get there, so that some walks never arrive: those end at the length
limit.
"""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.console import shown
from suffuse.trajectory.baselines.baseline import Baseline, generator, times_from
from suffuse.trajectory.baselines.travel_times import TravelTimes
from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies, destination_zones
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.walk import walk
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

DEPTH = 8
"""The destinations are taken together in 2**DEPTH zones."""

SMOOTHING = 1.0
"""Traversals that the frequencies of all trips are worth in those of one zone."""

MOST_SEGMENTS = 1_000_000
"""No walk is longer."""


class Markov(Baseline):
    """Walks by the frequency of each turn among trips to the same zone, until the destination or the length limit."""

    name: ClassVar[str] = "markov"

    def __init__(self, network: RoadNetwork, times: TravelTimes, turns: TurnFrequencies, limit: int) -> None:
        super().__init__(network, times)
        self.turns = turns
        self.limit = limit

    @classmethod
    def fit(cls, network: RoadNetwork, trips: Trips, *, seed: int = 0) -> "Markov":
        """Count turns; the length limit is that of the longest trip. Nothing is random here."""
        turns = TurnFrequencies.count(TurnGraph.of(network), destination_zones(network, trips, DEPTH), trips)
        return cls(network, TravelTimes.fit(network, trips), turns, int(trips.lengths.max(initial=2)))

    def routes(self, requests: Requests, *, seed: int, first: int) -> list[Int[ndarray, " l"]]:
        """One walk a request."""
        graph = TurnGraph.of(self.network)
        zone, numbers = self.turns.zone_of[requests.destination], requests.numbers(first)
        out: list[Int[ndarray, " l"]] = [np.empty(0, np.int64)] * len(requests)
        for this in np.unique(zone).tolist():
            weight = self.turns.probability(graph, this, SMOOTHING) * graph.open
            for row in np.flatnonzero(zone == this).tolist():
                origin, destination = int(requests.origin[row]), int(requests.destination[row])
                rng = generator(seed, int(numbers[row]))
                out[row] = walk(graph, weight, origin, destination, rng, limit=self.limit)
        return out

    def state(self) -> tuple[dict[str, ndarray], dict[str, Any]]:
        """Counts and the limit."""
        return self.turns.state(), {"limit": self.limit}

    @classmethod
    def restore(cls, network: RoadNetwork, tensors: dict[str, ndarray], settings: dict[str, Any]) -> "Markov":
        """The baseline with these counts."""
        turns = TurnFrequencies.restore(tensors, TurnGraph.of(network))
        limit = settings["limit"]
        if not (isinstance(limit, int) and 1 <= limit <= MOST_SEGMENTS):
            raise ValueError(f"limit is {shown(limit)}, but must be a whole number from 1 to {MOST_SEGMENTS:,}")
        return cls(network, times_from(tensors, network), turns, limit)
