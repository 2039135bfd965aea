"""A town with known answers: a square grid of two-way streets, every seventh of them a main road."""

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

SIDE = 10
STEP_M = 150.0


def square_grid(side: int = SIDE, step_m: float = STEP_M) -> RoadNetwork:
    east, north = (axis.ravel() * step_m for axis in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    lonlat = np.stack([-71.25 + east / (111_320 * np.cos(np.radians(29.9))), -29.9 + north / 110_850], axis=-1)
    ends, highway = [], []
    for column in range(side):
        for row in range(side):
            here = column * side + row
            neighbours = [(here + side, row % 7 == 3)] * (column + 1 < side) + [(here + 1, column % 7 == 3)] * (
                row + 1 < side
            )
            for there, is_main in neighbours:
                ends += [(here, there), (there, here)]
                highway += ["primary" if is_main else "residential"] * 2
    from_node, to_node = np.array(ends).T
    return RoadNetwork(
        name="grid",
        segment_ids=np.arange(len(ends)) + 100,
        from_node=from_node,
        to_node=to_node,
        node_ids=np.arange(side * side),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[from_node], lonlat[to_node]], axis=1)),
        length_m=np.full(len(ends), step_m),
        highway=np.array(highway, dtype=object),
        speed_kmh=np.where(np.array(highway) == "primary", 50.0, 30.0),
        lanes=np.ones(len(ends)),
    )


@pytest.fixture(scope="session")
def town() -> RoadNetwork:
    return square_grid()


def random_walks(network: RoadNetwork, seed: int, count: int) -> Trips:
    """Legal trips of 1 to 12 segments in whole seconds, with ids that need quoting."""
    generator = np.random.default_rng(seed)
    follow = network.successors
    routes, times, durations = [], [], []
    for _ in range(count):
        route = [int(generator.integers(len(network)))]
        for _ in range(int(generator.integers(12))):
            onward = follow.indices[follow.indptr[route[-1]] : follow.indptr[route[-1] + 1]]
            route.append(int(generator.choice(onward)))
        waits = generator.integers(0, 90, len(route)).astype(float)
        routes.append(route)
        times.append([0.0, *np.cumsum(waits[:-1]).tolist()])
        durations.append(float(waits.sum()))
    depart = generator.integers(0, 4 * 10**9, count).astype("datetime64[s]")
    names = [
        generator.choice(["trip", 'a "quoted" one', "comma, here", "ñandú <&>", "7"]) + str(row) for row in range(count)
    ]
    return Trips.from_lists(routes, enter_s=times, duration_s=durations, depart=depart, trip_id=names)


@pytest.fixture(scope="session")
def walks():
    return random_walks


def assert_same_trips(a: Trips, b: Trips) -> None:
    for field in ("start", "segment", "enter_s", "duration_s", "depart", "trip_id"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), err_msg=field)


@pytest.fixture(scope="session")
def same_trips():
    return assert_same_trips
