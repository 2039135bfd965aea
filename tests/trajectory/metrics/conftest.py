"""A road network small enough to compute every figure by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

SIDE = 5
STEP_DEG = 0.002


@pytest.fixture(scope="session")
def grid() -> RoadNetwork:
    """Five by five crossings, two-way streets of 0.002 degrees, 80 segments; the first 40 lead east or north."""
    nodes = np.array([(x, y) for x in range(SIDE) for y in range(SIDE)])
    links = [(a, b) for a in range(SIDE**2) for b in range(a + 1, SIDE**2) if np.abs(nodes[a] - nodes[b]).sum() == 1]
    links += [(b, a) for a, b in links]
    lonlat = np.array([-71.25, -29.9]) + nodes * STEP_DEG
    tail, head = np.array(links).T
    return RoadNetwork(
        name="grid",
        segment_ids=np.arange(len(links)) + 1000,
        from_node=tail,
        to_node=head,
        node_ids=np.arange(len(nodes)),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[tail], lonlat[head]], axis=1)),
        length_m=np.where(np.abs(lonlat[head] - lonlat[tail])[:, 0] > STEP_DEG / 2, 193.0, 221.0),
        highway=np.full(len(links), "residential", dtype=object),
        speed_kmh=np.full(len(links), 36.0),
        lanes=np.ones(len(links)),
    )


@pytest.fixture(scope="session")
def make_walks(grid: RoadNetwork) -> Callable[..., Trips]:
    """Legal random walks of 3 to 14 segments with times."""

    def build(count: int, seed: int) -> Trips:
        rng = np.random.default_rng(seed)
        pattern = grid.successors
        routes, times, durations = [], [], []
        for _ in range(count):
            route = [int(rng.integers(len(grid)))]
            for _ in range(int(rng.integers(2, 14))):
                route.append(
                    int(rng.choice(pattern.indices[pattern.indptr[route[-1]] : pattern.indptr[route[-1] + 1]]))
                )
            spent = rng.uniform(10, 60, len(route))
            routes.append(route)
            times.append([0.0, *np.cumsum(spent)[:-1].tolist()])
            durations.append(float(spent.sum()))
        return Trips.from_lists(routes, enter_s=times, duration_s=durations)

    return build
