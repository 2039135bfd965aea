"""Every alignment against its definition, written out as the recursion over all ways to align."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import shapely
from scipy.spatial.distance import directed_hausdorff

from suffuse.trajectory.metrics.alignment import EDR_RADIUS_KM, HAVERSINE_RADIUS_KM, align
from suffuse.trajectory.metrics.points import unit_vectors
from suffuse.trajectory.trips.table import Trips


def haversine(lon_a, lat_a, lon_b, lat_b, radius):
    lon_a, lat_a, lon_b, lat_b = map(math.radians, (lon_a, lat_a, lon_b, lat_b))
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * radius * math.atan2(math.sqrt(h), math.sqrt(1 - h))


def warp_by_recursion(a, b):
    @cache
    def cost(i, j):
        here = haversine(*a[i], *b[j], HAVERSINE_RADIUS_KM)
        before = [cost(*at) for at in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if min(at) >= 0]
        return here + min(before, default=0.0)

    return cost(len(a) - 1, len(b) - 1)


def edits_by_recursion(a, b, near):
    @cache
    def edits(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(edits(i - 1, j) + 1, edits(i, j - 1) + 1, edits(i - 1, j - 1) + (not near(a[i - 1], b[j - 1])))

    return edits(len(a), len(b)) / max(len(a), len(b))


@pytest.fixture(scope="module")
def compared(grid, make_walks):
    first, second = make_walks(60, 2), make_walks(60, 3)
    pairs = np.stack([np.arange(60), np.arange(60)[::-1]], axis=-1)
    points = [
        (grid.centroid_lonlat[first.segments_of(i)].tolist(), grid.centroid_lonlat[second.segments_of(j)].tolist())
        for i, j in pairs.tolist()
    ]
    return align(grid, first, second, pairs), points


def test_hausdorff_against_scipy_on_the_sphere(compared):
    found, points = compared
    expected = []
    for a, b in points:
        a, b = unit_vectors(np.array(a)), unit_vectors(np.array(b))
        chord = max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])
        expected.append(2 * HAVERSINE_RADIUS_KM * math.asin(chord / 2))
    np.testing.assert_allclose(found.hausdorff_km, expected, rtol=1e-9)


def test_time_warping_is_the_least_over_all_paths(compared):
    found, points = compared
    np.testing.assert_allclose(found.dtw_km, [warp_by_recursion(a, b) for a, b in points], rtol=1e-6)


def test_edit_distance_counts_points_beyond_100_metres(compared):
    found, points = compared

    def near(p, q):
        return haversine(*p, *q, EDR_RADIUS_KM) < 0.1

    np.testing.assert_allclose(found.edr, [edits_by_recursion(a, b, near) for a, b in points])


def test_the_compatible_edit_distance_swaps_longitude_and_latitude(compared):
    found, points = compared

    def near(p, q):
        return haversine(*p[::-1], *q[::-1], EDR_RADIUS_KM) < 0.1

    np.testing.assert_allclose(found.edr_hoser, [edits_by_recursion(a, b, near) for a, b in points])


def test_swapping_matters_where_a_degree_of_longitude_is_shorter(grid):
    """Two points 0.001 degrees of latitude apart: 111 m, but at a 'latitude' of -71 degrees only 36 m."""
    lines = grid.geometry.copy()
    lines[1] = shapely.transform(lines[0], lambda points: points + np.array([0.0, 0.001]))
    network = replace(grid, geometry=lines)
    found = align(network, Trips.from_lists([[0]]), Trips.from_lists([[1]]), np.array([[0, 0]]))
    assert (found.edr[0], found.edr_hoser[0]) == (1.0, 0.0)


def test_a_trip_against_itself_is_all_nought(grid, make_walks):
    trips = make_walks(20, 4)
    found = align(grid, trips, trips, np.stack([np.arange(20)] * 2, axis=-1))
    for figure in (found.hausdorff_km, found.dtw_km, found.edr, found.edr_hoser):
        np.testing.assert_array_equal(figure, 0)


def test_figures_are_the_same_both_ways_round(grid, make_walks):
    first, second = make_walks(20, 5), make_walks(20, 6)
    pairs = np.stack([np.arange(20)] * 2, axis=-1)
    there, back = align(grid, first, second, pairs), align(grid, second, first, pairs)
    np.testing.assert_allclose(there.hausdorff_km, back.hausdorff_km)
    np.testing.assert_allclose(there.dtw_km, back.dtw_km)
    np.testing.assert_allclose(there.edr, back.edr)


def test_no_pairs_give_no_figures(grid, make_walks):
    trips = make_walks(3, 0)
    assert len(align(grid, trips, trips, np.empty((0, 2), dtype=np.int64)).dtw_km) == 0
