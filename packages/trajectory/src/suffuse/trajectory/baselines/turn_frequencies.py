"""How often each turn is taken by trips to each part of the city, and what that says about the next trip.

Dimensions: s segments, t transitions, z zones, k trips, e pairs (zone, transition) that were seen.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.baselines.tensors import counts, whole_numbers
from suffuse.trajectory.baselines.turn_graph import NO_TRANSITION, TurnGraph
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def destination_zones(network: RoadNetwork, trips: Trips, depth: int) -> Int[ndarray, " s"]:
    """Zone of each segment: at most 2**depth zones in which about equally many trips end.

    The city is halved `depth` times at the weighted median of its longer side (a k-d tree), so zones are small where
    many trips end. Every segment counts a little, so that a zone is never empty.
    """
    xy = network.to_metres(network.centroid_lonlat)
    weight = np.bincount(trips.destination, minlength=len(network)) + 0.01
    zone = np.zeros(len(network), dtype=np.int64)
    for _ in range(depth):
        order = np.argsort(zone, kind="stable")
        bounds = np.flatnonzero(np.diff(zone[order], prepend=-1, append=-2))
        for first, end in pairwise(bounds):
            members = order[first:end]
            axis = int(np.ptp(xy[members], axis=0).argmax())
            along = members[np.argsort(xy[members, axis], kind="stable")]
            mass = np.cumsum(weight[along])
            zone[members] *= 2
            if len(along) > 1:
                half = np.searchsorted(mass, mass[-1] / 2, side="right").clip(1, len(along) - 1)
                zone[along[half:]] += 1
    return np.unique(zone, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class TurnFrequencies:
    """Turns taken by trips, by zone of the destination."""

    zone_of: Int[ndarray, " s"]
    total: Float[ndarray, " t"]
    """Times each transition was taken by any trip."""
    zone_start: Int[ndarray, " _"]
    """What was seen in trips to zone z is in rows `zone_start[z]:zone_start[z + 1]` of the next two."""
    zone_turn: Int[ndarray, " e"]
    zone_count: Float[ndarray, " e"]

    @staticmethod
    def count(graph: TurnGraph, zone_of: Int[ndarray, " s"], trips: Trips) -> "TurnFrequencies":
        """Count the legal transitions of trips; illegal ones are left out."""
        inside = np.ones(len(trips.segment), dtype=bool)
        inside[trips.start[:-1]] = False
        place = np.flatnonzero(inside)
        turn = graph.find(trips.segment[place - 1], trips.segment[place])
        zone = np.repeat(zone_of[trips.destination], trips.lengths)[place]
        legal = turn != NO_TRANSITION
        key, count = np.unique(zone[legal] * len(graph) + turn[legal], return_counts=True)
        zones = int(zone_of.max()) + 1
        return TurnFrequencies(
            zone_of,
            np.bincount(turn[legal], minlength=len(graph)).astype(np.float64),
            np.searchsorted(key, np.arange(zones + 1) * len(graph)),
            key % len(graph),
            count.astype(np.float64),
        )

    def probability(self, graph: TurnGraph, zone: int, smoothing: float) -> Float[ndarray, " t"]:
        """P(next segment | segment, zone of the destination): above 0, and 1 in sum over the ways on from each segment.

        Frequencies of the zone back off to those of all trips, and these to equal chances, as a Dirichlet prior does:
        `smoothing` is the number of traversals that the wider frequencies are worth (equal chances are worth one).
        """
        ways = np.diff(graph.start)[graph.before]
        leaving = np.bincount(graph.before, self.total, graph.segments)
        wide = (self.total + 1 / ways) / (leaving[graph.before] + 1)
        rows = slice(self.zone_start[zone], self.zone_start[zone + 1])
        seen = np.zeros(len(graph))
        seen[self.zone_turn[rows]] = self.zone_count[rows]
        leaving = np.bincount(graph.before, seen, graph.segments)
        return (seen + smoothing * wide) / (leaving[graph.before] + smoothing)

    def state(self) -> dict[str, ndarray]:
        """As arrays, small enough to keep in a file."""
        return {
            "zone_of": self.zone_of.astype(np.int32),
            "turn_total": self.total.astype(np.float32),
            "zone_start": self.zone_start,
            "zone_turn": self.zone_turn.astype(np.int32),
            "zone_count": self.zone_count.astype(np.float32),
        }

    @staticmethod
    def restore(tensors: dict[str, ndarray], graph: TurnGraph) -> "TurnFrequencies":
        """Undo `state`. Raises ValueError for tensors that are no counts of the turns of this graph."""
        zone_of = whole_numbers(tensors, "zone_of", size=graph.segments, below=graph.segments)
        total = counts(tensors, "turn_total", size=len(graph))
        zone_turn = whole_numbers(tensors, "zone_turn", below=len(graph))
        zone_count = counts(tensors, "zone_count", size=len(zone_turn))
        zones = int(zone_of.max()) + 1
        zone_start = whole_numbers(tensors, "zone_start", size=zones + 1, below=len(zone_turn) + 1)
        if (np.diff(zone_start) < 0).any():
            raise ValueError("zone_start does not ascend")
        return TurnFrequencies(zone_of, total, zone_start, zone_turn, zone_count)
