import math
from itertools import pairwise

import numpy as np
import pytest

from suffuse.trajectory.metrics.points import (
    GREAT_CIRCLE_RADIUS_KM,
    distances_km,
    great_circle_km,
    lengths_m,
    radii_of_gyration_km,
    step_minutes,
    trip_minutes,
)
from suffuse.trajectory.trips.table import Trips


def haversine(a, b, radius):
    (lon_a, lat_a), (lon_b, lat_b) = np.radians(a), np.radians(b)
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * radius * math.asin(math.sqrt(h))


@pytest.mark.parametrize(
    ("a", "b", "of_circle"), [((0, 0), (90, 0), 1 / 4), ((0, 0), (180, 0), 1 / 2), ((10, 90), (50, -90), 1 / 2)]
)
def test_great_circles_of_known_angle(a, b, of_circle):
    found = great_circle_km(np.array([a], float), np.array([b], float))
    assert found == pytest.approx(2 * math.pi * GREAT_CIRCLE_RADIUS_KM * of_circle)


def test_great_circle_is_the_haversine_formula_from_metres_to_continents():
    rng = np.random.default_rng(0)
    first = rng.uniform([-180, -80], [180, 80], (200, 2))
    second = first + rng.normal(size=(200, 2)) * 10.0 ** rng.integers(-5, 1, (200, 1))
    expected = [haversine(a, b, GREAT_CIRCLE_RADIUS_KM) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(great_circle_km(first, second), expected, rtol=1e-6)


def test_distance_is_the_sum_between_successive_centroids(grid, make_walks):
    trips = make_walks(30, 0)
    expected = [
        sum(
            haversine(grid.centroid_lonlat[a], grid.centroid_lonlat[b], GREAT_CIRCLE_RADIUS_KM)
            for a, b in pairwise(route.tolist())
        )
        for route in map(trips.segments_of, range(30))
    ]
    np.testing.assert_allclose(distances_km(grid, trips), expected, rtol=1e-9)


def test_radius_is_the_mean_distance_from_the_mean_point(grid, make_walks):
    trips = make_walks(30, 1)
    expected = []
    for row in range(30):
        points = grid.centroid_lonlat[trips.segments_of(row)]
        expected.append(np.mean([haversine(points.mean(axis=0), p, GREAT_CIRCLE_RADIUS_KM) for p in points]))
    np.testing.assert_allclose(radii_of_gyration_km(grid, trips), expected, rtol=1e-6)


def test_a_trip_of_one_segment_goes_nowhere(grid):
    trips = Trips.from_lists([[3], [4, 5], [6]])
    assert distances_km(grid, trips)[[0, 2]].tolist() == [0, 0]
    assert radii_of_gyration_km(grid, trips)[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(
        lengths_m(grid, trips), [grid.length_m[3], grid.length_m[[4, 5]].sum(), grid.length_m[6]]
    )


def test_minutes_of_steps_leave_out_the_last_segment_and_the_seams_between_trips(grid):
    trips = Trips.from_lists(
        [[0, 1, 2], [3], [4, 5]], enter_s=[[0.0, 30.0, 90.0], [0.0], [0.0, 6.0]], duration_s=[120.0, 60.0, 12.0]
    )
    assert step_minutes(trips).tolist() == [0.5, 1.0, 0.1]
    assert trip_minutes(trips).tolist() == [2.0, 1.0, 0.2]
