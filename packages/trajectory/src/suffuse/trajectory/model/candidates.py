"""Topology-constrained candidates: which segments may stand at a masked position, given what is committed around it.

A masked position lies in a gap between a committed segment on its left (there is always one: the origin) and,
perhaps, one on its right. What may stand there is exactly what lies the right number of transitions ahead of the left
one *and* behind the right one, and from where the destination can still be reached within the length left. Scoring
these few in place of the whole vocabulary is exact: everything else has probability zero.

Dimensions: b trips, n positions (position 0 holds the origin), q masked positions, m candidates of all of them, s
segments.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Candidates of q masked positions as flat arrays: position j has rows `start[j]:start[j + 1]`.

    The token that follows a finished trip, `end`, is one past the last segment (s).
    """

    row: Int[ndarray, " q"]
    """Trip of each masked position."""
    position: Int[ndarray, " q"]
    start: Int[ndarray, " q+1"]
    segment: Int[ndarray, " m"]
    left: Int[ndarray, " q"]
    """Committed segment on the left of the gap."""
    left_gap: Int[ndarray, " q"]
    """Transitions from it; 1 for a direct successor."""
    right: Int[ndarray, " q"]
    """Committed segment on the right of the gap, -1 for none."""
    right_gap: Int[ndarray, " q"]
    """Transitions to it; 0 for none."""

    def __len__(self) -> int:
        return len(self.row)


@njit(cache=True)
@no_type_check
def grow_level(
    ptr: ndarray,
    adjacent: ndarray,
    source: ndarray,
    count: int,
    out: ndarray,
    end: int,
    last: int,
    forward: bool,
    stamp: ndarray,
    mark: int,
) -> int:
    """One level from another: neighbours of `source[:count]` into `out`, each once; returns how many."""
    used = 0
    for i in range(count):
        segment = source[i]
        if segment == end:
            if stamp[end] != mark:
                stamp[end] = mark
                out[used] = end
                used += 1
            if not forward and stamp[last] != mark:
                stamp[last] = mark
                out[used] = last
                used += 1
            continue
        for j in range(ptr[segment], ptr[segment + 1]):
            following = adjacent[j]
            if stamp[following] != mark:
                stamp[following] = mark
                out[used] = following
                used += 1
        if forward and segment == last and stamp[end] != mark:
            stamp[end] = mark
            out[used] = end
            used += 1
    return used


@njit(cache=True)
@no_type_check
def _collect(
    succ_ptr: ndarray,
    succ: ndarray,
    pred_ptr: ndarray,
    pred: ndarray,
    tokens: ndarray,
    masked: ndarray,
    block: ndarray,
    destination: ndarray,
    hops: ndarray,
    hops_row: ndarray,
    limit: ndarray,
    capacity: int,
) -> tuple[ndarray, ...]:
    trips, length = tokens.shape
    end = len(succ_ptr) - 1
    queries = masked.sum()
    row, position = np.empty(queries, np.int64), np.empty(queries, np.int64)
    left, left_gap = np.empty(queries, np.int64), np.empty(queries, np.int64)
    right, right_gap = np.empty(queries, np.int64), np.empty(queries, np.int64)
    start = np.zeros(queries + 1, np.int64)
    flat = np.empty(capacity, np.int32)
    stamp = np.full(end + 1, -1, np.int64)
    widest = end + 1  # every token once
    ahead, following = np.empty(widest, np.int32), np.empty(widest, np.int32)
    behind_size = np.empty(length + 1, np.int64)
    behind = np.empty((1, 1), np.int32)
    mark, query, used = 0, 0, 0
    for trip in range(trips):
        last = destination[trip]
        i = 1
        while i < length:
            if not masked[trip, i]:
                i += 1
                continue
            first = i
            # a gap ends where its block does: a later block starts from what this one will have committed
            while i < length and masked[trip, i] and block[trip, i] == block[trip, first]:
                i += 1
            gap = i - first
            l_segment = tokens[trip, first - 1]
            has_right = i < length and block[trip, i] == block[trip, first] and not masked[trip, i]
            r_segment = tokens[trip, i] if has_right else -1
            if has_right:
                if behind.shape[0] < gap + 1:
                    behind = np.empty((gap + 1, widest), np.int32)
                behind[0, 0] = r_segment
                behind_size[0] = 1
                for m in range(1, gap + 1):
                    mark += 1
                    behind_size[m] = grow_level(
                        pred_ptr, pred, behind[m - 1], behind_size[m - 1], behind[m], end, last, False, stamp, mark
                    )
            ahead[0] = l_segment
            count = 1
            for k in range(1, gap + 1):
                mark += 1
                count = grow_level(succ_ptr, succ, ahead, count, following, end, last, True, stamp, mark)
                if used + count > capacity:
                    return row, position, start, flat[:0], left, left_gap, right, right_gap
                ahead, following = following, ahead
                m = gap + 1 - k
                if has_right:
                    mark += 1
                    for j in range(behind_size[m]):
                        stamp[behind[m, j]] = mark
                here = first + k - 1
                for j in range(count):
                    segment = ahead[j]
                    if has_right and stamp[segment] != mark:
                        continue
                    if segment != end and hops_row[trip] >= 0 and here + hops[hops_row[trip], segment] > limit[trip]:
                        continue
                    flat[used] = segment
                    used += 1
                row[query], position[query] = trip, here
                left[query], left_gap[query] = l_segment, k
                right[query], right_gap[query] = r_segment, m if has_right else 0
                query += 1
                start[query] = used
    return (
        row[:query],
        position[:query],
        start[: query + 1],
        flat[:used],
        left[:query],
        left_gap[:query],
        right[:query],
        right_gap[:query],
    )


def collect_candidates(
    network: RoadNetwork,
    tokens: Int[ndarray, "b n"],
    masked: Bool[ndarray, "b n"],
    block: Int[ndarray, "b n"],
    destination: Int[ndarray, " b"],
    *,
    hops: Int[ndarray, "r s"] | None = None,
    hops_row: Int[ndarray, " b"] | None = None,
    limit: Int[ndarray, " b"] | None = None,
) -> Candidates:
    """Candidates of every masked position, in order of trip and position.

    `tokens` are segments (s for a trip that is over; anything where masked), `block` says which positions see one
    another: a gap ends with its block. With `hops` (see `hops_to`; row `hops_row[i]` for trip i) a candidate at
    position p is kept only if p plus its hops to the destination is at most `limit[i]`. Position 0 must not be
    masked.
    """
    ahead, behind = network.successors, network.predecessors
    none = np.full(len(tokens), -1, dtype=np.int64)
    reach = np.zeros((1, 1), dtype=np.int32) if hops is None else hops
    rows = none if hops is None or hops_row is None else hops_row.astype(np.int64)
    limits = none if limit is None else limit.astype(np.int64)
    capacity = 64 * int(masked.sum()) + 65536
    while True:
        found = _collect(
            ahead.indptr, ahead.indices, behind.indptr, behind.indices,
            np.ascontiguousarray(tokens), np.ascontiguousarray(masked), np.ascontiguousarray(block),
            destination.astype(np.int64), reach, rows, limits, capacity,
        )  # fmt: skip
        row, position, start, flat, left, left_gap, right, right_gap = found
        if len(flat) or not masked.any():
            return Candidates(
                row=row, position=position, start=start, segment=flat, left=left, left_gap=left_gap, right=right,
                right_gap=right_gap
            )  # fmt: skip
        capacity *= 4
        if capacity > 2**31:
            raise ValueError("masked gaps are too long for this road network: use smaller blocks")
