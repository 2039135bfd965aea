"""Trips from Parquet: a row a trip, with a list of segments.

Dimensions: k rows, m segments of all rows together.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.console import because
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.trips.raw import RawTrips

SEGMENTS = ("segments", "edges")

SHARDS = "part-*.parquet"
"""The files of a folder that `generate --shard-size` writes."""


def raw_from_parquet(path: Path, part: str | None) -> RawTrips:
    """The trips of a Parquet file as `write_trips` makes it, or of a map-matched corpus.

    Columns: `segments` or `edges` (list of ids); if there, `times` (list of timestamps) or `enter_s` (list of seconds
    from departure), `depart` (timestamp) or `t0` (Unix seconds), `arrive` or `t1`, `trip_id` or `trip`, and `split`, of
    which `part` takes the rows that carry its name.

    Raises:
        TripError: if the file is no Parquet, a column is missing or of the wrong type, or `part` is not in it.

    """
    try:
        names = pq.read_schema(path).names
        wanted = [*SEGMENTS, "times", "enter_s", "depart", "t0", "arrive", "t1", "trip_id", "trip", "split"]
        table = pq.read_table(path, columns=[name for name in wanted if name in names])
    except (OSError, pa.ArrowException) as error:
        raise TripError(f"{path}: cannot be read as Parquet: {because(error)}") from error
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    row = np.arange(len(table))
    if part is not None:
        columns, row = _only(part, columns, path)

    cells = next((columns[name] for name in SEGMENTS if name in columns), None)
    if cells is None:
        raise TripError(f"{path}: has no column segments or edges, but {', '.join(names)}")
    start, ids = _lists(cells, pa.int64(), path)
    count = len(row)
    depart = _moments(columns, "depart", "t0", count, path)
    time = np.full(len(ids), np.nan)
    broken: dict[int, str] = {}
    for name in ("times", "enter_s"):
        if name in columns:
            time, broken = _times(columns[name], name, start, depart, path)
            break
    named = columns.get("trip_id", columns.get("trip"))
    said = [None] * count if named is None else _texts(named, path)
    return RawTrips(
        source=str(path),
        unit="row",
        record=row + 1,
        segment_id=ids,
        time=time,
        depart=depart,
        arrive=_moments(columns, "arrive", "t1", count, path),
        trip_id=np.array([str(at) if text is None else text for at, text in zip(row, said, strict=True)], dtype=object),
        start=start,
        broken=broken,
    )


def _texts(column: pa.Array, path: Path) -> list[str | None]:
    """A column of names as text, None where there is none."""
    try:
        return column.cast(pa.string()).to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise TripError(f"{path}: a column of {column.type} holds what is no name: {because(error)}") from error


def _only(part: str, columns: dict[str, pa.Array], path: Path) -> tuple[dict[str, pa.Array], Int[ndarray, " k"]]:
    if "split" not in columns:
        raise TripError(f"{path}: has no column split, so there is no part {part!r} in it")
    names = _texts(columns["split"], path)
    mask = np.array([name == part for name in names], dtype=bool)
    if not mask.any():
        there = ", ".join(list(dict.fromkeys(str(name) for name in names))[:8])
        raise TripError(f"{path}: has no trips of part {part!r}, but of {there or 'none'}")
    kept = pa.array(mask)
    return {name: column.filter(kept) for name, column in columns.items()}, np.flatnonzero(mask)


def _lists(cells: pa.Array, kind: pa.DataType, path: Path) -> tuple[Int[ndarray, " bounds"], ndarray]:
    """Offsets and flat values of a list column; a missing list is an empty one."""
    if not (pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type)):
        raise TripError(f"{path}: a column of lists is needed, but there is one of {cells.type}")
    count = pc.list_value_length(cells).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(cells)
    try:
        values = flat.cast(kind).fill_null(-1) if pa.types.is_integer(kind) else _cast(flat, kind)
    except pa.ArrowException as error:
        raise TripError(f"{path}: a list of {cells.type} holds what is no {kind}: {because(error)}") from error
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return start, values.to_numpy(zero_copy_only=False)


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values as another type; nanoseconds are cut to microseconds, everything else must fit."""
    fine = pa.types.is_timestamp(values.type) and values.type.unit == "ns"
    return values.cast(kind, safe=not fine)


def _times(
    cells: pa.Array, name: str, start: Int[ndarray, " bounds"], depart: Float[ndarray, " k"], path: Path
) -> tuple[Float[ndarray, " m"], dict[int, str]]:
    """Unix seconds at the entry of each segment, and the rows with another number of times than of segments."""
    if name == "times":
        offsets, stamps = _lists(cells, pa.timestamp("us"), path)
        seconds = np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 1e6)
    else:
        offsets, seconds = _lists(cells, pa.float64(), path)
        seconds = seconds + np.repeat(np.nan_to_num(depart), np.diff(offsets))
    segments, there = np.diff(start), np.diff(offsets)
    fits = (there == segments) | (there == 0)
    broken = {row: f"has {segments[row]} segments, but {there[row]} times" for row in np.flatnonzero(~fits).tolist()}
    same = there == segments
    time = np.full(start[-1], np.nan)
    time[np.repeat(same, segments)] = seconds[np.repeat(same, there)]
    return time, broken


def _moments(columns: dict[str, pa.Array], stamp: str, unix: str, count: int, path: Path) -> Float[ndarray, " k"]:
    """A column of timestamps, or one of Unix seconds, as Unix seconds; NaN where neither is there."""
    if stamp in columns:
        if not pa.types.is_timestamp(columns[stamp].type):
            raise TripError(f"{path}: column {stamp} must hold timestamps, but holds {columns[stamp].type}")
        try:
            micro = _cast(columns[stamp], pa.timestamp("us")).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            raise TripError(f"{path}: column {stamp} holds what is no time: {because(error)}") from error
        return np.where(np.isnat(micro), np.nan, micro.astype(np.int64) / 1e6)
    if unix in columns:
        try:
            return columns[unix].cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            raise TripError(f"{path}: column {unix} holds what is no Unix time: {because(error)}") from error
    return np.full(count, np.nan)
