"""Trips over a road network, held as flat arrays so that a million of them fit in memory.

Dimensions: k trips, m segments of all trips together.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Trips:
    """k trips as a ragged table: trip i covers rows `start[i]:start[i + 1]` of `segment` and `enter_s`."""

    start: Int[ndarray, " bounds"]
    """k + 1 offsets into the segments."""
    segment: Int[ndarray, " m"]
    """Segment *index* in the road network."""
    enter_s: Float[ndarray, " m"]
    """Seconds from departure to the entry of each segment; 0 for the first."""
    duration_s: Float[ndarray, " k"]
    """Seconds from departure to the end of the last segment."""
    depart: ndarray
    """k departure times, datetime64[s], UTC."""
    trip_id: ndarray
    """k strings."""

    def __post_init__(self) -> None:
        assert len(self.start) == len(self.depart) + 1 == len(self.trip_id) + 1 == len(self.duration_s) + 1
        assert self.start[0] == 0
        assert self.start[-1] == len(self.segment) == len(self.enter_s)

    def __len__(self) -> int:
        return len(self.depart)

    def segments_of(self, trip: int) -> Int[ndarray, " l"]:
        """Segment indices of one trip, in order of travel."""
        return self.segment[self.start[trip] : self.start[trip + 1]]

    @property
    def lengths(self) -> Int[ndarray, " k"]:
        """Number of segments of each trip."""
        return np.diff(self.start)

    @property
    def origin(self) -> Int[ndarray, " k"]:
        """First segment index of each trip."""
        return self.segment[self.start[:-1]]

    @property
    def destination(self) -> Int[ndarray, " k"]:
        """Last segment index of each trip."""
        return self.segment[self.start[1:] - 1]

    @property
    def hour(self) -> Float[ndarray, " k"]:
        """Departure as hours since midnight UTC, [0, 24)."""
        seconds = (self.depart - self.depart.astype("datetime64[D]")).astype("timedelta64[s]").astype(np.float64)
        return seconds / 3600

    def take(self, rows: Int[ndarray, " r"]) -> "Trips":
        """The trips of the given rows, in that order."""
        lengths = self.lengths[rows]
        start = np.concatenate([[0], np.cumsum(lengths)])
        flat = np.arange(start[-1]) + np.repeat(self.start[:-1][rows] - start[:-1], lengths)
        return Trips(
            start=start,
            segment=self.segment[flat],
            enter_s=self.enter_s[flat],
            duration_s=self.duration_s[rows],
            depart=self.depart[rows],
            trip_id=self.trip_id[rows],
        )

    @staticmethod
    def from_lists(
        segments: list[list[int]],
        *,
        enter_s: list[list[float]] | None = None,
        duration_s: list[float] | None = None,
        depart: ndarray | None = None,
        trip_id: list[str] | None = None,
    ) -> "Trips":
        """Build from one list of segment indices a trip; times default to zero, departure to 1970-01-01T00:00 UTC."""
        count = len(segments)
        start = np.concatenate([[0], np.cumsum([len(trip) for trip in segments], dtype=np.int64)]).astype(np.int64)
        flat = np.array([s for trip in segments for s in trip], dtype=np.int64)
        times = np.zeros(len(flat)) if enter_s is None else np.array([t for trip in enter_s for t in trip], dtype=float)
        return Trips(
            start=start,
            segment=flat,
            enter_s=times,
            duration_s=np.zeros(count) if duration_s is None else np.array(duration_s, dtype=np.float64),
            depart=np.zeros(count, dtype="datetime64[s]") if depart is None else depart.astype("datetime64[s]"),
            trip_id=np.array([str(i) for i in range(count)] if trip_id is None else trip_id, dtype=object),
        )


def concatenate(parts: list[Trips]) -> Trips:
    """All trips of several tables over one network, in order."""
    before = np.cumsum([0, *(len(part.segment) for part in parts)])
    starts = [part.start[:-1] + offset for part, offset in zip(parts, before[:-1], strict=True)]
    total = before[-1]
    return Trips(
        start=np.concatenate([*starts, [total]]).astype(np.int64),
        segment=np.concatenate([part.segment for part in parts]),
        enter_s=np.concatenate([part.enter_s for part in parts]),
        duration_s=np.concatenate([part.duration_s for part in parts]),
        depart=np.concatenate([part.depart for part in parts]),
        trip_id=np.concatenate([part.trip_id for part in parts]),
    )
