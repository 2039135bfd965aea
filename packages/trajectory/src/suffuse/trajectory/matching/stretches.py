"""From the likeliest candidates to ways: which segments lie between the first and the last fix of each stretch.

Dimensions: m fixes, l segments of all ways, w stretches.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from suffuse.trajectory.matching.turns import legal_way, turns_back
from suffuse.trajectory.matching.ways import last_chain


class Stretches(NamedTuple):
    """Runs of fixes of the same trace with a way from each to the next."""

    first: np.ndarray
    """Row of the first fix (w)."""
    fixes: np.ndarray
    """How many (w)."""
    path_start: np.ndarray
    """The way of stretch i is `path[path_start[i]:path_start[i + 1]]` (w + 1)."""
    path: np.ndarray
    """Segments (l)."""
    travelled: np.ndarray
    """Metres from the start of its way to each fix; a fix may lie a little behind the one before (m)."""


@njit(cache=True)
@no_type_check
def _between(graph, table, a, b, obey, reach):
    """The chains between chain `a` and chain `b`, last one first."""
    if obey and turns_back(graph, table, a, b):
        return legal_way(graph, a, b, reach)[0]
    way = np.empty(16, np.int64)
    count = 0
    source, node = graph.head[a], graph.tail[b]
    while node != source:
        if count == len(way):
            way = np.concatenate((way, np.empty(count, np.int64)))
        way[count] = last_chain(graph, table, source, node)
        node = graph.tail[way[count]]
        count += 1
    return way[:count]


@njit(cache=True)
@no_type_check
def _append(graph, chain, path, used):
    low, high = graph.member_start[chain], graph.member_start[chain + 1]
    while used + high - low > len(path):
        path = np.concatenate((path, np.empty(len(path), np.int64)))
    path[used : used + high - low] = graph.member[low:high]
    return path, used + high - low


@njit(cache=True)
@no_type_check
def stretches(graph, table, trace_start, chosen, begins, cand_chain, cand_offset, reverse, obey, reach):
    """The fields of `Stretches`, of at least two fixes each."""
    first, count = np.empty(len(chosen), np.int64), np.empty(len(chosen), np.int64)
    path_start = np.zeros(len(chosen) + 1, np.int64)
    path = np.empty(1024, np.int64)
    travelled = np.zeros(len(chosen))
    runs, used = 0, 0
    for trace in range(len(trace_start) - 1):
        fix = trace_start[trace]
        while fix < trace_start[trace + 1]:
            after = fix + 1
            if chosen[fix] >= 0:
                while after < trace_start[trace + 1] and chosen[after] >= 0 and not begins[after]:
                    after += 1
            if after - fix >= 2:
                a = cand_chain[chosen[fix]]
                path, used = _append(graph, a, path, used)
                behind = 0.0
                travelled[fix] = cand_offset[chosen[fix]]
                for at in range(fix + 1, after):
                    b = cand_chain[chosen[at]]
                    if a != b or cand_offset[chosen[at]] < cand_offset[chosen[at - 1]] - reverse:
                        way = _between(graph, table, a, b, obey, reach)
                        for i in range(len(way) - 1, -1, -1):
                            path, used = _append(graph, way[i], path, used)
                            behind += graph.length[way[i]]
                        path, used = _append(graph, b, path, used)
                        behind += graph.length[a]
                    travelled[at] = behind + cand_offset[chosen[at]]
                    a = b
                first[runs], count[runs], path_start[runs + 1] = fix, after - fix, used
                runs += 1
            fix = after
    return first[:runs], count[:runs], path_start[: runs + 1], path[:used].copy(), travelled
