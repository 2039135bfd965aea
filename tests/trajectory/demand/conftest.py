"""A town with known answers: a square grid of two-way streets, every seventh of them a main road."""

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.network import RoadNetwork

SIDE = 15
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
def grid() -> RoadNetwork:
    return square_grid()


@pytest.fixture(scope="session")
def make_square():
    return square_grid
