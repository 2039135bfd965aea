"""One trace from fixes to trips, or the reason why not.

Dimensions: m fixes of one trace.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.matching.hmm import Matcher, Stretch
from suffuse.trajectory.matching.way import Part, Streets, parts_of, spaced
from suffuse.trajectory.roads.network import RoadNetwork

Kind = Literal["line", "position", "time", "one fix", "off road", "no way", "u-turn", "standing"]
"""What can be wrong with a trace."""

KINDS: dict[Kind, str] = {
    "line": "lines that are no fix",
    "position": "with a position that is none",
    "time": "with times missing or out of order",
    "one fix": "of fewer than two fixes",
    "off road": "too far from every road",
    "no way": "without a way from one fix to the next",
    "u-turn": "with a turn that the roads do not allow",
    "standing": "that stay on one spot",
}
"""What a report says of each."""


@dataclass(frozen=True)
class Trouble:
    """Why a trace has no trip, or where it is cut."""

    kind: Kind
    sentence: str
    fix: int = 0
    """Position of the fix in the trace."""


@dataclass
class Outcome:
    """What became of a trace."""

    parts: list[Part] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    """If there are parts, these are where they were cut."""
    strays: int = 0
    """Fixes left out because no road is near."""
    off_m: list[float] = field(default_factory=list)
    """Metres from fixes to their segments."""


class Tracer:
    """Matches one trace after the other to a network."""

    def __init__(self, matcher: Matcher, network: RoadNetwork) -> None:
        self.matcher = matcher
        self.config = matcher.config
        self.streets = Streets.of(network, matcher.length_m)
        self.ids = network.segment_ids

    def __call__(self, xy: Float[ndarray, "m 2"], time: Float[ndarray, " m"]) -> Outcome:
        """The trips of a trace; `xy` in `network.metric_crs`, `time` in Unix seconds, NaN throughout if unknown."""
        if wrong := _wrong_times(time):
            return Outcome(troubles=[wrong])
        out = Outcome()
        cuts = np.flatnonzero(np.diff(time) > self.config.gap_s) + 1 if self.config.gap_s else np.empty(0, np.int64)
        for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(xy)], strict=True):
            self._add(out, xy[first:last], time[first:last], first)
        if len(out.troubles) and not self.config.cut:
            out.parts.clear()
        return out

    def _add(self, out: Outcome, xy: Float[ndarray, "m 2"], time: Float[ndarray, " m"], offset: int) -> None:
        """Match a piece without gaps, which begins at fix `offset` of its trace."""
        if len(xy) < 2:
            out.troubles.append(Trouble("one fix", "has fewer than 2 fixes", offset))
            return
        used = np.arange(len(xy))
        kept, stretches = self._stretches(xy)
        if not _whole(stretches, kept):
            off = self.matcher.distance_to_road(xy) > self.config.radius_m
            strays = int(off.sum())
            if 0 < strays <= self.config.stray_share * len(xy) and strays + 2 <= len(xy):
                out.strays += strays
                used = np.flatnonzero(~off)
                kept, stretches = self._stretches(xy[used])
            if not _whole(stretches, kept):
                out.troubles.append(self._why(off, stretches, kept, used, offset))
                if not self.config.cut:
                    return
        on_road, when = xy[used], time[used]
        for stretch in stretches:
            mine = kept[stretch.first : stretch.first + len(stretch.travelled)]
            parts, turns = parts_of(stretch, mine, on_road, when, self.streets, self.config)
            for part in parts:
                first, last = offset + used[part.fixes]
                out.parts.append(Part(part.path, part.entered, np.array([first, last])))
            for segment in turns:
                said = f"turns into segment {self.ids[segment]}, which the roads do not allow"
                out.troubles.append(Trouble("u-turn", said, int(offset + used[mine[0]])))
            if not parts and not turns:
                out.troubles.append(Trouble("standing", "stays on one spot", int(offset + used[mine[0]])))
            out.off_m += stretch.off_m

    def _stretches(self, xy: Float[ndarray, "m 2"]) -> tuple[ndarray, list[Stretch]]:
        kept = spaced(xy, self.config.spacing_m)
        return kept, self.matcher(xy[kept])

    def _why(self, off: ndarray, stretches: list[Stretch], kept: ndarray, used: ndarray, offset: int) -> Trouble:
        """The first thing that keeps a trace from being matched whole."""
        if off.any() and len(used) == len(off):
            fix = offset + int(off.argmax())
            return Trouble("off road", f"no road within {self.config.radius_m:g} m of fix {fix + 1}", fix)
        first = stretches[0] if stretches and stretches[0].first == 0 else None
        last = 0 if first is None else len(first.travelled) - 1
        fix = offset + int(used[kept[last]])
        return Trouble("no way", f"no way of at most {self.matcher.reach_m:.0f} m from fix {fix + 1} to the next", fix)


def _whole(stretches: list[Stretch], kept: ndarray) -> bool:
    return len(stretches) == 1 and stretches[0].first == 0 and len(stretches[0].travelled) == len(kept)


def _wrong_times(time: Float[ndarray, " m"]) -> Trouble | None:
    missing = np.isnan(time)
    if missing.any() and not missing.all():
        fix = int(missing.argmax())
        return Trouble("time", f"fix {fix + 1} has no time, but others have", fix)
    backwards = time[1:] < time[:-1]
    if backwards.any():
        fix = int(backwards.argmax()) + 1
        return Trouble("time", f"fix {fix + 1} is earlier than the one before", fix)
    return None
