"""Divergences of whole sets of trips, and the same at equal size, where they can be compared with the floor.

A divergence between two samples shrinks with their size even when nothing is wrong, so every row is also measured
between random samples of one size. Dimensions: k trips, v values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from suffuse.trajectory.metrics.divergence import histogram_divergence
from suffuse.trajectory.metrics.points import distances_km, radii_of_gyration_km, step_minutes, trip_minutes
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

REPEATS = 10
"""Random samples over which a divergence at equal size is averaged."""


@dataclass(frozen=True)
class Divergences:
    """Jensen-Shannon divergences in nats."""

    jsd_distance: float
    jsd_radius: float
    jsd_duration: float
    jsd_trip_duration: float


@dataclass(frozen=True, eq=False)
class Measured:
    """The values that the divergences compare, one a trip but for the minutes of steps."""

    distance_km: Float[ndarray, " k"]
    radius_km: Float[ndarray, " k"]
    step_min: Float[ndarray, " v"]
    step_trip: Int[ndarray, " v"]
    """Row of the trip of each step."""
    trip_min: Float[ndarray, " k"]

    def __len__(self) -> int:
        return len(self.distance_km)

    def take(self, rows: Int[ndarray, " j"]) -> "Measured":
        """The values of some trips (steps in their old order)."""
        chosen: Bool[ndarray, " k"] = np.zeros(len(self), dtype=bool)
        chosen[rows] = True
        steps = chosen[self.step_trip]
        return Measured(
            self.distance_km[rows],
            self.radius_km[rows],
            self.step_min[steps],
            self.step_trip[steps],
            self.trip_min[rows],
        )


def measure(network: RoadNetwork, trips: Trips) -> Measured:
    """Distances, radii and times of a set of trips."""
    owner = np.repeat(np.arange(len(trips)), trips.lengths - 1)
    return Measured(
        distances_km(network, trips),
        radii_of_gyration_km(network, trips),
        step_minutes(trips),
        owner,
        trip_minutes(trips),
    )


def divergences(real: Measured, other: Measured) -> Divergences:
    """Each divergence between two whole sets; the bins are those of `real`."""
    return Divergences(
        jsd_distance=histogram_divergence(real.distance_km, other.distance_km),
        jsd_radius=histogram_divergence(real.radius_km, other.radius_km),
        jsd_duration=histogram_divergence(real.step_min, other.step_min),
        jsd_trip_duration=histogram_divergence(real.trip_min, other.trip_min),
    )


def compare_at_equal_size(
    real: Measured, others: Mapping[str, Measured], *, seed: int
) -> tuple[int, dict[str, Divergences]]:
    """Number of trips a side, and the divergences of every set from `real` at that number, means of `REPEATS` samples.

    Where `others` holds no `floor`, the real trips are split: each sample compares one random part of them with every
    other set and, for the floor, with the rest of them.
    """
    split = "floor" not in others
    size = min(len(real) // 2 if split else len(real), *(len(other) for other in others.values()))
    rng = np.random.default_rng(seed)
    sums = {name: np.zeros(len(fields(Divergences))) for name in (*others, "floor")}
    for _ in range(REPEATS):
        rows = rng.permutation(len(real))
        reference = real.take(rows[:size])
        against = {name: other.take(rng.permutation(len(other))[:size]) for name, other in others.items()}
        if split:
            against["floor"] = real.take(rows[size : 2 * size])
        for name, other in against.items():
            found = divergences(reference, other)
            sums[name] += [getattr(found, field.name) for field in fields(Divergences)]
    return size, {name: Divergences(*(total / REPEATS)) for name, total in sums.items()}
