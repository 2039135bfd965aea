"""U-turns that the roads bar, where a way between two fixes begins or ends, and the ways that do without."""

from heapq import heappop, heappush
from typing import no_type_check

import numpy as np
from numba import njit

from suffuse.trajectory.matching.ways import last_chain


@njit(cache=True)
@no_type_check
def turns_back(graph, table, a, b):
    """Whether the shortest way from chain `a` to chain `b` begins or ends with a U-turn that the roads bar."""
    source, target = graph.head[a], graph.tail[b]
    if source == target:
        return graph.barred[a] == b
    chain = last_chain(graph, table, source, target)
    if graph.barred[chain] == b:
        return True
    while graph.tail[chain] != source:
        chain = last_chain(graph, table, source, graph.tail[chain])
    return graph.barred[a] == chain


@njit(cache=True)
@no_type_check
def legal_way(graph, a, b, limit):
    """The chains between chain `a` and chain `b` on the shortest way that takes no turn the roads bar, last one first.

    And its metres; infinite if beyond `limit`. Search of the kind A*, by the straight distance to `b`.
    """
    x, y = graph.place[graph.tail[b], 0], graph.place[graph.tail[b], 1]
    best = {np.int64(a): 0.0}
    before = {np.int64(a): np.int64(-1)}
    heap = [(0.0, 0.0, np.int64(a))]
    while len(heap) > 0:
        _, metres, here = heappop(heap)
        if metres > best[here]:
            continue
        node = graph.head[here]
        if node == graph.tail[b] and graph.barred[here] != b:
            way = np.empty(len(before), np.int64)
            count = 0
            while here != a:
                way[count] = here
                count += 1
                here = before[here]
            return way[:count], metres
        for i in range(graph.out_start[node], graph.out_start[node + 1]):
            chain = np.int64(graph.out[i])
            if chain == graph.barred[here]:
                continue
            further = metres + graph.length[chain]
            if chain in best and best[chain] <= further:
                continue
            end = graph.head[chain]
            least = further + np.hypot(graph.place[end, 0] - x, graph.place[end, 1] - y)
            if least <= limit:
                best[chain], before[chain] = further, here
                heappush(heap, (least, further, chain))
    return np.empty(0, np.int64), np.inf


@njit(cache=True)
@no_type_check
def legal_metres(graph, a, b, limit):
    """Metres of `legal_way`."""
    return legal_way(graph, a, b, limit)[1]
