"""The chains that each fix may lie on.

Dimensions: m fixes, q candidates of all fixes.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit
from numpy import ndarray

from suffuse.trajectory.matching.graph import ROWS, Graph


class Candidates(NamedTuple):
    """Fix i has rows `start[i]:start[i + 1]`, the nearest first."""

    start: ndarray
    chain: ndarray
    offset: ndarray
    """Metres from the start of the chain to the point nearest to the fix."""
    off: ndarray
    """Metres from there to the fix."""


def candidates_of(graph: Graph, xy: Float[ndarray, "m 2"], radius_m: float, most: int) -> Candidates:
    """At most so many chains for each fix, the nearest of those within the radius."""
    return Candidates(*_candidates(graph, xy, radius_m, most))


@njit(cache=True)
@no_type_check
def _candidates(graph, xy, radius, most):
    start = np.zeros(len(xy) + 1, np.int64)
    chain = np.empty(len(xy) * most, np.int32)
    offset, off = np.empty(len(xy) * most), np.empty(len(xy) * most)
    seen = np.full(len(graph.tail), -1)
    row_of = np.empty(len(graph.tail), np.int64)
    near_chain = np.empty(64, np.int64)
    near_offset, near_off = np.empty(64), np.empty(64)
    used = 0
    for fix in range(len(xy)):
        x, y = xy[fix, 0], xy[fix, 1]
        count = 0
        column, row = int(np.floor(x / graph.side)), int(np.floor(y / graph.side))
        for beside in range(column - 1, column + 2):
            low = np.searchsorted(graph.squares, beside * ROWS + row - 1)
            high = np.searchsorted(graph.squares, beside * ROWS + row + 1, side="right")
            for i in range(graph.square_start[low], graph.square_start[high]):
                a = graph.piece[i]
                ax, ay = graph.corner[a, 0], graph.corner[a, 1]
                dx, dy = graph.corner[a + 1, 0] - ax, graph.corner[a + 1, 1] - ay
                square = dx * dx + dy * dy
                share = ((x - ax) * dx + (y - ay) * dy) / square if square > 0 else 0.0
                share = min(max(share, 0.0), 1.0)
                metres = np.sqrt((ax + share * dx - x) ** 2 + (ay + share * dy - y) ** 2)
                if metres > radius:
                    continue
                c = graph.owner[a]
                if seen[c] != fix:
                    if count == len(near_chain):
                        near_chain = np.concatenate((near_chain, np.empty(count, np.int64)))
                        near_offset = np.concatenate((near_offset, np.empty(count)))
                        near_off = np.concatenate((near_off, np.empty(count)))
                    seen[c], row_of[c] = fix, count
                    near_chain[count], near_off[count] = c, np.inf
                    count += 1
                if metres < near_off[row_of[c]]:
                    near_off[row_of[c]] = metres
                    near_offset[row_of[c]] = graph.along[a] + share * np.sqrt(square)
        for _ in range(min(count, most)):
            best = 0
            for other in range(1, count):
                if near_off[other] < near_off[best] or (
                    near_off[other] == near_off[best] and near_chain[other] < near_chain[best]
                ):
                    best = other
            chain[used], offset[used], off[used] = near_chain[best], near_offset[best], near_off[best]
            near_off[best] = np.inf
            near_chain[best] = len(graph.tail)
            used += 1
        start[fix + 1] = used
    return start, chain[:used].copy(), offset[:used].copy(), off[:used].copy()
