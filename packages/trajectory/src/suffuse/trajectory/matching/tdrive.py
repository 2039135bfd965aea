"""Traces as the T-Drive data has them: a file a taxi, `.txt`, no header."""

from pathlib import Path

import numpy as np
import pandas as pd

from suffuse.trajectory.matching.points import Points, one_trace, text_lines
from suffuse.trajectory.trips.parse import to_unix

FIELDS = 4


def points_from_tdrive(path: Path) -> Points:
    """One trace, a week of a taxi: lines of `taxi,time,longitude,latitude`; times are taken as UTC.

    A week is many trips: `MatchConfig.gap_s` parts it where the taxi was silent. Lines that repeat the one before are
    left out, as T-Drive holds many.

    Raises:
        TripError: if the file cannot be read as text, or holds no fix.

    """
    rows, number, lost = text_lines(path, fields=FIELDS, skip=0, what="T-Drive")
    fresh = np.ones(len(rows), dtype=bool)
    fresh[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    rows, number = rows[fresh], number[fresh]
    longitude, latitude = (pd.to_numeric(pd.Series(column), errors="coerce") for column in (rows[:, 2], rows[:, 3]))
    time = to_unix(pd.to_datetime(pd.Series(rows[:, 1]), format="%Y-%m-%d %H:%M:%S", utc=True, errors="coerce"))
    lonlat = np.stack([longitude.to_numpy(np.float64), latitude.to_numpy(np.float64)], axis=-1)
    return one_trace(path, lonlat, time, number, lost)
