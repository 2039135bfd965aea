"""How people of each mode choose their way in the simulator: one table, every figure with its source.

Cyclists are those of J. Broach, J. Dill and J. Gliebe, Where do cyclists ride? A route choice model developed with
revealed preference GPS data (Transportation Research A 46, 2012): Portland, Oregon; walkers those of J. Broach and
J. Dill, Pedestrian route choice model estimated from revealed preference GPS data (Transportation Research Board 2015),
of the same city. Both say what a street or a turn is worth in metres; the figures are those that Conveyal's router R5
holds of them (`LaDotBikeCostSupplier`, `LaDotWalkCostSupplier`). Their classes are of daily traffic, which road data do
not have: that main roads carry what `TRAFFIC` says is an assumption. Slopes and wind are left out, and so is what both
find of shops and bike lanes: no road network here has them.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from suffuse.trajectory.roads.crossings import crossed_roads
from suffuse.trajectory.roads.modes import RIDE_KMH, WALK_KMH
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork

TRAFFIC = {"trunk": 30_000, "primary": 20_000, "secondary": 10_000, "tertiary": 5_000}
"""Cars a day that a road of the class carries at least, for cyclists and walkers beside it; others less. Assumed, as is
that crossings of the first two have signals, and of the others none."""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """What someone of median taste makes of streets, turns and crossings."""

    longer: dict[str, float]
    """How much longer a second on a street of the class seems, as a share; 0 where it is not named."""
    turn_m: float = 0.0
    """Metres that a turn seems to be."""
    crossing_m: dict[str, float]
    """Metres that crossing a road of the class seems to be, between two streets of lesser classes."""
    crossing_s: dict[str, float]
    """Seconds that crossing it takes."""
    pace_kmh: float
    """Speed at which those metres are counted."""
    path_ends: float = 0.0
    """Weight of a metre of footway or cycleway as an end of trips, beside 1 of a residential street."""


NO_CROSSINGS = dict[str, float]()

DRIVERS = Manners(
    longer=dict(zip(HIGHWAY_CLASSES, (0.0, 0.0, 0.0, 0.05, 0.15, 0.3, 0.4, 0.8, 0.9, 1.5, 3.0, 3.0), strict=True)),
    crossing_m=NO_CROSSINGS,
    crossing_s=NO_CROSSINGS,
    pace_kmh=30.0,
)
"""All assumed; what drivers lose in turns is in `DemandConfig.turn_s`."""

WAITS_S = {"trunk": 15.0, "primary": 15.0, "secondary": 5.0, "tertiary": 3.0}
"""Assumed: half the red of a signal of 60 s, and the gaps of the traffic of the others."""

CYCLISTS = Manners(
    longer={
        "motorway": 7.157,  # more than 30,000 cars a day, without a bike lane
        "trunk": 7.157,
        "primary": 1.40,  # 20,000 to 30,000
        "secondary": 0.368,  # 10,000 to 20,000
        "cycleway": -0.16,  # off-street path
    },
    turn_m=54.0,
    crossing_m={"trunk": 27.0, "primary": 27.0, "secondary": 81.0, "tertiary": 78.0},  # a signal; no signal
    crossing_s=WAITS_S,
    pace_kmh=RIDE_KMH,
    path_ends=0.1,
)
"""Broach, Dill and Gliebe 2012; of what crossings cost, the figures for going straight on or to the far side."""

WALKERS = Manners(
    longer={
        "trunk": 0.14,  # busy road
        "primary": 0.14,
        "secondary": 0.14,
        "service": 0.51,  # alley
        "track": 0.51,  # unpaved
    },
    turn_m=54.0,
    crossing_m={"trunk": 20.0, "primary": 20.0, "secondary": 73.0, "tertiary": 28.0},  # wait; no signal; no crosswalk
    crossing_s=WAITS_S,
    pace_kmh=WALK_KMH,
    path_ends=0.1,
)
"""Broach and Dill 2015, but for crossings with signals: they find none, here it is the wait."""

MANNERS = {"drive": DRIVERS, "bike": CYCLISTS, "walk": WALKERS}
"""By mode."""


def dislike(network: RoadNetwork) -> Float[ndarray, " s"]:
    """How much longer a second on each segment seems than one on the best class there is; never below 0."""
    longer = MANNERS[network.mode].longer
    least = min(0.0, *longer.values())
    by_class = {name: (1 + longer.get(name, 0.0)) / (1 + least) - 1 if least else longer.get(name, 0.0)
                for name in HIGHWAY_CLASSES}  # fmt: skip
    return np.array([by_class[name] for name in network.highway])


def seconds_at_crossings(network: RoadNetwork) -> Float[ndarray, " t"]:
    """Seconds that each legal transition takes for the road it crosses, in the order of `network.successors`."""
    return _of_crossings(network, MANNERS[network.mode].crossing_s)


def seeming_seconds(network: RoadNetwork, turns: Bool[ndarray, " t"]) -> Float[ndarray, " t"]:
    """Seconds that each transition seems to take for its turn (`turns`: whether it is one) and what it crosses."""
    manners = MANNERS[network.mode]
    metres = manners.turn_m * turns + _of_crossings(network, manners.crossing_m)
    return metres / (1 + min(0.0, *manners.longer.values())) / manners.pace_kmh * 3.6


def _of_crossings(network: RoadNetwork, by_class: dict[str, float]) -> Float[ndarray, " t"]:
    pattern = network.successors.tocoo()
    total = np.zeros(len(pattern.row))
    if by_class:
        crossed = crossed_roads(network, pattern.row, pattern.col)
        for name, value in by_class.items():
            total[crossed == name] = value
    return total
