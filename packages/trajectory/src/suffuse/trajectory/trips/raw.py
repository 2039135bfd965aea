"""Trips as a file gives them, before anything is checked against a road network.

Dimensions: k records, m segments of all records together.
"""

from dataclasses import dataclass, field

from jaxtyping import Float, Int
from numpy import ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class RawTrips:
    """k records of one file; what a record does not say is NaN."""

    source: str
    """The file, as errors name it."""
    unit: str
    """What a record is called in that format: line, feature, row, track."""
    record: Int[ndarray, " k"]
    """Number of each record in the file, as a person would count it."""
    segment_id: Int[ndarray, " m"]
    time: Float[ndarray, " m"]
    """Unix seconds at the entry of each segment."""
    depart: Float[ndarray, " k"]
    """Unix seconds; of no account where a record has `time`."""
    arrive: Float[ndarray, " k"]
    """Unix seconds at the end of the last segment."""
    trip_id: ndarray
    """k strings."""
    start: Int[ndarray, " bounds"]
    """k + 1 offsets into the segments."""
    broken: dict[int, str] = field(default_factory=dict)
    """What is wrong with records that could not be parsed, by row."""
    lost: dict[int, str] = field(default_factory=dict)
    """What is wrong with records that are no trip at all, by number in the file."""


@dataclass(kw_only=True)
class ReadReport:
    """What became of the records of a file; filled by the readers."""

    records: int = 0
    problems: list[str] = field(default_factory=list)
    """One sentence for each record that was left out."""
    untimed: int = 0
    """Trips that were read, but whose file gives no times for them: they have zeros."""
