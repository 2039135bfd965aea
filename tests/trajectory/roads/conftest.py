"""Small road networks whose every answer is known."""

from collections.abc import Callable

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.assemble import assemble
from suffuse.trajectory.roads.network import RoadNetwork

STEP = 0.001
"""Degrees between neighbours in the grid: about 100 m."""


def make_network(
    links: list[tuple[int, int]],
    *,
    places: dict[int, tuple[float, float]] | None = None,
    highway: list[str] | None = None,
    **columns: object,
) -> RoadNetwork:
    """One segment a link, straight lines; nodes lie on a grid three wide unless placed."""
    nodes = np.array(sorted({node for link in links for node in link}))
    spots = places or {int(node): (-71.25 + STEP * (node % 3), -29.9 + STEP * (node // 3)) for node in nodes}
    return assemble(
        source="test",
        name=str(columns.pop("name", "small")),
        tail=np.array([u for u, _ in links]),
        head=np.array([v for _, v in links]),
        node_ids=nodes,
        node_lonlat=np.array([spots[int(node)] for node in nodes]),
        lines=np.full(len(links), None, dtype=object),
        highway=None if highway is None else np.array(highway, dtype=object),
        **columns,  # type: ignore[arg-type]
    )


@pytest.fixture(name="make_network", scope="session")
def make_network_fixture() -> Callable[..., RoadNetwork]:
    return make_network


@pytest.fixture
def grid() -> RoadNetwork:
    """Nine crossings, three a row, and all twelve streets between neighbours, both ways."""
    across = [(node, node + 1) for node in range(9) if node % 3 < 2]
    along = [(node, node + 3) for node in range(6)]
    streets = across + along
    return make_network(
        [*streets, *((v, u) for u, v in streets)],
        highway=["primary"] * 3 + ["residential"] * 9 + ["primary"] * 3 + ["residential"] * 9,
        lanes=np.arange(24) % 3 + 1.0,
        speed_kmh=np.linspace(20, 90, 24),
        source_ids=np.array([f"{row} {row + 100}" for row in range(24)], dtype=object),
        attribution="(c) nobody",
    )


def differences(a: RoadNetwork, b: RoadNetwork, *, degrees: float = 0.0) -> list[str]:
    """Fields in which two networks differ; coordinates may by `degrees`, and lengths accordingly."""
    exact = ["name", "crs", "attribution", "closed"]
    arrays = ["segment_ids", "from_node", "to_node", "node_ids", "highway", "speed_kmh", "lanes", "length_m"]
    different = [field for field in exact if getattr(a, field) != getattr(b, field)]
    different += [field for field in arrays if not np.array_equal(getattr(a, field), getattr(b, field))]
    if (a.source_ids is None) != (b.source_ids is None) or (
        a.source_ids is not None and not np.array_equal(a.source_ids, b.source_ids)
    ):
        different.append("source_ids")
    if a.node_lonlat.shape != b.node_lonlat.shape or np.abs(a.node_lonlat - b.node_lonlat).max() > degrees:
        different.append("node_lonlat")
    if not shapely.equals_exact(a.geometry, b.geometry, degrees).all():
        different.append("geometry")
    return different


@pytest.fixture(name="differences", scope="session")
def differences_fixture() -> Callable[..., list[str]]:
    return differences
