"""What trips add up to: how many use each segment, how far and when they go.

Dimensions: s segments of the network, k trips.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def flow_per_segment(trips: Trips, network: RoadNetwork) -> Float[ndarray, " s"]:
    """Number of times each segment is driven; a trip that comes by twice counts twice."""
    return np.bincount(trips.segment, minlength=len(network)).astype(np.float64)


def trip_lengths(trips: Trips, network: RoadNetwork) -> Float[ndarray, " k"]:
    """Metres each trip drives: all of its segments, the first and the last included."""
    owner = np.repeat(np.arange(len(trips)), trips.lengths)
    return np.bincount(owner, weights=network.length_m[trips.segment], minlength=len(trips)).astype(np.float64)


def departures_by_hour(trips: Trips) -> Int[ndarray, " 24"]:
    """Number of trips that depart in each hour of the day, on the clock the trips are written in."""
    return np.bincount(trips.hour.astype(np.int64), minlength=24)


def short_to_long(lengths: Float[ndarray, " k"], count: int) -> Int[ndarray, " c"]:
    """`count` trips that stand for all: those in the middle of `count` equal classes of length, shortest first.

    Fewer where there are fewer trips; among trips of one length the earlier row comes first.
    """
    order = np.argsort(lengths, kind="stable")
    count = min(count, len(order))
    middle = (2 * np.arange(count) + 1) * len(order) // max(2 * count, 1)
    return order[middle]
