"""The shortest ways between nodes, each search made when it is first needed and kept.

A shortest way between two nodes never turns back on itself, so that U-turns can only be where it begins or ends: see
`obey`.

Dimensions: c chains, n nodes, e nodes that searches came to.
"""

from heapq import heappop, heappush
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.matching.graph import Graph

MOST = 1 << 26
"""Nodes that are kept of all searches, 8 bytes each; beyond that all are forgotten."""


class Table(NamedTuple):
    """Metres from node u to each node within reach: rows `start[u]:start[u] + size[u]`, in order of the nodes."""

    start: ndarray
    """-1 where no search was made (n)."""
    size: ndarray
    node: ndarray
    metres: ndarray


class Ways:
    """Searches up to `reach_m` on a graph."""

    def __init__(self, graph: Graph, reach_m: float) -> None:
        self.graph, self.reach_m = graph, reach_m
        self._used = 0
        self._best = np.full(len(graph.place), np.inf)
        self._forget(1 << 16)

    def _forget(self, room: int) -> None:
        nodes = len(self.graph.place)
        self.table = Table(
            np.full(nodes, -1), np.zeros(nodes, np.int64), np.empty(room, np.int32), np.empty(room, np.float32)
        )
        self._used = 0

    def from_nodes(self, nodes: Int[ndarray, " k"]) -> Table:
        """A table that knows the ways from these nodes; `nodes` without repetition."""
        if self._used > MOST:
            self._forget(len(self.table.node))
        lacking = nodes[self.table.start[nodes] < 0]
        done = 0
        while done < len(lacking):
            table = self.table
            count, self._used = _fill(self.graph, lacking[done:], self.reach_m, self._best, *table, self._used)
            done += count
            if done < len(lacking):
                room = max(2 * len(table.node), self._used + len(self.graph.place))
                grown = np.empty(room, np.int32), np.empty(room, np.float32)
                for new, old in zip(grown, (table.node, table.metres), strict=True):
                    new[: self._used] = old[: self._used]
                self.table = Table(table.start, table.size, *grown)
        return self.table


@njit(cache=True)
@no_type_check
def _fill(graph, sources, reach, best, start, size, node, metres, used):
    """Search from sources as long as there is room; returns how many were done, and how much is used."""
    for done in range(len(sources)):
        found = search(graph, sources[done], reach, best)
        if used + len(found) > len(node):
            best[found] = np.inf
            return done, used
        start[sources[done]], size[sources[done]] = used, len(found)
        for i in range(len(found)):
            node[used + i], metres[used + i] = found[i], best[found[i]]
        used += len(found)
        best[found] = np.inf
    return len(sources), used


@njit(cache=True)
@no_type_check
def search(graph, source, reach, best):
    """The nodes within reach of one, in order; `best`, infinite before, holds their distances after."""
    found = np.empty(256, np.int32)
    found[0], count = source, 1
    best[source] = 0.0
    heap = [(np.float32(0.0), np.int32(source))]
    while len(heap) > 0:
        so_far, here = heappop(heap)
        if so_far > best[here]:
            continue
        for i in range(graph.out_start[here], graph.out_start[here + 1]):
            chain = graph.out[i]
            there = np.int32(graph.head[chain])
            metres = np.float32(so_far + graph.length[chain])
            if metres < best[there] and metres <= reach:
                if best[there] == np.inf:
                    if count == len(found):
                        found = np.concatenate((found, np.empty(count, np.int32)))
                    found[count] = there
                    count += 1
                best[there] = metres
                heappush(heap, (metres, there))
    return np.sort(found[:count])


@njit(cache=True)
@no_type_check
def between(table, source, target):
    """Metres of the shortest way from a node to another; infinite if beyond reach."""
    if source == target:
        return 0.0
    low, high = table.start[source], table.start[source] + table.size[source]
    while low < high:
        middle = (low + high) >> 1
        if table.node[middle] < target:
            low = middle + 1
        else:
            high = middle
    if low < table.start[source] + table.size[source] and table.node[low] == target:
        return table.metres[low]
    return np.inf


@njit(cache=True)
@no_type_check
def last_chain(graph, table, source, target):
    """The last chain of the shortest way between two different nodes."""
    best, found = np.inf, -1
    for i in range(graph.into_start[target], graph.into_start[target + 1]):
        chain = graph.into[i]
        metres = between(table, source, graph.tail[chain]) + graph.length[chain]
        if metres < best:
            best, found = metres, chain
    return found
