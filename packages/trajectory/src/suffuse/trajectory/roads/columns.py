"""Under what names tables of roads keep the same things, and how to read a column whatever its spelling."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.console import shown
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.attributes import as_list, is_true, lane_count, speed_in_kmh

ALIASES: dict[str, tuple[str, ...]] = {
    "node": ("node_id", "node", "osmid", "id"),
    "lon": ("lon", "longitude", "lng", "x"),
    "lat": ("lat", "latitude", "y"),
    "segment": ("segment", "segment_id", "edge_id", "link_id", "geo_id"),
    "from_node": ("from_node", "u", "from", "source", "a_node", "node_start"),
    "to_node": ("to_node", "v", "to", "target", "b_node", "node_end"),
    "length_m": ("length_m", "length", "distance"),
    "highway": ("highway", "road_class", "fclass", "link_type", "class", "type"),
    "is_link": ("is_link",),
    "speed_kmh": ("speed_kmh", "speed_kph", "car_speed_kmh", "maxspeed", "speed"),
    "lanes": ("lanes",),
    "oneway": ("oneway", "one_way"),
    "source_ids": ("source_ids", "osmid", "osm_id", "osm_way_id"),
    "wkt": ("wkt", "geometry", "geom"),
}
"""Column names that are understood, by what they hold; the first one present counts, capitals or not."""


def find_column(frame: pd.DataFrame, what: str) -> pd.Series | None:
    """The first column present of those that may hold `what`; None if there is none."""
    present = {str(name).lower(): name for name in frame.columns}
    for alias in ALIASES[what]:
        if alias in present:
            found: pd.Series = frame[present[alias]]
            return found
    return None


def need_column(frame: pd.DataFrame, what: str, source: str) -> pd.Series:
    """As `find_column`, but a missing column is a `RoadNetworkError` that lists the names it could have."""
    found = find_column(frame, what)
    if found is None:
        raise RoadNetworkError(
            f"{source}: has no column {ALIASES[what][0]!r} (or {', '.join(ALIASES[what][1:]) or '-'})"
        )
    return found


def whole_numbers(column: pd.Series, source: str) -> Int[ndarray, " k"]:
    """A column of ids as int64; anything else than whole numbers is a `RoadNetworkError` with the row's number."""
    values = pd.to_numeric(column, errors="coerce")
    as_float = values.to_numpy(dtype=np.float64, na_value=np.nan)
    whole = np.isfinite(as_float) & (as_float == np.round(as_float)) & (np.abs(as_float) < 2.0**63)
    if not whole.all():
        row = int(np.flatnonzero(~whole)[0])
        raise RoadNetworkError(
            f"{source}: column {column.name!r}, record {row + 1}: {shown(str(column.iloc[row]))} is no whole number"
        )
    return values.to_numpy(dtype=np.int64)


def numbers(column: pd.Series, source: str) -> Float[ndarray, " k"]:
    """A column of numbers as float64, NaN where empty; text that is no number is a `RoadNetworkError`."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.isnan(values) & column.notna().to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        if str(column.iloc[row]).strip().lower() != "nan":
            raise RoadNetworkError(
                f"{source}: column {column.name!r}, record {row + 1}: {shown(str(column.iloc[row]))} is no number"
            )
    return values


def optional_numbers(frame: pd.DataFrame, what: str, source: str) -> Float[ndarray, " k"] | None:
    """`numbers` of the column that holds `what`, None if there is none."""
    column = find_column(frame, what)
    return None if column is None else numbers(column, source)


def speeds(frame: pd.DataFrame) -> Float[ndarray, " k"]:
    """Speeds in km/h, NaN where unknown."""
    return _each(find_column(frame, "speed_kmh"), speed_in_kmh, len(frame))


def lane_counts(frame: pd.DataFrame) -> Float[ndarray, " k"]:
    """Lanes as the table has them, NaN where unknown."""
    return _each(find_column(frame, "lanes"), lane_count, len(frame))


def flags(frame: pd.DataFrame, what: str) -> ndarray | None:
    """A yes-or-no column as booleans, None if there is none."""
    column = find_column(frame, what)
    return None if column is None else np.array([is_true(value) for value in column], dtype=bool)


def texts(frame: pd.DataFrame, what: str) -> ndarray | None:
    """A column of names, several joined by a space (as `write_roads` has them), None if there is none."""
    column = find_column(frame, what)
    if column is None:
        return None
    if column.name == what:
        return np.array([value if isinstance(value, str) else "" for value in column], dtype=object)
    return np.array([" ".join(_plain(part) for part in as_list(value)) for value in column], dtype=object)


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _each(column: pd.Series | None, read: Callable[[Any], float], rows: int) -> Float[ndarray, " k"]:
    if column is None:
        return np.full(rows, np.nan)
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([read(value) for value in column], dtype=np.float64)
