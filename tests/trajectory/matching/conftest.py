"""A town with known answers, trips in it, and what a recorder would have kept of them."""

import numpy as np
import pytest
import shapely

from suffuse.trajectory.demand import DemandConfig, simulate
from suffuse.trajectory.matching import Points
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.frame import trip_points

SIDE, STEP_M = 10, 150.0


@pytest.fixture(scope="session")
def town():
    """Ten by ten crossings of two-way streets; segment ids count from 100."""
    east, north = (axis.ravel() * STEP_M for axis in np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"))
    lonlat = np.stack([-71.25 + east / (111_320 * np.cos(np.radians(29.9))), -29.9 + north / 110_850], axis=-1)
    one_way = [
        (here, here + step)
        for here in range(SIDE * SIDE)
        for step in (SIDE, 1)
        if (here + SIDE < SIDE * SIDE if step == SIDE else here % SIDE + 1 < SIDE)
    ]
    ends = np.array([pair for a, b in one_way for pair in ((a, b), (b, a))])
    return RoadNetwork(
        name="grid",
        segment_ids=np.arange(len(ends)) + 100,
        from_node=ends[:, 0],
        to_node=ends[:, 1],
        node_ids=np.arange(SIDE * SIDE),
        node_lonlat=lonlat,
        geometry=shapely.linestrings(np.stack([lonlat[ends[:, 0]], lonlat[ends[:, 1]]], axis=1)),
        length_m=np.full(len(ends), STEP_M),
        highway=np.full(len(ends), "residential", dtype=object),
        speed_kmh=np.full(len(ends), 30.0),
        lanes=np.ones(len(ends)),
    )


@pytest.fixture(scope="session")
def driven(town):
    """Forty trips."""
    return simulate(town, DemandConfig(min_distance_m=600.0), 40, seed=5)


def fixes_along(trips, network, every_s, sigma_m, seed=0):
    """Positions every so many seconds, with normal errors."""
    generator = np.random.default_rng(seed)
    corner, owner, row, share = trip_points(trips, network)
    leave = np.append(trips.enter_s[1:], 0.0)
    leave[trips.start[1:] - 1] = trips.duration_s
    at = trips.enter_s[row] + share * (leave - trips.enter_s)[row]
    lonlat, time, lengths = [], [], []
    for trip in range(len(trips)):
        mine = owner == trip
        when = np.append(np.arange(0, trips.duration_s[trip], every_s), trips.duration_s[trip])
        lonlat.append(np.stack([np.interp(when, at[mine], corner[mine, axis]) for axis in (0, 1)], axis=-1))
        time.append(when + trips.depart[trip].astype(np.int64))
        lengths.append(len(when))
    degrees = sigma_m / 111_000 / np.array([np.cos(np.radians(29.9)), 1.0])
    flat = np.concatenate(lonlat)
    return Points.from_arrays(
        flat + generator.normal(0, 1, flat.shape) * degrees,
        np.repeat(trips.trip_id, lengths),
        np.concatenate(time),
        source="recorder",
    )


@pytest.fixture(scope="session")
def recorder():
    return fixes_along


@pytest.fixture(scope="session")
def trace():
    """A single trace named t."""

    def make(lonlat, time=None):
        when = None if time is None else np.asarray(time, dtype=float)
        return Points.from_arrays(np.asarray(lonlat, dtype=float), np.full(len(lonlat), "t"), when, source="recorder")

    return make
