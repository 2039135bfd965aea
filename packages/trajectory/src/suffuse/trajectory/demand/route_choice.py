"""Which way somebody takes: the least perceived generalised cost over segments and turns.

Dijkstra (1959) runs on the line graph: its vertices are segments and its arcs the legal transitions, so that the cost
of a turn is exact. Dimensions: s segments, t transitions, k sources.
"""

import heapq
from dataclasses import dataclass
from itertools import pairwise
from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.demand.manners import seconds_at_crossings, seeming_seconds
from suffuse.trajectory.roads.network import RoadNetwork

STRAIGHT_RAD = np.pi / 4
"""Below this change of direction one goes straight on."""

U_TURN_RAD = np.radians(160)
"""Above this change of direction one turns round."""


@dataclass(frozen=True, eq=False)
class LineGraph:
    """Legal transitions as compressed rows, with the time each turn takes in free flow, and seems to take."""

    start: Int[ndarray, " rows"]
    """s + 1 offsets into `following`."""
    following: Int[ndarray, " t"]
    turn_s: Float[ndarray, " t"]
    seems_s: Float[ndarray, " t"]
    """What the choice of a route is made by, for somebody of median taste."""


def line_graph(network: RoadNetwork, turn_s: tuple[float, float, float, float], drive_on: str) -> LineGraph:
    """The transitions of `network` with the cost of their turns (straight on, near side, far side, U-turn).

    To that comes what people of the network's mode make of turns and crossings: see `manners`.
    """
    pattern = network.successors
    coo = pattern.tocoo()
    leave, enter = network.bearings[1][coo.row], network.bearings[0][coo.col]
    angle = (enter - leave + np.pi) % (2 * np.pi) - np.pi
    straight, near, far, around = turn_s
    to_near_side = angle < 0 if drive_on == "right" else angle > 0
    cost = np.where(np.abs(angle) < STRAIGHT_RAD, straight, np.where(to_near_side, near, far))
    turned = (np.abs(angle) > U_TURN_RAD) | (network.reverse[coo.row] == coo.col)
    cost = np.where(turned, around, cost).astype(np.float64)
    seems = cost + seeming_seconds(network, np.abs(angle) >= STRAIGHT_RAD)
    return LineGraph(
        start=pattern.indptr.astype(np.int64),
        following=pattern.indices.astype(np.int64),
        turn_s=cost + seconds_at_crossings(network),
        seems_s=seems,
    )


@numba.njit(cache=True)
@no_type_check
def _search(
    start: ndarray, following: ndarray, turn: ndarray, cost: ndarray, origin: int, destination: int
) -> tuple[ndarray, ndarray]:
    """Cost to the end of each segment, and the segment before it; stops at `destination`, never if that is -1."""
    total = np.full(len(cost), np.inf)
    before = np.full(len(cost), -1, np.int64)
    done = np.zeros(len(cost), np.bool_)
    total[origin] = cost[origin]
    heap = [(total[origin], origin)]
    while len(heap) > 0:
        reached, segment = heapq.heappop(heap)
        if done[segment]:
            continue
        done[segment] = True
        if segment == destination:
            break
        for arc in range(start[segment], start[segment + 1]):
            after = following[arc]
            offer = reached + turn[arc] + cost[after]
            if offer < total[after]:
                total[after] = offer
                before[after] = segment
                heapq.heappush(heap, (offer, after))
    return total, before


def cheapest_route(
    graph: LineGraph, cost: Float[ndarray, " s"], origin: int, destination: int, turn_weight: float = 1.0
) -> Int[ndarray, " l"] | None:
    """Segments of the route of least `cost` plus weighted turns, both ends included; None if there is no way."""
    total, before = _search(graph.start, graph.following, graph.seems_s * turn_weight, cost, origin, destination)
    if not np.isfinite(total[destination]):
        return None
    route = [destination]
    while route[-1] != origin:
        route.append(int(before[route[-1]]))
    return np.array(route[::-1], dtype=np.int64)


def travel_times(graph: LineGraph, seconds: Float[ndarray, " s"], sources: Int[ndarray, " k"]) -> Float[ndarray, "k s"]:
    """Seconds from the start of each source segment to the end of every segment, turns included; inf without a way."""
    rows = [_search(graph.start, graph.following, graph.turn_s, seconds, int(source), -1)[0] for source in sources]
    return np.stack(rows)


def turns_taken(graph: LineGraph, route: Int[ndarray, " l"]) -> Float[ndarray, " turns"]:
    """Free-flow seconds of each turn of a legal route."""
    waits = np.zeros(len(route) - 1)
    for step, (segment, after) in enumerate(pairwise(route.tolist())):
        first = graph.start[segment]
        arcs = graph.following[first : graph.start[segment + 1]]
        waits[step] = graph.turn_s[first + int(np.flatnonzero(arcs == after)[0])]
    return waits
