"""Exact reachability on the segment graph: how many transitions remain to a destination.

Nothing is tabulated for all pairs: hops to a destination are one breadth-first search, a fraction of a millisecond in a
city of 20,000 segments, so that only the destinations in hand are ever paid for.

Dimensions: s segments, k destinations.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Int, Int32
from numba import njit
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork

UNREACHABLE = np.int32(2**30)
"""Hops to a destination that cannot be reached."""


@njit(cache=True)
@no_type_check
def _hops(
    pred_ptr: ndarray,
    pred: ndarray,
    destination: int,
    origin: int,
    detour: float,
    slack: int,
    hops: ndarray,
    queue: ndarray,
) -> None:
    hops[:] = UNREACHABLE
    limit = len(hops)
    hops[destination] = 0
    queue[0] = destination
    head, tail = 0, 1
    while head < tail:
        segment = queue[head]
        head += 1
        if segment == origin:
            limit = int(np.ceil(detour * hops[segment])) + slack
        if hops[segment] >= limit:
            return
        for j in range(pred_ptr[segment], pred_ptr[segment + 1]):
            before = pred[j]
            if hops[before] == UNREACHABLE:
                hops[before] = hops[segment] + 1
                queue[tail] = before
                tail += 1


@njit(cache=True)
@no_type_check
def _hops_to(
    pred_ptr: ndarray, pred: ndarray, destinations: ndarray, origins: ndarray, detour: float, slack: int, out: ndarray
) -> None:
    queue = np.empty(out.shape[1], dtype=np.int32)
    for row in range(len(destinations)):
        _hops(pred_ptr, pred, destinations[row], origins[row], detour, slack, out[row], queue)


def hops_to(network: RoadNetwork, destinations: Int[ndarray, " k"]) -> Int32[ndarray, "k s"]:
    """Number of transitions from each segment to each destination segment; `UNREACHABLE` where there is no way."""
    return _searched(network, destinations, np.full(len(destinations), -1), 1.0, 0)


def hops_within(
    network: RoadNetwork,
    origins: Int[ndarray, " k"],
    destinations: Int[ndarray, " k"],
    *,
    detour: float,
    slack: int,
) -> tuple[Int32[ndarray, "k s"], Int[ndarray, " k"]]:
    """The same for trips of bounded length, and the bound of each: `detour` times the hops from its origin + `slack`.

    Segments farther than the bound are `UNREACHABLE`, as they are for such a trip: the search stops there.
    """
    hops = _searched(network, destinations, origins, detour, slack)
    least = hops[np.arange(len(origins)), origins]
    return hops, np.ceil(detour * least).astype(np.int64) + slack


def _searched(
    network: RoadNetwork, destinations: Int[ndarray, " k"], origins: Int[ndarray, " k"], detour: float, slack: int
) -> Int32[ndarray, "k s"]:
    behind = network.predecessors
    out = np.empty((len(destinations), len(network)), dtype=np.int32)
    ends = (np.asarray(place, dtype=np.int64) for place in (destinations, origins))
    _hops_to(behind.indptr, behind.indices, *ends, detour, slack, out)
    return out
