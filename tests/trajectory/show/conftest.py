"""A crossing with known answers: four arms of 500 m, the east-west ones two-way, the north-south ones one-way north."""

import numpy as np
import pytest
import shapely

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.show.scene import Scene, make_scene
from suffuse.trajectory.trips.table import Trips

NODES = {"centre": (0, 0), "west": (-500, 0), "east": (500, 0), "south": (0, -500), "north": (0, 500)}
SEGMENTS = [
    ("west", "centre", "primary"),
    ("centre", "east", "primary"),
    ("east", "centre", "primary"),
    ("centre", "west", "primary"),
    ("south", "centre", "secondary"),
    ("centre", "north", "secondary"),
]
WEST_IN, EAST_OUT, EAST_IN, WEST_OUT, SOUTH_IN, NORTH_OUT = range(6)


def crossing(**changes: object) -> RoadNetwork:
    names = list(NODES)
    metres = np.array(list(NODES.values()), dtype=float)
    lonlat = metres / [111_320 * np.cos(np.radians(29.9)), 110_850] + [-71.25, -29.9]
    tail, head = ([names.index(segment[end]) for segment in SEGMENTS] for end in (0, 1))
    values = {
        "name": "crossing",
        "segment_ids": np.arange(len(SEGMENTS)) + 100,
        "from_node": np.array(tail),
        "to_node": np.array(head),
        "node_ids": np.arange(len(names)),
        "node_lonlat": lonlat,
        "geometry": shapely.linestrings(np.stack([lonlat[tail], lonlat[head]], axis=1)),
        "length_m": np.full(len(SEGMENTS), 500.0),
        "highway": np.array([kind for _, _, kind in SEGMENTS], dtype=object),
        "speed_kmh": np.full(len(SEGMENTS), 50.0),
        "lanes": np.ones(len(SEGMENTS)),
        "attribution": "(c) OpenStreetMap contributors, ODbL 1.0",
    }
    return RoadNetwork(**{**values, **changes})


def crossing_trips() -> Trips:
    """Four trips: west to east twice, east to west, south to east."""
    return Trips.from_lists(
        [[WEST_IN, EAST_OUT], [WEST_IN, EAST_OUT], [EAST_IN, WEST_OUT], [SOUTH_IN, EAST_OUT]],
        enter_s=[[0.0, 40.0], [0.0, 50.0], [0.0, 36.0], [0.0, 100.0]],
        duration_s=[80.0, 90.0, 72.0, 150.0],
        depart=np.array(
            ["2024-03-04T08:00:00", "2024-03-05T08:59:59", "2024-03-04T23:59:30", "2024-03-04T00:00:00"]
        ).astype("datetime64[s]"),
        trip_id=["first", 'a "quoted" <b>one</b>', "</script><script>alert(1)</script>", "ñandú {{data}}"],
    )


@pytest.fixture(scope="session")
def network() -> RoadNetwork:
    return crossing()


@pytest.fixture(scope="session")
def make_network():
    return crossing


@pytest.fixture(scope="session")
def trips() -> Trips:
    return crossing_trips()


@pytest.fixture(scope="session")
def bare_trips(trips: Trips) -> Trips:
    """The same routes without times."""
    return Trips.from_lists([trips.segments_of(row).tolist() for row in range(len(trips))])


@pytest.fixture(scope="session")
def scene(trips: Trips, network: RoadNetwork) -> Scene:
    return make_scene(trips, network, title=None, note=None, singles=8)
