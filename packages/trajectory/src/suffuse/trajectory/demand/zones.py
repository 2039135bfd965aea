"""Demand zones: square cells of a city with what each generates and attracts, read off its streets.

Dimensions: s segments, z zones.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.demand.config import DemandConfig
from suffuse.trajectory.demand.manners import MANNERS
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork

HOMES_PER_METRE = dict(zip(HIGHWAY_CLASSES, (0, 0.02, 0.1, 0.15, 0.3, 0.6, 1, 1, 0.7, 0.2, 0, 0), strict=True))
"""Relative weight of a metre of street as a home end of trips."""

JOBS_PER_METRE = dict(zip(HIGHWAY_CLASSES, (0, 0.05, 1, 1, 0.7, 0.15, 0.1, 0.05, 0.15, 0.02, 0, 0), strict=True))
"""Relative weight of a metre of street as a work, shop or school end of trips."""


@dataclass(frozen=True, eq=False)
class Zones:
    """Square cells with the weight of each segment as an end of trips."""

    of_segment: Int[ndarray, " s"]
    """Zone of each segment, 0 to z-1."""
    centre_m: Float[ndarray, "z 2"]
    """Length-weighted middle of the segments of each zone, in the network's metric CRS."""
    hub: Int[ndarray, " z"]
    """The open segment nearest to each zone's middle: travel times between zones are measured from hub to hub."""
    homes: Float[ndarray, " s"]
    jobs: Float[ndarray, " s"]

    def __len__(self) -> int:
        return len(self.hub)


def grid_cells(network: RoadNetwork, cell_m: float) -> Int[ndarray, " s"]:
    """Cell of each segment's centroid on a square grid through the network's middle.

    The number of a cell is `column * 2**20 + row`, both counted from a corner far outside: it depends on nothing but
    the place and the network's middle, so it is the same with segments closed or trips left out.
    """
    column, row = (np.floor(network.to_metres(network.centroid_lonlat) / cell_m).astype(np.int64) + 2**19).T
    return column * 2**20 + row


def demand_zones(network: RoadNetwork, config: DemandConfig) -> Zones:
    """Zones of `config.zone_m` metres; homes along small streets, jobs along main ones, log-normal noise a zone."""
    _, of_segment = np.unique(grid_cells(network, config.zone_m), return_inverse=True)
    count = int(of_segment.max()) + 1
    xy = network.to_metres(network.centroid_lonlat)
    mass = np.bincount(of_segment, network.length_m, count)
    centre = np.stack(
        [np.bincount(of_segment, network.length_m * xy[:, axis], count) / mass for axis in (0, 1)], axis=-1
    )

    is_open = np.ones(len(network), dtype=bool)
    is_open[list(network.closed)] = False
    distance = np.linalg.norm(xy - centre[of_segment], axis=1) + np.where(is_open, 0.0, 1e9)
    order = np.lexsort((distance, of_segment))
    hub = order[np.searchsorted(of_segment[order], np.arange(count))]

    noise = np.random.Generator(np.random.Philox(key=[config.world_seed, 1])).normal(0, config.zone_sigma, (2, count))
    paths = np.isin(network.highway.astype(str), ("cycleway", "footway"))
    ends = []
    for per_metre, spread in zip((HOMES_PER_METRE, JOBS_PER_METRE), np.exp(noise), strict=True):
        by_class = np.array([per_metre[name] for name in network.highway], dtype=np.float64)
        by_class[paths] = MANNERS[network.mode].path_ends
        ends.append(by_class * network.length_m * spread[of_segment] * is_open)
    return Zones(of_segment=of_segment, centre_m=centre, hub=hub, homes=ends[0], jobs=ends[1])
