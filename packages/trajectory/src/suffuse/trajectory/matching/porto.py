"""Traces as the taxi data of Porto has them (ECML/PKDD 15): a row a trip, a fix every 15 seconds."""

import json

import numpy as np

from suffuse.console import shown
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching.points import Points, on_earth
from suffuse.trajectory.trips.tabular import Table

INTERVAL_S = 15.0


def is_porto(table: Table) -> bool:
    """Whether a CSV file has the column that makes it one of Porto's."""
    return table.find("polyline") is not None


def points_from_porto(table: Table) -> Points:
    """The trips of `train.csv` or `test.csv`: `TRIP_ID`, `TIMESTAMP` (Unix seconds at the first fix), `POLYLINE`
    (a JSON list of [lon, lat]); a row whose `MISSING_DATA` is True has lost fixes, so its times are unknown.

    Raises:
        TripError: if there is no column `TIMESTAMP` or `TRIP_ID`.

    """
    for name in ("trip_id", "timestamp"):
        if table.find(name) is None:
            raise TripError(f"{table.path}: has a column POLYLINE as Porto's trips do, but no {name.upper()}")
    texts, names = table.text("polyline").to_pylist(), table.strings("trip_id")
    begin, bad = table.times("timestamp")
    missing = [False] * len(table)
    if table.find("missing_data"):
        missing = [text.lower() == "true" for text in table.strings("missing_data")]
    lines, broken = [], dict[int, str]()
    for row, text in enumerate(texts):
        line = _line(text)
        if line is None:
            broken[row] = f"POLYLINE {shown(text, 40)} is no JSON list of [lon, lat]"
        elif not on_earth(line).all():
            lon, lat = line[~on_earth(line)][0].tolist()
            broken[row] = f"position {lat}, {lon} is no latitude and longitude"
        elif bad[row]:
            broken[row] = f"TIMESTAMP {shown(table.text('timestamp')[row].as_py())} is no Unix time"
        lines.append(np.empty((0, 2)) if line is None else line)
    lengths = [len(line) for line in lines]
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    known = np.where(np.array(missing, dtype=bool), np.nan, begin)
    since = np.arange(start[-1]) - np.repeat(start[:-1], lengths)
    return Points(
        source=str(table.path),
        unit="line",
        record=table.line,
        lonlat=np.concatenate([np.empty((0, 2)), *lines]),
        time=np.repeat(known, lengths) + INTERVAL_S * since,
        trip_id=names,
        start=start,
        broken=broken,
        lost=table.lost,
    )


def _line(text: str) -> np.ndarray | None:
    try:
        line = np.array(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError, RecursionError):
        return None
    if line.size == 0:
        return np.empty((0, 2))
    return line if line.ndim == 2 and line.shape[1] == 2 else None
