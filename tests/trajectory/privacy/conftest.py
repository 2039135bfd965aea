"""A square grid and random walks on it: sources of trips that know nothing of each other."""

from collections.abc import Callable

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

SIDE = 8
STEP_M = 100.0


@pytest.fixture(scope="session")
def grid() -> RoadNetwork:
    east, north = (axis.ravel() * STEP_M for axis in np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"))
    lonlat = np.stack([-71.25 + east / (111_320 * np.cos(np.radians(29.9))), -29.9 + north / 110_850], axis=-1)
    ends = [
        pair
        for node in range(SIDE * SIDE)
        for step, there in ((SIDE, node // SIDE + 1 < SIDE), (1, node % SIDE + 1 < SIDE))
        if there
        for pair in ((node, node + step), (node + step, node))
    ]
    tail, head = np.array(ends).T
    return RoadNetwork(
        name="grid",
        segment_ids=np.arange(len(ends)) + 100,
        from_node=tail,
        to_node=head,
        node_ids=np.arange(SIDE * SIDE),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[tail], lonlat[head]], axis=1)),
        length_m=STEP_M + 10.0 * (np.arange(len(ends)) % 3),
        highway=np.full(len(ends), "residential", dtype=object),
        speed_kmh=np.full(len(ends), 30.0),
        lanes=np.ones(len(ends)),
    )


@pytest.fixture(scope="session")
def walks(grid: RoadNetwork) -> Callable[[int, int], Trips]:
    """`count` walks of 4 to 14 segments of a seed, anywhere: no two sources share anything but the roads."""

    def make(count: int, seed: int) -> Trips:
        generator = np.random.default_rng(seed)
        follow, routes = grid.successors, []
        for _ in range(count):
            route = [int(generator.integers(len(grid)))]
            for _ in range(int(generator.integers(3, 14))):
                onward = follow.indices[follow.indptr[route[-1]] : follow.indptr[route[-1] + 1]]
                route.append(int(generator.choice(onward)))
            routes.append(route)
        return Trips.from_lists(routes)

    return make
