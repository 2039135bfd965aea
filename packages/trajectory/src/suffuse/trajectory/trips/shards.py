"""Trips from a folder of shards, one after the other: what a shard is read with is forgotten before the next."""

from dataclasses import replace
from pathlib import Path

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.check import OnError, checked_trips
from suffuse.trajectory.trips.columnar import SHARDS, raw_from_parquet
from suffuse.trajectory.trips.raw import ReadReport
from suffuse.trajectory.trips.table import Trips, concatenate


def has_shards(path: Path) -> bool:
    """Whether a path is a folder as `generate --shard-size` fills it."""
    return path.is_dir() and any(path.glob(SHARDS))


def trips_from_shards(
    folder: Path, network: RoadNetwork, part: str | None, *, on_error: OnError, report: ReadReport
) -> Trips:
    """The trips of all shards, in order of their names; a trip_id may be in one of them only.

    Raises:
        TripError: naming shard, record and value; with "skip" if no shard has a trip that can be used.

    """
    tables, seen, unusable = list[Trips](), set[str](), list[TripError]()
    for file in sorted(folder.glob(SHARDS)):
        raw = raw_from_parquet(file, part)
        again = [row for row, name in enumerate(raw.trip_id.tolist()) if name in seen]
        raw = replace(raw, broken=dict.fromkeys(again, "has the trip_id of one in an earlier shard") | raw.broken)
        try:
            tables.append(checked_trips(raw, network, on_error=on_error, report=report))
        except TripError as error:
            if on_error == "fail":
                raise
            unusable.append(error)
            report.records += len(raw.record)
            report.problems.append(str(error))
            continue
        seen.update(tables[-1].trip_id.tolist())
    if not tables:
        raise unusable[0]
    return concatenate(tables)
