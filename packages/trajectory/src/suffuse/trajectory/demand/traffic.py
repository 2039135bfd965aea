"""How long driving takes: hourly congestion by road class, place and direction.

Dimensions: s segments.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.demand.config import DemandConfig
from suffuse.trajectory.demand.zones import Zones
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork

LOAD = dict(zip(HIGHWAY_CLASSES, (0.6, 0.8, 1, 0.9, 0.7, 0.5, 0.3, 0.2, 0.2, 0.1, 0, 0), strict=True))
"""How strongly a class of road fills up in the peak."""

PEAKS = ((8.0, 1.0), (18.2, 1.4), (13.5, 2.5))
"""Hour and width of the morning, evening and midday load."""

MIDDAY_SHARE = 0.45
"""Height of the midday load, as a share of a peak."""

TIDE = 0.35
"""In the morning roads inwards carry this share more load, outwards this share less; reversed in the evening."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Extra driving time as shares of the free-flow time at the height of each load."""

    free_flow_s: Float[ndarray, " s"]
    morning: Float[ndarray, " s"]
    evening: Float[ndarray, " s"]
    midday: Float[ndarray, " s"]

    def expected_s(self, hour: float) -> Float[ndarray, " s"]:
        """Usual seconds to drive each segment at an hour of the day."""
        morning, evening, midday = peak_heights(hour)
        return self.free_flow_s * (1 + morning * self.morning + evening * self.evening + midday * self.midday)


def peak_heights(hour: float) -> tuple[float, float, float]:
    """Height of the morning, evening and midday load at an hour, each 0 to 1."""
    away = [(hour - peak + 12) % 24 - 12 for peak, _ in PEAKS]
    morning, evening, midday = (
        float(np.exp(-0.5 * (d / width) ** 2)) for d, (_, width) in zip(away, PEAKS, strict=True)
    )
    return morning, evening, midday


def city_traffic(network: RoadNetwork, config: DemandConfig, zones: Zones) -> Traffic:
    """Congestion that falls off from the middle of the jobs, varies from zone to zone and follows the commuters."""
    xy = network.to_metres(network.centroid_lonlat)
    weight = zones.jobs + 1e-9
    centre = (xy * weight[:, None]).sum(axis=0) / weight.sum()
    towards = centre - xy
    distance = np.linalg.norm(towards, axis=1)
    reach = np.sqrt((distance**2 * weight).sum() / weight.sum()) + 1.0

    noise = np.random.Generator(np.random.Philox(key=[config.world_seed, 2])).normal(0, 0.4, len(zones))
    by_class = np.array([LOAD[name] for name in network.highway])
    load = (
        config.peak_congestion
        * by_class
        * np.exp(-0.5 * (distance / (1.5 * reach)) ** 2)
        * np.exp(noise)[zones.of_segment]
    )

    course = network.bearings[0]
    inward = (np.cos(course) * towards[:, 0] + np.sin(course) * towards[:, 1]) / np.maximum(distance, 1.0)
    return Traffic(
        free_flow_s=network.free_flow_s.astype(np.float64),
        morning=load * (1 + TIDE * inward),
        evening=load * (1 - TIDE * inward),
        midday=load * MIDDAY_SHARE,
    )
