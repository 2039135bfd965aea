"""Road networks small enough to enumerate, and a model that is quick to run and sure of something."""

from collections.abc import Callable

import numpy as np
import pytest
import shapely
import torch

from suffuse.trajectory.baselines import RecursiveLogit
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

STEP_M = 150.0


def network_of(links: list[tuple[int, int]], metres: np.ndarray, *, speed_kmh: float = 36.0) -> RoadNetwork:
    """One straight segment a link between nodes at the given places, metres east and north; 36 km/h is 10 m/s."""
    from_node, to_node = np.array(links).T
    lonlat = np.stack([-71.25 + metres[:, 0] / (111_320 * np.cos(np.radians(29.9))), -29.9 + metres[:, 1] / 110_850], 1)
    length = np.hypot(*(metres[to_node] - metres[from_node]).T)
    return RoadNetwork(
        name="small",
        segment_ids=np.arange(len(links)) + 100,
        from_node=from_node,
        to_node=to_node,
        node_ids=np.arange(len(metres)),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[from_node], lonlat[to_node]], axis=1)),
        length_m=np.maximum(length, 1.0),
        highway=np.full(len(links), "residential", dtype=object),
        speed_kmh=np.full(len(links), speed_kmh),
        lanes=np.ones(len(links)),
    )


def square_grid(side: int) -> RoadNetwork:
    """Two-way streets; node column * side + row lies that many steps east and north."""
    east, north = (axis.ravel() for axis in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    links = []
    for node in range(side * side):
        links += [(node, node + side)] * (node // side + 1 < side) + [(node, node + 1)] * (node % side + 1 < side)
    links += [(v, u) for u, v in links]
    return network_of(links, np.stack([east, north], axis=1) * STEP_M)


def walks(network: RoadNetwork, count: int, seed: int, *, longest: int = 12) -> Trips:
    """Legal walks of 2 to `longest` segments, each at a third to three times its free-flow time."""
    generator = np.random.default_rng(seed)
    follow, routes, times, durations = network.successors, [], [], []
    for _ in range(count):
        route = [int(generator.integers(len(network)))]
        for _ in range(int(generator.integers(1, longest))):
            route.append(int(generator.choice(follow.indices[follow.indptr[route[-1]] : follow.indptr[route[-1] + 1]])))
        spent = network.free_flow_s[route] * np.exp(generator.uniform(-1.1, 1.1, len(route)))
        routes.append(route)
        times.append([0.0, *np.cumsum(spent[:-1]).tolist()])
        durations.append(float(spent.sum()))
    depart = np.datetime64("2024-03-04", "s") + generator.integers(0, 86400, count).astype("timedelta64[s]")
    return Trips.from_lists(routes, enter_s=times, duration_s=durations, depart=depart)


@pytest.fixture(scope="session")
def make_network() -> Callable[..., RoadNetwork]:
    return network_of


@pytest.fixture(scope="session")
def make_grid() -> Callable[[int], RoadNetwork]:
    return square_grid


@pytest.fixture(scope="session")
def make_walks() -> Callable[..., Trips]:
    return walks


@pytest.fixture(scope="session")
def grid() -> RoadNetwork:
    """Four by four crossings, 48 segments."""
    return square_grid(4)


@pytest.fixture(scope="session")
def network(grid: RoadNetwork) -> RoadNetwork:
    """Where `trips` and `logit` are at home."""
    return grid


@pytest.fixture(scope="session")
def trips(network: RoadNetwork) -> Trips:
    return walks(network, 150, 0)


@pytest.fixture(scope="session")
def logit(network: RoadNetwork, trips: Trips) -> RecursiveLogit:
    return RecursiveLogit.fit(network, trips)


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Trips, Trips], None]:
    """Fails unless two tables have the same routes and times."""

    def check(first: Trips, second: Trips) -> None:
        for name in ("start", "segment", "enter_s", "duration_s"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)

    return check


@pytest.fixture(scope="session")
def town() -> RoadNetwork:
    """Eight by eight crossings, 224 segments: room for trips of several blocks."""
    return square_grid(8)


@pytest.fixture(scope="session")
def city(town: RoadNetwork) -> CityFeatures:
    return CityFeatures(town, count_usage(town, walks(town, 300, seed=1)))


def small_model(seed: int = 0) -> TrajectoryModel:
    """Untrained, but with opinions: its outputs are not almost the same for everything."""
    torch.manual_seed(seed)
    model = TrajectoryModel(
        width=16, depth=2, heads=2, road_width=8, road_depth=1, road_heads=2, scorer_width=8, time_correlation=0.5
    )
    with torch.no_grad():
        model.scorer.score.weight.mul_(4)
        model.time.weight.normal_(std=0.3)
        for layer in model.transformer.layers:
            layer.attention.out.weight.normal_(std=0.3)
            layer.down.weight.normal_(std=0.3)
    return model.eval()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., TrajectoryModel]:
    return small_model


@pytest.fixture(scope="session")
def model() -> TrajectoryModel:
    return small_model()


@pytest.fixture(scope="session")
def requests_on() -> Callable[..., Requests]:
    def random_requests(network: RoadNetwork, count: int, seed: int) -> Requests:
        generator = np.random.default_rng(seed)
        return Requests(
            origin=generator.integers(0, len(network), count),
            destination=generator.integers(0, len(network), count),
            depart=np.datetime64("2024-03-04", "s") + generator.integers(0, 86400, count).astype("timedelta64[s]"),
            request_id=np.array([f"r{row}" for row in range(count)], dtype=object),
        )

    return random_requests
