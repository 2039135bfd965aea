"""Network distance to a destination: the geometry of choice that every route decision looks at.

Distances are between nodes, so that one row serves all segments that end a trip at the same place; turn costs and
banned U-turns are left out, which makes them lower bounds of the true cost on the segment graph.

A trip of two kilometres need not know how far it is from the other end of the town: a search may stop a good way beyond
the origin, and be made whole for the few trips that stray. So the price of a trip hardly grows with the network.

Dimensions: s segments, n nodes, k searches.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Float32, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork

FAR = np.float32(1e9)
"""Cost to a destination that cannot be reached."""

UNKNOWN = np.float32(np.inf)
"""Cost from a node that a search has not come to."""

REACH, SLACK = 1.3, 8
"""A search that may stop does so at `REACH` times the cost from the origin and that of `SLACK` mean segments more."""


@njit(cache=True)
@no_type_check
def _search(
    start: ndarray,
    segment: ndarray,
    tail: ndarray,
    cost: ndarray,
    goal: int,
    origin: int,
    slack: float,
    best: ndarray,
    out: ndarray,
) -> None:
    best[:] = np.inf
    best[goal] = 0.0
    limit = np.inf
    heap = [(0.0, goal)]
    while len(heap) > 0:
        here, node = heappop(heap)
        if here > limit:
            return
        if here > best[node]:
            continue
        out[node] = here
        if node == origin:
            limit = REACH * here + slack
        for i in range(start[node], start[node + 1]):
            before = tail[i]
            offer = here + cost[segment[i]]
            if offer < best[before]:
                best[before] = offer
                heappush(heap, (offer, before))
    for node in range(len(out)):  # all has been seen
        if out[node] == np.inf:
            out[node] = FAR


@njit(cache=True)
@no_type_check
def _search_all(
    start: ndarray,
    segment: ndarray,
    tail: ndarray,
    cost: ndarray,
    goals: ndarray,
    origins: ndarray,
    slack: float,
    out: ndarray,
) -> None:
    best = np.empty(out.shape[1])
    for row in range(len(goals)):
        _search(start, segment, tail, cost, goals[row], origins[row], slack, best, out[row])


@dataclass(frozen=True, eq=False)
class NodeSearch:
    """The open segments of a network by the node they end at: what a search against the traffic looks up."""

    start: Int[ndarray, " _"]
    """Segments that end at node v are rows `start[v]:start[v + 1]` of `segment`."""
    segment: Int[ndarray, " _"]
    tail: Int[ndarray, " _"]
    """Their first nodes."""

    @staticmethod
    def of(network: RoadNetwork) -> "NodeSearch":
        """The open segments of `network`."""
        open_ = np.setdiff1d(np.arange(len(network)), np.fromiter(network.closed, np.int64))
        order = open_[np.argsort(network.to_node[open_], kind="stable")]
        counts = np.bincount(network.to_node[open_], minlength=len(network.node_ids))
        return NodeSearch(np.append(0, np.cumsum(counts)), order, network.from_node[order].astype(np.int64))

    def whole(self, cost: Float[ndarray, " s"], goals: Int[ndarray, " k"], out: Float32[ndarray, "k n"]) -> None:
        """Write the least cost from every node to each goal into `out`: `FAR` if unreachable."""
        self.about(cost, goals, np.full(len(goals), -1), out)

    def about(
        self,
        cost: Float[ndarray, " s"],
        goals: Int[ndarray, " k"],
        origins: Int[ndarray, " k"],
        out: Float32[ndarray, "k n"],
    ) -> None:
        """The same as far as a trip from node `origins[i]` to `goals[i]` is likely to come, and `UNKNOWN` beyond."""
        out[:] = UNKNOWN
        _search_all(self.start, self.segment, self.tail, cost, goals, origins, SLACK * float(cost.mean()), out)


def cost_to_nodes(
    network: RoadNetwork, cost: Float[ndarray, " s"], nodes: Int[ndarray, " k"]
) -> Float32[ndarray, "k n"]:
    """Least cost from every node to each of `nodes`, `cost` being that of each segment (> 0); `FAR` if unreachable."""
    out = np.empty((len(nodes), len(network.node_ids)), dtype=np.float32)
    NodeSearch.of(network).whole(cost, np.asarray(nodes, dtype=np.int64), out)
    return out
