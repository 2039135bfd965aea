"""From the way that fixes lie on to trips: which segments are driven, when each is entered, where no trip can go on.

Dimensions: m fixes, l segments of a path.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.matching.config import MatchConfig
from suffuse.trajectory.matching.hmm import Stretch
from suffuse.trajectory.roads.network import RoadNetwork


@dataclass(frozen=True)
class Part:
    """A piece of a trace that is a trip."""

    path: Int[ndarray, " l"]
    """Segment indices."""
    entered: Float[ndarray, " l"]
    """Unix seconds at the entry of each segment; NaN where the fixes have no times."""
    fixes: Int[ndarray, " two"]
    """Positions of the first and the last fix in the trace."""


@dataclass(frozen=True)
class Streets:
    """What of a network the ways of all traces are laid out with."""

    length_m: Float[ndarray, " s"]
    """Along the line, in `network.metric_crs`."""
    reverse: Int[ndarray, " s"]
    legal_start: ndarray
    legal_next: ndarray
    """The segments that may follow segment i are `legal_next[legal_start[i]:legal_start[i + 1]]`, in order."""

    @staticmethod
    def of(network: RoadNetwork, length_m: Float[ndarray, " s"]) -> "Streets":
        """The streets of a network."""
        follow = network.successors
        return Streets(length_m, network.reverse, follow.indptr.astype(np.int64), follow.indices.astype(np.int64))


@njit(cache=True)
@no_type_check
def spaced(xy: ndarray, least_m: float) -> ndarray:
    """Positions of the fixes at least so far from the one kept before; always the first and the last."""
    kept = np.empty(len(xy), dtype=np.int64)
    kept[0], count = 0, 1
    for at in range(1, len(xy)):
        east, north = xy[at, 0] - xy[kept[count - 1], 0], xy[at, 1] - xy[kept[count - 1], 1]
        if east * east + north * north >= least_m * least_m:
            kept[count] = at
            count += 1
    last = len(xy) - 1
    if kept[count - 1] != last:
        if count > 1:
            kept[count - 1] = last
        else:
            kept[count] = last
            count += 1
    return kept[:count].copy()


@njit(cache=True)
@no_type_check
def _all_travelled(xy: ndarray, kept: ndarray, travelled: ndarray) -> ndarray:
    """Metres along the way of every fix: those between two kept ones by where they lie on the line between these."""
    out = np.empty(kept[-1] - kept[0] + 1)
    out[0] = travelled[0]
    for k in range(len(kept) - 1):
        a, b = kept[k], kept[k + 1]
        east, north = xy[b, 0] - xy[a, 0], xy[b, 1] - xy[a, 1]
        square = max(east * east + north * north, 1e-9)
        for at in range(a + 1, b):
            share = ((xy[at, 0] - xy[a, 0]) * east + (xy[at, 1] - xy[a, 1]) * north) / square
            out[at - kept[0]] = travelled[k] + min(max(share, 0.0), 1.0) * (travelled[k + 1] - travelled[k])
        out[b - kept[0]] = travelled[k + 1]
    for at in range(1, len(out)):
        out[at] = max(out[at], out[at - 1])
    return out


@njit(cache=True)
@no_type_check
def _without_spurs(path: ndarray, length: ndarray, reverse: ndarray, start: ndarray, follow: ndarray, longest: float):
    """Positions in a path without short ways out and back that are no legal U-turn: the fix was beside its road."""
    kept = np.empty(len(path), dtype=np.int64)
    count = 0
    for at in range(len(path)):
        back = count > 0 and reverse[path[kept[count - 1]]] == path[at] and length[path[at]] <= longest
        if back and not _may_follow(path[kept[count - 1]], path[at], start, follow):
            count -= 1
        else:
            kept[count] = at
            count += 1
    return kept[:count].copy()


@njit(cache=True)
@no_type_check
def _may_follow(before: int, after: int, start: ndarray, follow: ndarray) -> bool:
    return after in follow[start[before] : start[before + 1]]


@njit(cache=True)
@no_type_check
def _illegal(path: ndarray, start: ndarray, follow: ndarray) -> ndarray:
    """Positions of the segments that may not follow the one before."""
    found = np.empty(len(path), dtype=np.int64)
    count = 0
    for at in range(1, len(path)):
        if not _may_follow(path[at - 1], path[at], start, follow):
            found[count] = at
            count += 1
    return found[:count].copy()


@njit(cache=True)
@no_type_check
def driven(begins: ndarray, first: float, last: float, error_m: float):
    """First and last position in a path without end segments of which less than the GPS error and half is driven.

    A fix near a junction is as near to the segments that are not driven.
    """
    low, high = 0, len(begins) - 2
    while low < high and begins[low + 1] - first < min(error_m, 0.5 * (begins[low + 1] - begins[low])):
        low += 1
    while low < high and last - begins[high] < min(error_m, 0.5 * (begins[high + 1] - begins[high])):
        high -= 1
    return low, high


def entry_times(
    begins: Float[ndarray, " l"], travelled: Float[ndarray, " m"], time: Float[ndarray, " m"]
) -> Float[ndarray, " l"]:
    """Times at distances `begins`, given the time of each fix at `travelled`; a stop counts to where it is left."""
    moved = np.append(travelled[1:] > travelled[:-1], True)
    return np.maximum.accumulate(np.interp(begins, travelled[moved], time[moved]))


def parts_of(
    stretch: Stretch,
    kept: Int[ndarray, " k"],
    xy: Float[ndarray, "m 2"],
    time: Float[ndarray, " m"],
    streets: Streets,
    config: MatchConfig,
) -> tuple[list[Part], list[int]]:
    """The trips of a stretch, and the segments at which each but the first would begin by a turn that is not legal.

    `kept` are the positions of the stretch's own fixes among all of its trace, `xy` and `time` those of all.
    """
    path = stretch.path
    begins = np.concatenate([[0.0], np.cumsum(streets.length_m[path])])
    travelled = _all_travelled(xy, kept, stretch.travelled)
    time = time[kept[0] : kept[-1] + 1]
    timed = not np.isnan(time[0])
    entered = entry_times(begins[:-1], travelled, time) if timed else np.full(len(path), np.nan)
    low, high = driven(begins, travelled[0], travelled[-1], config.gps_error_m)
    keep = low + _without_spurs(
        path[low : high + 1],
        streets.length_m,
        streets.reverse,
        streets.legal_start,
        streets.legal_next,
        config.radius_m,
    )
    turns = _illegal(path[keep], streets.legal_start, streets.legal_next)
    parts = []
    for low, high in zip([0, *turns], [*turns, len(keep)], strict=True):
        first_m = travelled[0] if low == 0 else begins[keep[low]]
        last_m = travelled[-1] if high == len(keep) else begins[keep[high - 1] + 1]
        here = np.flatnonzero((travelled >= first_m) & (travelled <= last_m))
        if len(here) < 2 or travelled[here[-1]] - travelled[here[0]] < config.gps_error_m:
            continue
        mine = keep[low:high]
        some = _driven_of(begins, mine, travelled[here[0]], travelled[here[-1]], config.gps_error_m)
        when = entered[some]
        when[0] = time[here[0]]
        parts.append(Part(path[some], np.maximum(when, when[0]), kept[0] + here[[0, -1]]))
    return parts, path[keep[turns]].tolist()


def _driven_of(
    begins: Float[ndarray, " bounds"], mine: Int[ndarray, " l"], first: float, last: float, error_m: float
) -> Int[ndarray, " some"]:
    """The positions of `mine` that are driven between two distances."""
    low, high = driven(begins, first, last, error_m)
    some = mine[(mine >= low) & (mine <= high)]
    return some if len(some) else mine
