"""Trips from CSV: one row a trip (HOSER's columns or plain ones), or one row a segment.

Dimensions: k records, m segments or rows.
"""

import csv
import gzip
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.console import because, shown
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.trips.parse import parse_ids, parse_times, split_cells
from suffuse.trajectory.trips.raw import RawTrips

LISTS = ("rid_list", "segments", "edges")
TIMES = ("time_list", "times")
LATITUDES = ("lat", "latitude", "y")
LONGITUDES = ("lon", "lng", "long", "longitude", "x")
LAYOUTS = (
    "rid_list[, time_list], or segments[, times][, depart], or trip_id, segment[, time], or lat, lon[, time][, trip_id]"
)

BLOCK_BYTES = 64 * 2**20
"""No row of a file may be longer than this."""


class Table:
    """A CSV file as columns of text, with the line each row came from and the lines that are no rows."""

    def __init__(self, path: Path) -> None:
        """Read it; raises TripError if it is empty, no UTF-8, or no CSV at all."""
        self.path = path
        self.lost: dict[int, str] = {}
        names = self._header()
        skipped: list[int] = []

        def invalid(row: pa_csv.InvalidRow) -> str:
            skipped.append(row.number)
            if row.text.strip():
                self.lost[row.number] = (
                    f"has {row.actual_columns} fields, but the first line has {row.expected_columns}"
                )
            return "skip"

        try:
            table = pa_csv.read_csv(
                str(path),
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(
                    newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=invalid
                ),
                convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string())),
            )
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            raise TripError(f"{path}: cannot be read as CSV: {because(error)}") from error
        rows = table.num_rows
        blank = np.ones(rows, dtype=bool)
        for column in table.columns:
            blank &= pc.equal(column, "").to_numpy()
        self._table = table.filter(pa.array(~blank)) if blank.any() else table
        self._column_of = {name.strip().lower().lstrip("\ufeff"): position for position, name in enumerate(names)}
        lines = np.arange(2, rows + len(skipped) + 2)
        self.line: Int[ndarray, " m"] = lines[~np.isin(lines, skipped)][~blank]

    def _header(self) -> list[str]:
        try:
            opened = gzip.open if self.path.suffix == ".gz" else open
            with opened(self.path, "rt", encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file), [])
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise TripError(f"{self.path}: cannot be read as CSV: {because(error)}") from error
        if not names:
            raise TripError(f"{self.path}: is empty")
        if len({name.strip().lower() for name in names}) < len(names):
            raise TripError(f"{self.path}: two columns have the same name: {', '.join(names)}")
        return names

    def __len__(self) -> int:
        return len(self.line)

    @property
    def hint(self) -> str:
        """What may be wrong with a table of which no column is known."""
        names = list(self._column_of)
        return " (parted by semicolons instead of commas)" if len(names) == 1 and ";" in names[0] else ""

    def find(self, *names: str) -> str | None:
        """The first of the names that is a column, whatever its case."""
        return next((name for name in names if name in self._column_of), None)

    def text(self, name: str) -> pa.Array:
        """A column as text."""
        column = self._table.column(self._column_of[name])
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)

    def strings(self, name: str) -> ndarray:
        """A column as an array of stripped strings."""
        return np.array([value.strip() for value in self.text(name).to_pylist()], dtype=object)

    def numbers(self, name: str) -> Float[ndarray, " m"]:
        """A column as numbers, NaN where it holds none."""
        return pd.to_numeric(self.text(name).to_pandas(), errors="coerce").to_numpy(dtype=np.float64)

    def times(self, name: str | None) -> tuple[Float[ndarray, " m"], ndarray]:
        """A column of times in Unix seconds (NaN where empty or absent), and where there is text that is no time."""
        if name is None:
            return np.full(len(self), np.nan), np.zeros(len(self), dtype=bool)
        seconds = parse_times(self.text(name))
        return seconds, np.isnan(seconds) & (self.strings(name) != "")


def raw_from_table(table: Table) -> RawTrips:
    """The trips of a CSV file with one row a trip or one row a segment."""
    cells = table.find(*LISTS)
    if cells is not None:
        return _one_row_a_trip(table, cells)
    if table.find("segment") and table.find("trip_id"):
        return _one_row_a_segment(table)
    raise TripError(f"{table.path}: its columns are none of those trips are read from{table.hint}: {LAYOUTS}")


def _one_row_a_trip(table: Table, cells: str) -> RawTrips:
    count, tokens = split_cells(table.text(cells))
    segment_id, bad_id = parse_ids(tokens)
    owner = np.repeat(np.arange(len(table)), count)
    broken: dict[int, str] = {}
    for at in np.flatnonzero(bad_id).tolist():
        broken.setdefault(int(owner[at]), f"segment {shown(tokens[at].as_py())} is not a whole number")

    time = np.full(len(segment_id), np.nan)
    if (times := table.find(*TIMES)) is not None:
        time_count, time_tokens = split_cells(table.text(times))
        for row in np.flatnonzero((time_count > 0) & (time_count != count)).tolist():
            broken.setdefault(row, f"has {count[row]} segments, but {time_count[row]} times")
        seconds = parse_times(time_tokens)
        time_owner = np.repeat(np.arange(len(table)), time_count)
        for at in np.flatnonzero(np.isnan(seconds)).tolist():
            broken.setdefault(int(time_owner[at]), f"time {shown(time_tokens[at].as_py())} is not ISO 8601")
        matching = time_count == count
        time[matching[owner]] = seconds[matching[time_owner]]

    ends = {}
    for name in ("depart", "arrive"):
        ends[name], bad = table.times(table.find(name))
        for row in np.flatnonzero(bad).tolist():
            broken.setdefault(row, f"{name} {shown(table.text(name)[row].as_py())} is not ISO 8601")
    named = table.find("trip_id", "trip")
    return RawTrips(
        source=str(table.path),
        unit="line",
        record=table.line,
        segment_id=segment_id,
        time=time,
        depart=ends["depart"],
        arrive=ends["arrive"],
        trip_id=table.strings(named) if named else np.arange(len(table)).astype(str).astype(object),
        start=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        broken=broken,
        lost=table.lost,
    )


def _one_row_a_segment(table: Table) -> RawTrips:
    """Rows of one trip need not be together, but are in order of travel; a trip is known by its first line."""
    trip, names = pd.factorize(table.strings("trip_id"))
    order = np.argsort(trip, kind="stable")
    start = np.searchsorted(trip[order], np.arange(len(names) + 1))
    segment_id, bad_id = parse_ids(pc.utf8_trim_whitespace(table.text("segment")))
    time, bad_time = table.times(table.find("time"))
    broken: dict[int, str] = {}
    for what, bad, kind in (("segment", bad_id, "a whole number"), ("time", bad_time, "ISO 8601")):
        for row in np.flatnonzero(bad).tolist():
            text = table.text(what)[row].as_py()
            broken.setdefault(int(trip[row]), f"{what} {shown(text)} in line {table.line[row]} is not {kind}")
    nothing = np.full(len(names), np.nan)
    return RawTrips(
        source=str(table.path),
        unit="line",
        record=table.line[order[start[:-1]]],
        segment_id=segment_id[order],
        time=time[order],
        depart=nothing,
        arrive=nothing,
        trip_id=np.asarray(names, dtype=object),
        start=start.astype(np.int64),
        broken=broken,
        lost=table.lost,
    )
