"""Trips for MovingPandas (extra `moving`)."""

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import WGS84, RoadNetwork
from suffuse.trajectory.trips.frame import corner_times, trip_points
from suffuse.trajectory.trips.table import Trips


def to_movingpandas(trips: Trips, network: RoadNetwork) -> Any:
    """A MovingPandas `TrajectoryCollection` in WGS 84: a trajectory a trip, a point with a time at every corner.

    Columns: `trip_id`, `segment` (id of the segment the point is on). Times are UTC to the millisecond and, as
    MovingPandas has them, without a zone. Corners passed in the same millisecond are one point, the last of them.

    Raises:
        TripError: if MovingPandas is not installed, or a trip has no times.

    """
    try:
        import movingpandas
    except ImportError as error:
        raise TripError("MovingPandas is not installed: pip install 'suffuse-trajectory[moving]'") from error
    if (untimed := np.flatnonzero(trips.duration_s <= 0)).size:
        raise TripError(
            f"trip {trips.trip_id[untimed[0]]!r} has no times, so nothing moves "
            f"({len(untimed)} of {len(trips)} trips have none)"
        )
    points, owner, row, share = trip_points(trips, network)
    seconds = corner_times(trips, row, share)
    moment = trips.depart[owner].astype("datetime64[ms]") + np.rint(seconds * 1000).astype("timedelta64[ms]")
    frame = gpd.GeoDataFrame(
        {"trip_id": trips.trip_id[owner], "segment": network.segment_ids[trips.segment[row]]},
        geometry=np.asarray(shapely.points(points)),
        crs=WGS84,
        index=pd.DatetimeIndex(moment, name="t"),
    )
    last = np.ones(len(frame), dtype=bool)
    last[:-1] = (moment[1:] != moment[:-1]) | (owner[1:] != owner[:-1])
    return movingpandas.TrajectoryCollection(frame[last], traj_id_col="trip_id")
