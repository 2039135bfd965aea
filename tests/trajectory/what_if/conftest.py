"""A fork: from the west one comes to the east by the north or by the south, equally far."""

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.network import RoadNetwork

PLACES = [(0, 0), (500, 0), (1000, 400), (1000, -400), (1500, 0), (2000, 0), (2500, 0)]
LINKS = [(0, 1), (1, 2), (2, 4), (1, 3), (3, 4), (4, 5), (5, 6)]


@pytest.fixture(scope="session")
def fork() -> RoadNetwork:
    """Segments 0 in, 1 and 2 north, 3 and 4 south, 5 out, 6 to the end; 36 km/h is 10 m/s; ids from 100."""
    metres = np.array(PLACES, dtype=float)
    lonlat = metres / [111_320 * np.cos(np.radians(29.9)), 110_850] + [-71.25, -29.9]
    tail, head = np.array(LINKS).T
    return RoadNetwork(
        name="fork",
        segment_ids=np.arange(len(LINKS)) + 100,
        from_node=tail,
        to_node=head,
        node_ids=np.arange(len(PLACES)),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[tail], lonlat[head]], axis=1)),
        length_m=np.full(len(LINKS), 600.0),
        highway=np.full(len(LINKS), "residential", dtype=object),
        speed_kmh=np.full(len(LINKS), 36.0),
        lanes=np.ones(len(LINKS)),
    )
