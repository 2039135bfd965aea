"""What trips share, and what each is by itself: length-weighted overlap, repeated segments, legality, flows.

Dimensions: s segments, k trips or pairs, m segments of all trips.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def overlaps(network: RoadNetwork, first: Trips, second: Trips, pairs: Int[ndarray, "k 2"]) -> Float[ndarray, " k"]:
    """Length of the segments that both trips of a pair use over the length of those that at least one uses, 0 to 1.

    This is the Jaccard index of the two sets of segments, weighted by metres: a segment driven twice counts once.
    """
    size = len(network)

    def keys(trips: Trips, rows: Int[ndarray, " k"]) -> Int[ndarray, " j"]:
        chosen = trips.take(rows)
        return np.unique(np.repeat(np.arange(len(rows)), chosen.lengths) * size + chosen.segment)

    def metres(key: Int[ndarray, " j"]) -> Float[ndarray, " k"]:
        return np.bincount(key // size, network.length_m[key % size], len(pairs)).astype(np.float64)

    mine, theirs = keys(first, pairs[:, 0]), keys(second, pairs[:, 1])
    shared = metres(np.intersect1d(mine, theirs, assume_unique=True))
    return shared / (metres(mine) + metres(theirs) - shared)


def repeats_a_segment(network: RoadNetwork, trips: Trips) -> Bool[ndarray, " k"]:
    """True for trips that use some segment more than once."""
    owner = np.repeat(np.arange(len(trips)), trips.lengths)
    key = np.unique(owner * len(network) + trips.segment)
    return np.bincount(key // len(network), minlength=len(trips)) < trips.lengths


def legal_steps(network: RoadNetwork, trips: Trips) -> Bool[ndarray, " j"]:
    """For every step of every trip: may the second segment be driven after the first?"""
    inside = np.ones(len(trips.segment), dtype=bool)
    inside[trips.start[:-1]] = False
    inside = np.flatnonzero(inside)
    pattern = network.successors.tocoo()
    legal = np.sort(pattern.row.astype(np.int64) * len(network) + pattern.col)
    step = trips.segment[inside - 1].astype(np.int64) * len(network) + trips.segment[inside]
    place = np.searchsorted(legal, step).clip(max=len(legal) - 1)
    return legal[place] == step


def link_flows(network: RoadNetwork, trips: Trips) -> Float[ndarray, " s"]:
    """How often each segment is driven by all trips together."""
    return np.bincount(trips.segment, minlength=len(network)).astype(np.float64)


def flow_correlation(network: RoadNetwork, first: Trips, second: Trips) -> float:
    """Pearson correlation of the flows of two sets of trips over all segments; NaN where one has no variance."""
    a, b = link_flows(network, first), link_flows(network, second)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")
