"""What the demand simulator assumes about a city, its drivers and its traffic."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from suffuse.trajectory.errors import TrajectoryError
from suffuse.trajectory.roads.modes import checked_mode


@dataclass(frozen=True, kw_only=True)
class DemandConfig:
    """Assumptions of the simulator; a network and a config make one simulated world.

    The defaults are for drivers; `usual_config` has those for the rest. They are round figures, not estimates for any
    one city. The spreads are set so that two drivers with the same request share about as much of their way as two
    real San Francisco taxis do (.56 by length).
    """

    world_seed: int = 0
    """Draws the city's zones, its drivers and where it is congested; the seed of the trips does not touch these."""
    first_day: str = "2024-03-04"
    """First departure date, ISO 8601."""
    days: int = 5
    """Departures fall evenly on this many days from `first_day`."""

    zone_m: float = 500.0
    """Side of the square demand zones, metres."""
    zone_sigma: float = 0.5
    """Log-normal spread of what a zone generates and attracts beyond what its streets say."""
    deterrence_per_min: float = 0.12
    """Rate of the exponential deterrence function of free-flow travel time, per minute."""
    min_distance_m: float = 1000.0
    """No trip is shorter than this, as the crow flies between the middles of its first and last segment."""
    shares: tuple[float, float, float] = (0.35, 0.35, 0.3)
    """Shares of trips from home to work, from work to home, and between any two places."""

    drivers: int = 2000
    """Drivers in the population; each keeps its tastes from trip to trip."""
    length_weight: float = 0.3
    """Median weight of length, as seconds at 30 km/h per second of time."""
    small_street_weight: float = 1.5
    """Median weight of what streets of a class seem to be: see `manners.Manners.longer`."""
    taste_sigma: float = 0.8
    """Log-normal spread of the three taste weights (length, small streets, turns) between drivers."""
    driver_sigma: float = 0.3
    """Log-normal spread of a driver's lasting opinion of a segment."""
    area_sigma: float = 0.3
    """Log-normal spread of a driver's lasting opinion of a whole zone."""
    trip_sigma: float = 0.4
    """Log-normal spread of the perception of a segment on one trip."""

    drive_on: Literal["right", "left"] = "right"
    turn_s: tuple[float, float, float, float] = (1.0, 4.0, 9.0, 30.0)
    """Seconds lost going straight on, turning to the near side, across the oncoming traffic, and in a U-turn."""

    peak_congestion: float = 0.8
    """Extra travel time at the height of a peak on a main road in the centre, as a share of the free-flow time."""
    speed_sigma: float = 0.1
    """Log-normal spread of driving time between trips."""
    segment_sigma: float = 0.2
    """Log-normal spread of driving time between the segments of one trip."""

    def __post_init__(self) -> None:
        for name in ("zone_m", "min_distance_m", "drivers", "days"):
            if not getattr(self, name) > 0:
                raise TrajectoryError(f"DemandConfig.{name} is {getattr(self, name)}, but must be above 0")
        spreads = (
            "zone_sigma",
            "taste_sigma",
            "driver_sigma",
            "area_sigma",
            "trip_sigma",
            "speed_sigma",
            "segment_sigma",
        )
        for name in (*spreads, "deterrence_per_min", "length_weight", "small_street_weight", "peak_congestion"):
            if not 0 <= getattr(self, name) <= 10:
                raise TrajectoryError(f"DemandConfig.{name} is {getattr(self, name)}, but must lie in 0 to 10")
        if min(self.turn_s) < 0:
            raise TrajectoryError(f"DemandConfig.turn_s is {self.turn_s}, but no turn may take less than 0 s")
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise TrajectoryError(f"DemandConfig.shares is {self.shares}, but must be three shares that add up to 1")
        try:
            date.fromisoformat(self.first_day)
        except ValueError as error:
            raise TrajectoryError(
                f"DemandConfig.first_day is {self.first_day!r}, but must be a date as 2024-03-04"
            ) from error


WITHOUT_CARS = DemandConfig(
    length_weight=0.0,
    small_street_weight=1.0,
    turn_s=(0.0, 0.0, 0.0, 0.0),
    peak_congestion=0.0,
)
"""What walkers and cyclists have in common: no traffic jams, and costs of streets and turns from `manners`."""

WALKING = replace(
    WITHOUT_CARS,
    zone_m=250.0,
    deterrence_per_min=0.27,
    min_distance_m=200.0,
    speed_sigma=0.19,
    segment_sigma=0.1,
)
"""Walkers: trips of about 1 km (median from home in Brisbane 780 m: M. Burke and A. L. Brown, Distances people walk for
transport, Road and Transport Research 16, 2007); a spread of speeds of 0.26 in 1.34 m/s (Weidmann 1993); the rest is
assumed."""

CYCLING = replace(
    WITHOUT_CARS,
    deterrence_per_min=0.19,
    min_distance_m=500.0,
    speed_sigma=0.2,
)
"""Cyclists: trips of about 3 km where a city is large enough. All of it is assumed."""


def usual_config(mode: str) -> DemandConfig:
    """What is assumed of people of a mode, one of `MODES`, unless told otherwise."""
    return {"drive": DemandConfig(), "bike": CYCLING, "walk": WALKING}[checked_mode(mode)]
