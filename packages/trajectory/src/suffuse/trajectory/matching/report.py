"""What became of traces that were matched: counts, a sentence, and every trace with its reason."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from suffuse.trajectory.matching.trace import KINDS, Kind


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A trace, or a place in one, that could not be matched."""

    record: int
    """Number of the trace in its file, as a person would count it."""
    trip_id: str
    kind: Kind
    sentence: str
    fix: int | None = None
    """Number of the fix in the trace, from 1."""
    lonlat: tuple[float, float] | None = None


@dataclass(kw_only=True)
class MatchReport:
    """Filled by `match`."""

    source: str
    traces: int = 0
    fixes: int = 0
    whole: int = 0
    """Traces of which every fix lies on its trips."""
    cut: int = 0
    """Traces of which only parts are matched."""
    trips: int = 0
    strays: int = 0
    """Fixes of matched traces that were left out because no road is near."""
    interval_s: float | None = None
    """Median time between fixes."""
    off_road_m: tuple[float, float] | None = None
    """Median and 90th percentile of the distance from a fix to its segment."""
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def lost(self) -> int:
        """Traces of which nothing is matched."""
        return self.traces - self.whole - self.cut

    @property
    def kinds(self) -> dict[Kind, int]:
        """How many problems there are of each kind, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def sentence(self) -> str:
        """What a person wants to know first."""
        said = f"{self.whole:,} of {self.traces:,} traces matched whole"
        if self.cut:
            said += f", {self.cut:,} in parts"
        if self.lost:
            said += f", {self.lost:,} not at all"
        if self.problems:
            said += ": " + ", ".join(f"{count:,} {KINDS[kind]}" for kind, count in self.kinds.items())
        return said

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "source": self.source,
            "summary": self.sentence(),
            "traces": self.traces,
            "fixes": self.fixes,
            "matched_whole": self.whole,
            "matched_in_parts": self.cut,
            "not_matched": self.lost,
            "trips": self.trips,
            "fixes_left_out": self.strays,
            "median_interval_s": self.interval_s,
            "fix_to_road_m": None
            if self.off_road_m is None
            else dict(zip(("median", "p90"), self.off_road_m, strict=True)),
            "seconds": round(self.seconds, 3),
            "problems_by_kind": self.kinds,
            "problems": [
                {
                    "record": problem.record,
                    "trip_id": problem.trip_id,
                    "kind": problem.kind,
                    "why": problem.sentence,
                    "fix": problem.fix,
                    "lon": None if problem.lonlat is None else round(problem.lonlat[0], 6),
                    "lat": None if problem.lonlat is None else round(problem.lonlat[1], 6),
                }
                for problem in self.problems
            ],
        }


def quantiles(values: list[ndarray]) -> tuple[float, float] | None:
    """Median and 90th percentile of what several arrays hold, to the decimetre."""
    if not values:
        return None
    low, high = np.quantile(np.concatenate(values), [0.5, 0.9]).round(1).tolist()
    return low, high
