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
def _hops(pred_ptr: ndarray, pred: ndarray, destination: int, hops: ndarray, queue: ndarray) -> None:
    hops[:] = UNREACHABLE
    hops[destination] = 0
    queue[0] = destination
    head, tail = 0, 1
    while head < tail:
        segment = queue[head]
        head += 1
        for j in range(pred_ptr[segment], pred_ptr[segment + 1]):
            before = pred[j]
            if hops[before] == UNREACHABLE:
                hops[before] = hops[segment] + 1
                queue[tail] = before
                tail += 1


@njit(cache=True)
@no_type_check
def _hops_to(pred_ptr: ndarray, pred: ndarray, destinations: ndarray, out: ndarray) -> None:
    queue = np.empty(out.shape[1], dtype=np.int32)
    for row in range(len(destinations)):
        _hops(pred_ptr, pred, destinations[row], out[row], queue)


def hops_to(network: RoadNetwork, destinations: Int[ndarray, " k"]) -> Int32[ndarray, "k s"]:
    """Number of transitions from each segment to each destination segment; `UNREACHABLE` where there is no way."""
    behind = network.predecessors
    out = np.empty((len(destinations), len(network)), dtype=np.int32)
    _hops_to(behind.indptr, behind.indices, np.asarray(destinations, dtype=np.int64), out)
    return out
