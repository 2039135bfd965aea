"""How far two trips of one request lie apart: Hausdorff distance, dynamic time warping, edit distance on real sequence.

All three read one matrix of haversine distances between the segment centroids of the two trips. Definitions follow
the evaluation notebook of HOSER (AAAI 2025), with its earth radii; differences to it: time warping is exact here (the
notebook's `fastdtw` gives an upper bound), and the edit distance comes twice, see `Alignment`.

Dimensions: a, b points of two trips; k pairs.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.metrics.points import unit_vectors
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

HAVERSINE_RADIUS_KM = 6378.0
"""Earth radius of Hausdorff and time warping."""

EDR_RADIUS_KM = 6378.137
"""Earth radius of the edit distance."""

EDR_WITHIN_KM = 0.1
"""Points nearer than this count as the same place in the edit distance."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """The paired figures, one value a pair."""

    hausdorff_km: Float[ndarray, " k"]
    """Largest distance from a point of either trip to the nearest of the other."""
    dtw_km: Float[ndarray, " k"]
    """Least sum of distances along a warping path; not normalised, so long trips weigh more."""
    edr: Float[ndarray, " k"]
    """Edits needed to bring the points within 100 m, by the longer trip's number of points: 0 to 1."""
    edr_hoser: Float[ndarray, " k"]
    """The same as HOSER's published code computes it: with longitude and latitude swapped in the distance."""


@njit(cache=True)
@no_type_check
def _distances(a: ndarray, b: ndarray) -> ndarray:
    out = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            x, y, z = a[i, 0] - b[j, 0], a[i, 1] - b[j, 1], a[i, 2] - b[j, 2]
            out[i, j] = 2.0 * np.arcsin(min(0.5 * np.sqrt(x * x + y * y + z * z), 1.0))
    return out


@njit(cache=True)
@no_type_check
def _hausdorff(distance: ndarray) -> float:
    worst = 0.0
    for i in range(distance.shape[0]):
        worst = max(worst, distance[i].min())
    for j in range(distance.shape[1]):
        worst = max(worst, distance[:, j].min())
    return worst


@njit(cache=True)
@no_type_check
def _warp(distance: ndarray) -> float:
    rows, columns = distance.shape
    above = np.full(columns + 1, np.inf)
    above[0] = 0.0
    for i in range(rows):
        left = np.inf
        corner = above[0]
        above[0] = np.inf
        for j in range(columns):
            left = distance[i, j] + min(left, above[j + 1], corner)
            corner = above[j + 1]
            above[j + 1] = left
    return float(above[columns])


@njit(cache=True)
@no_type_check
def _edit(distance: ndarray, within: float) -> float:
    rows, columns = distance.shape
    above = np.arange(columns + 1).astype(np.float64)
    for i in range(rows):
        corner = above[0]
        left = i + 1.0
        above[0] = left
        for j in range(columns):
            change = corner + (0.0 if distance[i, j] < within else 1.0)
            left = min(left + 1.0, above[j + 1] + 1.0, change)
            corner = above[j + 1]
            above[j + 1] = left
    return above[columns] / max(rows, columns)


@njit(cache=True)
@no_type_check
def _align(
    point: ndarray,
    swapped: ndarray,
    segment_a: ndarray,
    start_a: ndarray,
    segment_b: ndarray,
    start_b: ndarray,
    pairs: ndarray,
    within: float,
) -> ndarray:
    out = np.empty((len(pairs), 4))
    for k in range(len(pairs)):
        i, j = pairs[k, 0], pairs[k, 1]
        a, b = segment_a[start_a[i] : start_a[i + 1]], segment_b[start_b[j] : start_b[j + 1]]
        distance = _distances(point[a], point[b])
        out[k, 0] = _hausdorff(distance)
        out[k, 1] = _warp(distance)
        out[k, 2] = _edit(distance, within)
        out[k, 3] = _edit(_distances(swapped[a], swapped[b]), within)
    return out


def align(network: RoadNetwork, first: Trips, second: Trips, pairs: Int[ndarray, "k 2"]) -> Alignment:
    """Compare trip `pairs[:, 0]` of `first` with trip `pairs[:, 1]` of `second`, for every row."""
    lonlat = network.centroid_lonlat
    table = _align(
        unit_vectors(lonlat),
        unit_vectors(lonlat[:, ::-1]),
        first.segment.astype(np.int64),
        first.start.astype(np.int64),
        second.segment.astype(np.int64),
        second.start.astype(np.int64),
        np.ascontiguousarray(pairs, dtype=np.int64),
        EDR_WITHIN_KM / EDR_RADIUS_KM,
    )
    return Alignment(table[:, 0] * HAVERSINE_RADIUS_KM, table[:, 1] * HAVERSINE_RADIUS_KM, table[:, 2], table[:, 3])
