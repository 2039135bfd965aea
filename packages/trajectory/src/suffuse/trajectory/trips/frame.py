"""Trips as tables and lines that GIS tools understand.

Dimensions: k trips, m segments of all trips together.
"""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.roads.network import WGS84, RoadNetwork
from suffuse.trajectory.trips.table import Trips


def to_geodataframe(trips: Trips, network: RoadNetwork) -> gpd.GeoDataFrame:
    """One row a trip, its way as a LineString in WGS 84.

    Columns: trip_id; origin, destination (segment ids); depart, arrive (UTC); length_m, duration_s; segments (ids)
    and times (UTC, at the entry of each segment), arrays; geometry.
    """
    cuts = trips.start[1:-1]
    depart, arrive = depart_and_arrive(trips)
    frame = gpd.GeoDataFrame(
        {
            "trip_id": trips.trip_id,
            "origin": network.segment_ids[trips.origin],
            "destination": network.segment_ids[trips.destination],
            "depart": pd.DatetimeIndex(depart).tz_localize("UTC"),
            "arrive": pd.DatetimeIndex(arrive).tz_localize("UTC"),
            "length_m": np.bincount(_owner(trips), network.length_m[trips.segment], len(trips)),
            "duration_s": trips.duration_s,
            "segments": pd.Series(np.split(network.segment_ids[trips.segment], cuts)[: len(trips)], dtype=object),
            "times": pd.Series(np.split(entry_times(trips).astype("datetime64[ms]"), cuts)[: len(trips)], dtype=object),
        },
        geometry=trip_lines(trips, network),
        crs=WGS84,
    )
    frame.attrs = {"suffuse": {"name": network.name, "attribution": network.attribution}}
    return frame


def trip_lines(trips: Trips, network: RoadNetwork) -> ndarray:
    """k shapely LineStrings in WGS 84."""
    points, owner = trip_points(trips, network)[:2]
    if not len(trips):
        return np.empty(0, dtype=object)
    return np.asarray(shapely.linestrings(points, indices=owner), dtype=object)


def trip_points(
    trips: Trips, network: RoadNetwork
) -> tuple[Float[ndarray, "p 2"], Int[ndarray, " p"], Int[ndarray, " p"], Float[ndarray, " p"]]:
    """The p corners of all trips: lon/lat, row of the trip, row of the segment, share of the segment behind (0 to 1).

    Where one segment ends and the next begins at the same point, the point is there once.
    """
    coordinates, of_segment = shapely.get_coordinates(network.geometry, return_index=True)
    bounds = np.searchsorted(of_segment, np.arange(len(network) + 1))
    step = np.zeros(len(coordinates))
    step[1:] = np.linalg.norm(np.diff(network.to_metres(coordinates), axis=0), axis=1)
    step[bounds[:-1]] = 0
    run = np.cumsum(step) - np.cumsum(step)[bounds[of_segment]]
    share = run / np.maximum(run[bounds[of_segment + 1] - 1], 1e-9)

    count = np.diff(bounds)[trips.segment]
    first = np.concatenate([[0], np.cumsum(count)])
    flat = np.arange(first[-1]) + np.repeat(bounds[trips.segment] - first[:-1], count)
    row = np.repeat(np.arange(len(trips.segment)), count)
    owner = _owner(trips)[row]
    points = coordinates[flat]
    twice = np.zeros(len(points), dtype=bool)
    twice[1:] = (points[1:] == points[:-1]).all(axis=1) & (owner[1:] == owner[:-1]) & (row[1:] != row[:-1])
    return points[~twice], owner[~twice], row[~twice], share[flat][~twice]


def corner_times(trips: Trips, row: Int[ndarray, " p"], share: Float[ndarray, " p"]) -> Float[ndarray, " p"]:
    """Seconds from departure at which corners (of `trip_points`) are passed, at even speed along each segment."""
    leave = np.append(trips.enter_s[1:], 0.0)
    leave[trips.start[1:] - 1] = trips.duration_s
    return trips.enter_s[row] + share * (leave - trips.enter_s)[row]


def entry_times(trips: Trips) -> ndarray:
    """m times at the entry of each segment, datetime64[s], UTC, to the nearest second."""
    return trips.depart[_owner(trips)] + np.rint(trips.enter_s).astype(np.int64).astype("timedelta64[s]")


def depart_and_arrive(trips: Trips) -> tuple[ndarray, ndarray]:
    """k times of departure and of arrival, datetime64[s], UTC, to the nearest second."""
    return trips.depart, trips.depart + np.rint(trips.duration_s).astype(np.int64).astype("timedelta64[s]")


def _owner(trips: Trips) -> Int[ndarray, " m"]:
    return np.repeat(np.arange(len(trips)), trips.lengths)
