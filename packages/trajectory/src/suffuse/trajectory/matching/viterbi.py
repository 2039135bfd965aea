"""The likeliest way of a trace: a hidden Markov model over the candidates of its fixes.

The model is that of the fast map matching of Yang and Gidofalvi (2018): a fix is normally distributed about its place
on the road, and a way between two fixes is as likely as the straight distance over its length, at most 1.

Dimensions: m fixes, q candidates of all fixes.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from suffuse.trajectory.matching.turns import legal_metres, turns_back
from suffuse.trajectory.matching.ways import between

LEAST_STEP_M = 1.0
"""A step between two fixes counts as this long at least."""


@njit(cache=True)
@no_type_check
def step_metres(graph, table, a, offset_a, b, offset_b, reverse, obey, limit, reach):
    """Metres from a place on chain `a` to one on chain `b`; infinite if there is no such way, or none in `limit`.

    A place up to `reverse` metres behind on the same chain is where the vehicle stands. With `obey`, U-turns that the
    roads bar are not taken.
    """
    if a == b and offset_b >= offset_a - reverse:
        return max(offset_b - offset_a, 0.0)
    rest = graph.length[a] - offset_a + offset_b
    metres = rest + between(table, graph.head[a], graph.tail[b])
    if obey and metres < np.inf and metres <= limit and turns_back(graph, table, a, b):
        return rest + legal_metres(graph, a, b, min(limit - rest, reach))
    return metres


@njit(cache=True)
@no_type_check
def likeliest(graph, table, trace_start, xy, cand_start, cand_chain, cand_offset, off, sigma, reverse, obey, reach):
    """For each fix its candidate (-1: none near), and whether a stretch begins there: no way leads from before.
    And the log-likelihood of the way up to each candidate.

    With `obey`, U-turns that the roads bar are not taken.
    """
    score = np.empty(len(cand_chain))
    back = np.full(len(cand_chain), -1)
    chosen = np.full(len(xy), -1)
    begins = np.zeros(len(xy), np.bool_)
    for trace in range(len(trace_start) - 1):
        low, high = trace_start[trace], trace_start[trace + 1]
        for fix in range(low, high):
            first, last = cand_start[fix], cand_start[fix + 1]
            linked = False
            if fix > low and first < last and cand_start[fix - 1] < first:
                step = max(np.hypot(xy[fix, 0] - xy[fix - 1, 0], xy[fix, 1] - xy[fix - 1, 1]), LEAST_STEP_M)
                for b in range(first, last):
                    score[b] = -np.inf
                for a in range(cand_start[fix - 1], first):
                    if score[a] == -np.inf:
                        continue
                    for b in range(first, last):
                        if score[a] <= score[b]:
                            continue  # no way is likelier than 1
                        limit = step * np.exp(score[a] - score[b])  # a longer way changes nothing
                        metres = step_metres(graph, table, cand_chain[a], cand_offset[a], cand_chain[b],
                                             cand_offset[b], reverse, obey, limit, reach)  # fmt: skip
                        if metres < np.inf:
                            offer = score[a] + min(np.log(step / max(metres, LEAST_STEP_M)), 0.0)
                            if offer > score[b]:
                                score[b], back[b], linked = offer, a, True
            begins[fix] = not linked and first < last
            for b in range(first, last):
                if not linked:
                    score[b] = 0.0
                score[b] -= 0.5 * (off[b] / sigma) ** 2
        fix = high - 1
        at = -1
        while fix >= low:
            if at < 0:
                for b in range(cand_start[fix], cand_start[fix + 1]):
                    if at < 0 or score[b] > score[at]:
                        at = b
            chosen[fix] = at
            if at >= 0:
                at = -1 if begins[fix] else back[at]
            fix -= 1
    return chosen, begins, score
