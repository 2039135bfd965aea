"""Road networks small enough to list every route, and one with room to choose."""

from collections.abc import Callable

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def network_of(links: list[tuple[int, int]], places: np.ndarray, *, highway: list[str] | None = None) -> RoadNetwork:
    """One straight segment a link between nodes at places in units of about 100 m; 36 km/h."""
    tail, head = np.array(links).T
    lonlat = np.array([-71.25, -29.9]) + places * np.array([0.00104, 0.0009])
    return RoadNetwork(
        name="small",
        segment_ids=np.arange(len(links)) + 1000,
        from_node=tail,
        to_node=head,
        node_ids=np.arange(len(places)),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[tail], lonlat[head]], axis=1)),
        length_m=np.hypot(*(places[head] - places[tail]).T) * 100,
        highway=np.array(highway or ["residential"] * len(links), dtype=object),
        speed_kmh=np.full(len(links), 36.0),
        lanes=np.ones(len(links)),
    )


@pytest.fixture(scope="session")
def make_network() -> Callable[..., RoadNetwork]:
    return network_of


@pytest.fixture(scope="session")
def ladder() -> RoadNetwork:
    """One-way streets east and north on 5 x 4 crossings: no circles, so every route can be listed."""
    nodes = np.array([(x, y) for y in range(4) for x in range(5)], dtype=float)
    links = [(a, b) for a in range(20) for b in range(20) if (nodes[b] - nodes[a]).tolist() in ([1, 0], [0, 1])]
    return network_of(links, nodes)


@pytest.fixture(scope="session")
def grid() -> RoadNetwork:
    """Two-way streets on 6 x 6 crossings of uneven size, 120 segments."""
    nodes = np.array([(x, y) for y in range(6) for x in range(6)], dtype=float)
    links = [(a, b) for a in range(36) for b in range(36) if np.abs(nodes[a] - nodes[b]).sum() == 1]
    return network_of(links, nodes + 0.2 * np.sin(3 * nodes[:, ::-1]))


@pytest.fixture(scope="session")
def make_walks() -> Callable[..., Trips]:
    """Legal random walks of 4 to 15 segments, at 10 m/s unless `pace` says how many times longer they take."""

    def build(network: RoadNetwork, count: int, seed: int, *, pace: float = 1.0) -> Trips:
        rng = np.random.default_rng(seed)
        pattern = network.successors
        routes = []
        for _ in range(count):
            route = [int(rng.integers(len(network)))]
            for _ in range(int(rng.integers(3, 15))):
                ways = pattern.indices[pattern.indptr[route[-1]] : pattern.indptr[route[-1] + 1]]
                route.append(int(rng.choice(ways)))
            routes.append(route)
        spent = [network.length_m[route] / 10 * pace for route in routes]
        return Trips.from_lists(
            routes,
            enter_s=[[0.0, *np.cumsum(seconds)[:-1].tolist()] for seconds in spent],
            duration_s=[float(seconds.sum()) for seconds in spent],
            depart=np.datetime64("2024-03-04", "s") + rng.integers(0, 86400, count).astype("timedelta64[s]"),
        )

    return build
