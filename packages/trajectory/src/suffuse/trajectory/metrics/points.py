"""What is measured of one trip: kilometres, radius of gyration, minutes. The point of a segment is its centroid.

Definitions follow the evaluation notebook of HOSER (AAAI 2025, arXiv 2501.02737). Dimensions: s segments, k trips, m
segments of all trips, p points.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

GREAT_CIRCLE_RADIUS_KM = 6371.009
"""Mean radius of the Earth, of the distances along a trip and of the radius of gyration."""


def unit_vectors(lonlat: Float[ndarray, "p 2"]) -> Float[ndarray, "p 3"]:
    """Points on the unit sphere for longitudes and latitudes in degrees."""
    lon, lat = np.radians(lonlat).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def great_circle_km(
    first: Float[ndarray, "p 2"], second: Float[ndarray, "p 2"], *, radius_km: float = GREAT_CIRCLE_RADIUS_KM
) -> Float[ndarray, " p"]:
    """Great-circle distance of each pair of points in lon/lat degrees, in km.

    The chord between two unit vectors is twice the square root under the haversine formula, so this is that formula.
    """
    chord = np.linalg.norm(unit_vectors(first) - unit_vectors(second), axis=-1)
    return 2 * radius_km * np.arcsin(np.minimum(chord / 2, 1.0))


def distances_km(network: RoadNetwork, trips: Trips) -> Float[ndarray, " k"]:
    """Sum of the great-circle distances between the centroids of successive segments of each trip, in km."""
    points = network.centroid_lonlat[trips.segment]
    step = np.zeros(len(points))
    step[1:] = great_circle_km(points[:-1], points[1:])
    step[trips.start[:-1]] = 0.0
    return np.add.reduceat(step, trips.start[:-1]) if len(trips) else np.zeros(0)


def radii_of_gyration_km(network: RoadNetwork, trips: Trips) -> Float[ndarray, " k"]:
    """Mean (HOSER's choice, not root mean square) great-circle km of the centroids from their mean lon/lat."""
    points = network.centroid_lonlat[trips.segment]
    owner = np.repeat(np.arange(len(trips)), trips.lengths)
    count = np.maximum(trips.lengths, 1)
    mean = np.stack([np.bincount(owner, points[:, axis], len(trips)) / count for axis in (0, 1)], axis=-1)
    return np.bincount(owner, great_circle_km(mean[owner], points), len(trips)) / count


def lengths_m(network: RoadNetwork, trips: Trips) -> Float[ndarray, " k"]:
    """Metres of road of each trip, first and last segment counted whole."""
    owner = np.repeat(np.arange(len(trips)), trips.lengths)
    return np.bincount(owner, network.length_m[trips.segment], len(trips))


def step_minutes(trips: Trips) -> Float[ndarray, " j"]:
    """Minutes between entering a segment and entering the next, over all steps of all trips (HOSER's "duration")."""
    inside = np.ones(len(trips.segment), dtype=bool)
    inside[trips.start[:-1]] = False
    return np.diff(trips.enter_s, prepend=0.0)[inside] / 60


def trip_minutes(trips: Trips) -> Float[ndarray, " k"]:
    """Minutes from departure to the end of the last segment of each trip."""
    return trips.duration_s / 60
