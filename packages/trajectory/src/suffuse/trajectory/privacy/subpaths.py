"""The longest piece of way that a trip has in common with any single other trip, exactly, by a suffix array.

All trips are joined to one text with a letter of its own after each, so that no match runs from one trip into the next.
Suffixes are sorted by prefix doubling (Manber and Myers 1993), their common prefixes found by the method of Kasai et
al. (2001); the longest match of a suffix is with a neighbour in that order.

Dimensions: k trips, p places in the text.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips, concatenate


@njit(cache=True)
@no_type_check
def _longest_matches(text: ndarray, order: ndarray, rank: ndarray, known: ndarray) -> ndarray:
    """For each place that is not `known`, the length of the longest match with what begins at a known one."""
    size = len(text)
    common = np.zeros(size, np.int64)  # of each suffix and the one before it in `order`
    length = 0
    for place in range(size):
        if rank[place] == 0:
            length = 0
            continue
        other = order[rank[place] - 1]
        while place + length < size and other + length < size and text[place + length] == text[other + length]:
            length += 1
        common[rank[place]] = length
        if length > 0:
            length -= 1
    longest = np.zeros(size, np.int64)
    current = 0
    for row in range(size):
        place = order[row]
        current = min(current, common[row])
        if known[place]:
            current = size
        else:
            longest[place] = current
    current = 0
    for row in range(size - 1, -1, -1):
        place = order[row]
        if not known[place]:
            longest[place] = max(longest[place], current)
            current = min(current, common[row])
        else:
            current = common[row]
    return longest


def _sorted_suffixes(text: Int[ndarray, " p"], longest: int) -> Int[ndarray, " p"]:
    """Rank of the suffix at each place; no two suffixes agree in `longest` letters."""
    rank: ndarray = np.unique(text, return_inverse=True)[1].astype(np.int64)
    width = 1
    while width < longest:
        behind = np.zeros_like(rank)
        behind[:-width] = rank[width:] + 1
        rank = np.unique(rank * (len(text) + 1) + behind, return_inverse=True)[1].astype(np.int64)
        width *= 2
    return rank


def longest_shared_m(network: RoadNetwork, trips: Trips, others: Trips) -> Float[ndarray, " k"]:
    """Metres of the longest contiguous piece of each of `trips` that one of `others` drives as well.

    Among pieces that begin at one place the longest match counts; whole segments, so a part of one is none.
    """
    if len(trips) == 0 or len(others) == 0:
        return np.zeros(len(trips))
    joined = concatenate([others, trips])
    owner = np.repeat(np.arange(len(joined)), joined.lengths)
    place = np.arange(len(joined.segment)) + owner
    text = np.empty(len(joined.segment) + len(joined), dtype=np.int64)
    text[place] = joined.segment
    text[joined.start[1:] + np.arange(len(joined))] = len(network) + np.arange(len(joined))
    known: Bool[ndarray, " p"] = np.arange(len(text)) < len(others.segment) + len(others)
    rank = _sorted_suffixes(text, int(joined.lengths.max()) + 1)
    longest = _longest_matches(text, np.argsort(rank), rank, known)

    metres = np.zeros(len(text))
    metres[place] = network.length_m[joined.segment]
    driven = np.append(0.0, np.cumsum(metres))
    at = np.arange(len(text))
    shared = driven[at + longest] - driven[at]
    first = len(others.segment) + len(others)
    begins = trips.start[:-1] + np.arange(len(trips)) + first
    return np.maximum.reduceat(shared, begins)


def copies(trips: Trips, others: Trips) -> Bool[ndarray, " k"]:
    """True for trips that drive exactly the segments of one of `others`."""
    routes = {others.segments_of(row).astype(np.int64).tobytes() for row in range(len(others))}
    return np.array([trips.segments_of(row).astype(np.int64).tobytes() in routes for row in range(len(trips))], bool)
