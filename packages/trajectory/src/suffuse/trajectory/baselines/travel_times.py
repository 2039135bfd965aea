"""Seconds on each segment by hour of departure, learned from trips.

Dimensions: s segments, c road classes, k trips, m segments of all trips.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork
from suffuse.trajectory.trips.table import Trips

PRIOR_S = 600.0
"""Seconds of driving that a factor must outweigh: with fewer observed it stays near 1."""


@dataclass(frozen=True, eq=False)
class TravelTimes:
    """Free-flow time times a factor of class and hour times a factor of the segment."""

    by_hour: Float[ndarray, "c 24"]
    """Factor over free flow by road class and UTC hour of departure."""
    by_segment: Float[ndarray, " s"]
    """Factor of the segment over others of its class."""

    @staticmethod
    def free_flow(network: RoadNetwork) -> "TravelTimes":
        """Every factor 1."""
        return TravelTimes(np.ones((len(HIGHWAY_CLASSES), 24)), np.ones(len(network)))

    @staticmethod
    def fit(network: RoadNetwork, trips: Trips) -> "TravelTimes":
        """Ratio of observed to expected seconds: of all, by class, by class and hour, by segment, each over the last.

        A factor on few observations is drawn to 1, so segments never driven keep the speed of their class, and trips
        without times leave free flow. The first and last segment of a trip are left out: trips start and end on their
        way.
        """
        timed = trips.take(np.flatnonzero(trips.duration_s > 0))
        observed, row, segment = _inner_traversals(timed)
        road_class, hour = class_of(network)[segment], timed.hour.astype(np.int64)[row]
        expected = network.free_flow_s[segment].astype(np.float64)

        factor = np.full((len(HIGHWAY_CLASSES), 24), _ratio(observed.sum(), expected.sum()))
        classes = len(HIGHWAY_CLASSES)
        for group, groups in ((road_class, classes), (road_class * 24 + hour, classes * 24)):
            base = np.bincount(group, expected * factor[road_class, hour], groups)
            factor = factor * _ratio(np.bincount(group, observed, groups), base).reshape(classes, -1)
        base = np.bincount(segment, expected * factor[road_class, hour], len(network))
        return TravelTimes(factor, _ratio(np.bincount(segment, observed, len(network)), base))

    def seconds(self, network: RoadNetwork, hour: int) -> Float[ndarray, " s"]:
        """Expected seconds on every segment for trips that depart in this hour (0-23, UTC)."""
        return network.free_flow_s * self.by_hour[class_of(network), hour] * self.by_segment

    def clock(
        self, network: RoadNetwork, segment: Int[ndarray, " m"], start: Int[ndarray, " _"], hour: Int[ndarray, " k"]
    ) -> tuple[Float[ndarray, " m"], Float[ndarray, " k"]]:
        """Seconds from departure to the entry of each segment, and to the end of each trip."""
        owner = np.repeat(np.arange(len(hour)), np.diff(start))
        step = self.by_hour[class_of(network)[segment], hour[owner]] * self.by_segment[segment]
        left = np.cumsum(step * network.free_flow_s[segment])
        before = np.append(0.0, left)[start[:-1]]
        return np.append(0.0, left[:-1])[: len(left)] - before[owner], np.append(0.0, left)[start[1:]] - before


def class_of(network: RoadNetwork) -> Int[ndarray, " s"]:
    """Place of each segment's road class in `HIGHWAY_CLASSES`."""
    place = {name: index for index, name in enumerate(HIGHWAY_CLASSES)}
    return np.array([place[name] for name in network.highway], dtype=np.int64)


def _inner_traversals(
    trips: Trips,
) -> tuple[Float[ndarray, " j"], Int[ndarray, " j"], Int[ndarray, " j"]]:
    """Seconds, trip and segment of every traversal but the first and last of its trip."""
    inner = np.ones(len(trips.segment), dtype=bool)
    inner[trips.start[:-1]] = False
    inner[trips.start[1:] - 1] = False
    place = np.flatnonzero(inner)
    row = np.repeat(np.arange(len(trips)), trips.lengths)[place]
    return trips.enter_s[place + 1] - trips.enter_s[place], row, trips.segment[place]


def _ratio(observed: ndarray | float, expected: ndarray | float) -> ndarray:
    return np.asarray((observed + PRIOR_S) / (expected + PRIOR_S))
