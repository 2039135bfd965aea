"""Who travels where and when: gravity demand between zones, and purposes with their hours of the day.

Dimensions: s segments, z zones, p = 3 purposes (to work, to home, other).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.demand.config import DemandConfig
from suffuse.trajectory.demand.route_choice import LineGraph, travel_times
from suffuse.trajectory.demand.zones import Zones, demand_zones
from suffuse.trajectory.errors import TrajectoryError
from suffuse.trajectory.roads.network import RoadNetwork

HOURS = (
    ((0.85, 7.9, 0.8), (0.15, 13.0, 1.5)),
    ((0.8, 18.3, 1.2), (0.2, 13.2, 1.5)),
    ((0.55, 11.5, 2.2), (0.45, 19.0, 2.4)),
)
"""Departure hour by purpose, a mixture of normals as (share, mean, standard deviation), hours of the day: two peaks."""

MAX_DRAWS = 200
"""Pairs drawn for one trip before the network is given up as too small for the least distance."""


@dataclass(frozen=True, eq=False)
class Gravity:
    """Cumulative distributions to draw an origin-destination pair of segments from."""

    pair_cumulative: Float[ndarray, "3 pairs"]
    """By purpose, over zone pairs in row-major order."""
    by_zone: Int[ndarray, " s"]
    """Segments sorted by zone."""
    zone_start: Int[ndarray, " bounds"]
    """z + 1 offsets into `by_zone`."""
    origin_cumulative: Float[ndarray, "3 s"]
    """By purpose, over `by_zone`."""
    destination_cumulative: Float[ndarray, "3 s"]
    shares: Float[ndarray, " 3"]
    centroid_m: Float[ndarray, "s 2"]
    min_distance_m: float
    name: str

    def draw(self, generator: np.random.Generator) -> tuple[int, int, int]:
        """Purpose, origin and destination segment of one trip.

        Raises:
            TrajectoryError: if no pair far enough apart turns up.

        """
        purpose = int(np.searchsorted(self.shares.cumsum(), generator.random() * self.shares.sum()).clip(max=2))
        zones = len(self.zone_start) - 1
        for _ in range(MAX_DRAWS):
            which, at_origin, at_destination = generator.random(3)
            cumulative = self.pair_cumulative[purpose]
            pair = int(np.searchsorted(cumulative, which * cumulative[-1], side="right"))
            origin = self._segment(self.origin_cumulative[purpose], pair // zones, at_origin)
            destination = self._segment(self.destination_cumulative[purpose], pair % zones, at_destination)
            east, north = self.centroid_m[origin] - self.centroid_m[destination]
            if east * east + north * north >= self.min_distance_m**2:
                return purpose, origin, destination
        raise TrajectoryError(
            f"road network {self.name!r} has hardly any two segments min_distance_m={self.min_distance_m:g} "
            "apart, in metres: lower it"
        )

    def _segment(self, cumulative: Float[ndarray, " s"], zone: int, at: float) -> int:
        first, last = self.zone_start[zone], self.zone_start[zone + 1]
        low, high = (cumulative[first - 1] if first else 0.0), cumulative[last - 1]
        row = np.searchsorted(cumulative[first:last], low + at * (high - low), side="right")
        return int(self.by_zone[first + min(int(row), last - first - 1)])


def draw_hour(purpose: int, generator: np.random.Generator) -> float:
    """Departure in hours since midnight, [0, 24)."""
    (share, *first), (_, *second) = HOURS[purpose]
    mean, spread = first if generator.random() < share else second
    return float(generator.normal(mean, spread) % 24)


def gravity_demand(network: RoadNetwork, config: DemandConfig, graph: LineGraph) -> tuple[Zones, Gravity]:
    """Production-constrained gravity model (Wilson 1967) between zones.

    T_ij = O_i * D_j exp(-beta t_ij) / sum_k D_k exp(-beta t_ik), t the free-flow time from hub to hub. Trips home are
    the transpose of trips to work; the others run between any two places. Pairs that cannot hold a trip of the least
    distance get none.

    Raises:
        TrajectoryError: if no two zones are far enough apart.

    """
    zones = demand_zones(network, config)
    minutes = travel_times(graph, network.free_flow_s.astype(np.float64), zones.hub)[:, zones.hub] / 60
    apart = np.linalg.norm(zones.centre_m[:, None] - zones.centre_m[None], axis=-1)
    possible = np.isfinite(minutes) & (apart > config.min_distance_m - 1.5 * config.zone_m)
    deterrence = np.where(possible, np.exp(-config.deterrence_per_min * np.where(possible, minutes, 0)), 0)

    def trips(origin_weight: Float[ndarray, " z"], destination_weight: Float[ndarray, " z"]) -> Float[ndarray, "z z"]:
        pull = destination_weight[None] * deterrence
        total = pull.sum(axis=1, keepdims=True)
        return origin_weight[:, None] * np.divide(pull, total, out=np.zeros_like(pull), where=total > 0)

    any_place = zones.homes / max(zones.homes.sum(), 1e-12) + zones.jobs / max(zones.jobs.sum(), 1e-12)
    homes, jobs, places = (np.bincount(zones.of_segment, w, len(zones)) for w in (zones.homes, zones.jobs, any_place))
    to_work = trips(homes, jobs)
    pair = np.stack([to_work.ravel(), to_work.T.ravel(), trips(places, places).ravel()])
    if not (pair.sum(axis=1) > 0).all():
        raise TrajectoryError(
            f"road network {network.name!r} has no two zones at least {config.min_distance_m:g} m apart with a "
            "way between them, so no requests can be simulated: name them in a file (--od), or take a larger network"
        )
    by_zone = np.argsort(zones.of_segment, kind="stable")
    ends = np.stack([zones.homes, zones.jobs, any_place])[:, by_zone].cumsum(axis=1)
    return zones, Gravity(
        pair_cumulative=pair.cumsum(axis=1),
        by_zone=by_zone,
        zone_start=np.searchsorted(zones.of_segment[by_zone], np.arange(len(zones) + 1)),
        origin_cumulative=ends,
        destination_cumulative=ends[[1, 0, 2]],
        shares=np.array(config.shares),
        centroid_m=network.to_metres(network.centroid_lonlat),
        min_distance_m=config.min_distance_m,
        name=network.name,
    )
