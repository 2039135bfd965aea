"""Trips from GeoJSON: features whose properties list their segments."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from suffuse.console import because, shown
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.trips.parse import parse_times
from suffuse.trajectory.trips.raw import RawTrips


def _from_text(value: Any) -> Any:
    """Some tools write a list as the text of a JSON array."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _unicode(text: str) -> str:
    """JSON can name halves of characters, which no file can be written with."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half a character (a surrogate)")
    return text


Text = Annotated[str, AfterValidator(_unicode)]


class TripProperties(BaseModel):
    """What a feature says of its trip; geometry and all other properties are of no account."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    segments: Annotated[list[int], BeforeValidator(_from_text)]
    times: Annotated[list[Text] | None, BeforeValidator(_from_text)] = None
    trip_id: Text | None = None
    depart: Text | None = None
    arrive: Text | None = None


def raw_from_geojson(path: Path) -> RawTrips:
    """The trips of a FeatureCollection, or of a single Feature.

    Raises:
        TripError: if the file is no JSON, or no collection of features.

    """
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise TripError(f"{path}: cannot be read as JSON: {because(error)}") from error
    if isinstance(data, dict) and data.get("type") == "Feature":
        data = {"features": [data]}
    features = data.get("features") if isinstance(data, dict) else None
    if not isinstance(features, list):
        raise TripError(f"{path}: is no GeoJSON FeatureCollection")

    nothing = TripProperties(segments=[])
    broken: dict[int, str] = {}
    trips: list[TripProperties] = []
    for row, feature in enumerate(features):
        try:
            said = feature.get("properties") if isinstance(feature, dict) else None
            if not isinstance(said, dict) or "segments" not in said:
                raise ValueError("has no property segments")
            trip = TripProperties.model_validate(said)
            if trip.times is not None and len(trip.times) != len(trip.segments):
                raise ValueError(f"has {len(trip.segments)} segments, but {len(trip.times)} times")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            broken[row], trip = (
                f"property {where} is {shown(first['input'], 40)}: {first['msg'].removeprefix('Value error, ')}",
                nothing,
            )
        except ValueError as error:
            broken[row], trip = str(error), nothing
        trips.append(trip)

    segments = [trip.segments for trip in trips]
    start = np.concatenate([[0], np.cumsum([len(listed) for listed in segments])]).astype(np.int64)
    flat = [segment for listed in segments for segment in listed]
    times = [time for trip in trips for time in (trip.times or [""] * len(trip.segments))]
    time = parse_times(pa.array(times, pa.large_string()))
    ends = {name: _end_times(trips, name, broken) for name in ("depart", "arrive")}
    owner = np.repeat(np.arange(len(trips)), np.diff(start))
    for at in np.flatnonzero(np.isnan(time)).tolist():
        if times[at] or trips[owner[at]].times is not None:
            broken.setdefault(int(owner[at]), f"time {shown(times[at])} is not ISO 8601")
    for at, segment in enumerate(flat):
        if not -(2**63) <= segment < 2**63:
            broken.setdefault(int(owner[at]), f"segment {shown(segment)} is no 64-bit number")
            flat[at] = 0
    names = [str(row) if trip.trip_id is None else trip.trip_id for row, trip in enumerate(trips)]
    return RawTrips(
        source=str(path),
        unit="feature",
        record=np.arange(1, len(trips) + 1),
        segment_id=np.array(flat, dtype=np.int64),
        time=time,
        depart=ends["depart"],
        arrive=ends["arrive"],
        trip_id=np.array(names, dtype=object),
        start=start,
        broken=broken,
    )


def _end_times(trips: list[TripProperties], name: str, broken: dict[int, str]) -> np.ndarray:
    texts = [getattr(trip, name) or "" for trip in trips]
    seconds = parse_times(pa.array(texts, pa.large_string()))
    for row in np.flatnonzero(np.isnan(seconds)).tolist():
        if texts[row]:
            broken.setdefault(row, f"{name} {shown(texts[row])} is not ISO 8601")
    return seconds
