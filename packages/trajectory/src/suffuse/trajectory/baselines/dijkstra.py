"""The shortest route, by length and by time: what every navigation system knows without any trip."""

from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.trajectory.baselines.baseline import Baseline, hour_of, times_from
from suffuse.trajectory.baselines.travel_times import TravelTimes
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


class Dijkstra(Baseline):
    """The route of fewest metres. Trips teach it travel times only."""

    name: ClassVar[str] = "dijkstra"

    @classmethod
    def fit(cls, network: RoadNetwork, trips: Trips, *, seed: int = 0) -> "Dijkstra":
        """Learn travel times; nothing is random here."""
        return cls(network, TravelTimes.fit(network, trips))

    @classmethod
    def without_trips(cls, network: RoadNetwork) -> "Dijkstra":
        """With the times of free flow."""
        return cls(network, TravelTimes.free_flow(network))

    def routes(self, requests: Requests, *, seed: int, first: int) -> list[Int[ndarray, " l"]]:
        """The shortest route of each request, whatever the seed."""
        graph = TurnGraph.of(self.network)
        cost = self.network.length_m[graph.after]
        ends = zip(requests.origin.tolist(), requests.destination.tolist(), strict=True)
        return [graph.cheapest_route(cost, origin, destination) for origin, destination in ends]

    def state(self) -> tuple[dict[str, ndarray], dict[str, Any]]:
        """Nothing beside the times."""
        return {}, {}

    @classmethod
    def restore(cls, network: RoadNetwork, tensors: dict[str, ndarray], settings: dict[str, Any]) -> "Dijkstra":
        """The baseline with these times."""
        return cls(network, times_from(tensors, network))


class DijkstraTime(Dijkstra):
    """The route of fewest seconds, at the speeds learned for the hour of departure."""

    name: ClassVar[str] = "dijkstra-time"

    def routes(self, requests: Requests, *, seed: int, first: int) -> list[Int[ndarray, " l"]]:
        """The fastest route of each request, whatever the seed."""
        graph = TurnGraph.of(self.network)
        hours = hour_of(requests)
        seconds = {hour: self.times.seconds(self.network, hour)[graph.after] for hour in np.unique(hours).tolist()}
        ends = zip(requests.origin.tolist(), requests.destination.tolist(), hours.tolist(), strict=True)
        return [graph.cheapest_route(seconds[hour], origin, destination) for origin, destination, hour in ends]
