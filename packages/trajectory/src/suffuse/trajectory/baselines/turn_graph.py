"""Legal transitions as flat arrays, and the cheapest route over them.

Dimensions: s segments, t transitions of the network with nothing closed, l segments of a route.
"""

from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork

NO_TRANSITION = -1


@dataclass(frozen=True, eq=False)
class TurnGraph:
    """The transitions of a network, sorted by their first segment. Closing segments changes `open` and nothing else."""

    start: Int[ndarray, " _"]
    """Transitions out of segment a are rows `start[a]:start[a + 1]`."""
    before: Int[ndarray, " t"]
    """First segment of each transition."""
    after: Int[ndarray, " t"]
    """Second segment of each transition."""
    open: Bool[ndarray, " t"]
    """False for transitions into or out of a closed segment."""

    @staticmethod
    def of(network: RoadNetwork) -> "TurnGraph":
        """The transitions of `network`."""
        pattern = (replace(network, closed=frozenset()) if network.closed else network).successors
        pattern.sort_indices()
        before = np.repeat(np.arange(len(network)), np.diff(pattern.indptr))
        after = pattern.indices.astype(np.int64)
        usable = np.ones(len(network), dtype=bool)
        usable[list(network.closed)] = False
        return TurnGraph(pattern.indptr.astype(np.int64), before, after, usable[before] & usable[after])

    def __len__(self) -> int:
        return len(self.after)

    @property
    def segments(self) -> int:
        """Number of segments."""
        return len(self.start) - 1

    def find(self, before: Int[ndarray, " m"], after: Int[ndarray, " m"]) -> Int[ndarray, " m"]:
        """Row of each pair of segments, `NO_TRANSITION` for pairs that are not legal."""
        key = self.before * self.segments + self.after
        wanted = before.astype(np.int64) * self.segments + after
        place = np.searchsorted(key, wanted).clip(max=len(key) - 1)
        return np.where(key[place] == wanted, place, NO_TRANSITION)

    def cheapest_route(self, cost: Float[ndarray, " t"], origin: int, destination: int) -> Int[ndarray, " l"]:
        """Segments of the route of least total cost (Dijkstra 1959), both ends included; empty if there is no way.

        Costs are at least 0; infinite ones, and transitions that are not `open`, are never used.
        """
        return _cheapest_route(self.start, self.after, np.where(self.open, cost, np.inf), origin, destination)


@njit(cache=True)
@no_type_check
def _cheapest_route(start: ndarray, after: ndarray, cost: ndarray, origin: int, destination: int) -> ndarray:
    total = np.full(len(start) - 1, np.inf)
    previous = np.full(len(start) - 1, -1, np.int64)
    done = np.zeros(len(start) - 1, np.bool_)
    total[origin] = 0.0
    heap = [(0.0, origin)]
    while len(heap) > 0:
        reached, segment = heappop(heap)
        if done[segment]:
            continue
        if segment == destination:
            break
        done[segment] = True
        for turn in range(start[segment], start[segment + 1]):
            offer = reached + cost[turn]
            if offer < total[after[turn]]:
                total[after[turn]] = offer
                previous[after[turn]] = segment
                heappush(heap, (offer, after[turn]))
    if np.isinf(total[destination]):
        return np.empty(0, np.int64)
    count = 1
    segment = destination
    while segment != origin:
        segment = previous[segment]
        count += 1
    route = np.empty(count, np.int64)
    segment = destination
    for place in range(count - 1, -1, -1):
        route[place] = segment
        segment = previous[segment]
    return route
