"""The nearest trip of another set: by the share of the way that two trips have in common.

Dimensions: j and k trips, s segments.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import sparse

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

AT_ONCE = 64
"""Trips compared with all others at a time, which bounds memory."""


def nearest_overlap(
    network: RoadNetwork, first: Trips, second: Trips
) -> tuple[Float[ndarray, " j"], Float[ndarray, " k"]]:
    """The largest overlap of each trip of either set with any trip of the other, 0 to 1.

    Overlap is metres of road that both use over metres that either uses, each segment once, as in the evaluation. One
    minus it is a distance (Jaccard's), for which the triangle inequality holds.
    """
    a, b = _used(network, first), _used(network, second)
    metres_a, metres_b = a @ network.length_m, b @ network.length_m
    across = sparse.csr_array(b.multiply(network.length_m[None, :])).T.tocsc()
    best_a, best_b = np.zeros(len(first)), np.zeros(len(second))
    for begin in range(0, len(first), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        shared = (a[part] @ across).toarray()
        overlap = shared / (metres_a[part, None] + metres_b[None, :] - shared)
        best_a[part] = overlap.max(axis=1, initial=0.0)
        best_b = np.maximum(best_b, overlap.max(axis=0, initial=0.0))
    return best_a, best_b


def _used(network: RoadNetwork, trips: Trips) -> sparse.csr_array:
    """k x s: 1 where a trip uses a segment."""
    owner = np.repeat(np.arange(len(trips)), trips.lengths)
    key = np.unique(owner * len(network) + trips.segment)
    ones = np.ones(len(key))
    return sparse.csr_array((ones, (key // len(network), key % len(network))), shape=(len(trips), len(network)))
