"""Traces as the GeoLife data has them: a file a trajectory, `.plt`, six lines of preface."""

from pathlib import Path

import numpy as np
import pandas as pd

from suffuse.trajectory.matching.points import Points, one_trace, text_lines
from suffuse.trajectory.trips.parse import to_unix

PREFACE = 6
FIELDS = 7


def points_from_geolife(path: Path) -> Points:
    """One trace: lines of `latitude,longitude,0,altitude,days,date,time` after the preface; times are UTC.

    Lines with another number of fields, and positions or times that are none, are told in `lost` and `broken`.

    Raises:
        TripError: if the file cannot be read as text, or holds no fix.

    """
    rows, number, lost = text_lines(path, fields=FIELDS, skip=PREFACE, what="a GeoLife trajectory")
    latitude, longitude = (pd.to_numeric(pd.Series(column), errors="coerce") for column in (rows[:, 0], rows[:, 1]))
    said = pd.Series([f"{date}T{clock}" for date, clock in zip(rows[:, 5], rows[:, 6], strict=True)])
    time = to_unix(pd.to_datetime(said, format="%Y-%m-%dT%H:%M:%S", utc=True, errors="coerce"))
    lonlat = np.stack([longitude.to_numpy(np.float64), latitude.to_numpy(np.float64)], axis=-1)
    return one_trace(path, lonlat, time, number, lost)
