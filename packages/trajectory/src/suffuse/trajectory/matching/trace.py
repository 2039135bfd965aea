"""Traces from fixes to trips, or the reason why not.

Dimensions: m fixes of one trace, u of them on roads, k of those matched.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
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
    off_m: list[Float[ndarray, " _"]] = field(default_factory=list)
    """Metres from fixes to their segments, for each stretch."""


@dataclass
class _Piece:
    """A trace, or what lies between two of its gaps."""

    trace: int
    """Row among the traces that are matched together."""
    offset: int
    """Position of its first fix in the trace."""
    xy: Float[ndarray, "m 2"]
    time: Float[ndarray, " m"]
    used: Int[ndarray, " u"]
    """Positions of the fixes that are no strays."""
    kept: Int[ndarray, " k"]
    """Positions among those of the fixes that are matched."""
    stretches: list[Stretch] = field(default_factory=list)

    @property
    def fixes(self) -> Float[ndarray, "k 2"]:
        """The fixes that are matched."""
        return self.xy[self.used[self.kept]]

    def whole(self, stretches: list[Stretch]) -> bool:
        """Whether there is a way through all fixes."""
        return len(stretches) == 1 and len(stretches[0].travelled) == len(self.kept)


class Tracer:
    """Matches traces to a network, many at a time."""

    def __init__(self, matcher: Matcher, network: RoadNetwork) -> None:
        self.matcher = matcher
        self.config = matcher.config
        self.streets = Streets.of(network, matcher.length_m)
        self.ids = network.segment_ids
        self.speed_m_s = network.speed_kmh / 3.6

    def __call__(self, traces: Sequence[tuple[Float[ndarray, "_ 2"], Float[ndarray, " _"]]]) -> list[Outcome]:
        """The trips of each trace: positions in `network.metric_crs`, and Unix seconds, NaN throughout if unknown."""
        outcomes = [Outcome() for _ in traces]
        pieces = []
        for row, (xy, time) in enumerate(traces):
            if wrong := _wrong_times(time):
                outcomes[row].troubles.append(wrong)
            else:
                pieces += list(self._pieces(row, xy, time, outcomes[row]))
        self._match(pieces)
        self._leave_out_strays(pieces, outcomes)
        laid = [self._laid(piece, piece.stretches) for piece in pieces]
        again = [i for i, piece in enumerate(pieces) if piece.whole(piece.stretches) and laid[i].turns]
        legal = self.matcher([pieces[i].fixes for i in again], obey=True)
        for i, stretches in zip(again, legal, strict=True):
            if self._is_better(stretches, pieces[i], len(laid[i].turns)):
                pieces[i].stretches = stretches
                laid[i] = self._laid(pieces[i], stretches)
        for piece, found in zip(pieces, laid, strict=True):
            self._add(outcomes[piece.trace], piece, found)
        if not self.config.cut:
            for outcome in outcomes:
                if outcome.troubles:
                    outcome.parts.clear()
        return outcomes

    def _pieces(
        self, row: int, xy: Float[ndarray, "m 2"], time: Float[ndarray, " m"], outcome: Outcome
    ) -> Iterator[_Piece]:
        gap = self.config.gap_s
        cuts = [] if gap is None else (np.flatnonzero(np.diff(time) > gap) + 1).tolist()
        for first, last in pairwise([0, *cuts, len(xy)]):
            if last - first < 2:
                outcome.troubles.append(Trouble("one fix", "has fewer than 2 fixes", first))
            else:
                here = xy[first:last]
                kept = spaced(here, self.config.spacing_m)
                yield _Piece(row, first, here, time[first:last], np.arange(last - first), kept)

    def _match(self, pieces: list[_Piece]) -> None:
        found = self.matcher([piece.fixes for piece in pieces])
        for piece, stretches in zip(pieces, found, strict=True):
            piece.stretches = stretches

    def _leave_out_strays(self, pieces: list[_Piece], outcomes: list[Outcome]) -> None:
        """Match pieces that are not whole again without the fixes that no road is near, if those are few."""
        again = []
        for piece in pieces:
            if piece.whole(piece.stretches):
                continue
            near = self.matcher.near_road(piece.xy)
            strays = len(near) - int(near.sum())
            if 0 < strays <= self.config.stray_share * len(near) and strays + 2 <= len(near):
                outcomes[piece.trace].strays += strays
                piece.used = np.flatnonzero(near)
                piece.kept = spaced(piece.xy[near], self.config.spacing_m)
                again.append(piece)
        self._match(again)

    def _laid(self, piece: _Piece, stretches: list[Stretch]) -> "_Laid":
        laid = _Laid()
        on_road, when = piece.xy[piece.used], piece.time[piece.used]
        for stretch in stretches:
            mine = piece.kept[stretch.first : stretch.first + len(stretch.travelled)]
            first = piece.offset + int(piece.used[mine[0]])
            parts, turns = parts_of(stretch, mine, on_road, when, self.streets, self.config)
            laid.parts += [Part(part.path, part.entered, piece.offset + piece.used[part.fixes]) for part in parts]
            laid.turns += [(segment, first) for segment in turns]
            if not parts and not turns:
                laid.standing.append(first)
        return laid

    def _is_better(self, legal: list[Stretch], piece: _Piece, turns: int) -> bool:
        """Whether a way without U-turns that the roads bar is about as likely as the one with so many of them.

        And could be driven in the time between the fixes, as fast as its fastest segment allows.
        """
        if not piece.whole(legal):
            return False
        found, before = legal[0], piece.stretches[0]
        least = turns * math.log(max(self.config.u_turn, sys.float_info.min))
        if found.log_likelihood - before.log_likelihood < least:
            return False
        seconds = np.diff(piece.time[piece.used[piece.kept]])
        fastest = self.speed_m_s[found.path].max()
        return not (np.diff(found.travelled) > np.maximum(np.diff(before.travelled), fastest * seconds)).any()

    def _add(self, out: Outcome, piece: _Piece, laid: "_Laid") -> None:
        if not piece.whole(piece.stretches):
            out.troubles.append(self._why(piece))
            if not self.config.cut:
                return
        out.parts += laid.parts
        for segment, fix in laid.turns:
            said = f"turns into segment {self.ids[segment]}, which the roads do not allow"
            out.troubles.append(Trouble("u-turn", said, fix))
        out.troubles += [Trouble("standing", "stays on one spot", fix) for fix in laid.standing]
        out.off_m += [stretch.off_m for stretch in piece.stretches]

    def _why(self, piece: _Piece) -> Trouble:
        """The first thing that keeps a piece from being matched whole."""
        near = self.matcher.near_road(piece.xy)
        if not near.all() and len(piece.used) == len(near):
            fix = piece.offset + int(near.argmin())
            return Trouble("off road", f"no road within {self.config.radius_m:g} m of fix {fix + 1}", fix)
        first = piece.stretches[0] if piece.stretches and piece.stretches[0].first == 0 else None
        last = 0 if first is None else len(first.travelled) - 1
        fix = piece.offset + int(piece.used[piece.kept[last]])
        return Trouble("no way", f"no way of at most {self.matcher.reach_m:.0f} m from fix {fix + 1} to the next", fix)


@dataclass
class _Laid:
    """What the stretches of a piece come to; fixes are positions in the trace."""

    parts: list[Part] = field(default_factory=list)
    turns: list[tuple[int, int]] = field(default_factory=list)
    """Segments turned into against the rules, and the first fix of their stretch."""
    standing: list[int] = field(default_factory=list)
    """First fixes of stretches that come to nothing."""


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
