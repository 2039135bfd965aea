"""A road network as the matcher sees it: streets joined to chains, and a grid that finds those near a fix.

Segments that follow each other without a choice are one chain, which makes fewer candidates and fewer nodes.

Dimensions: c chains, n nodes, s segments, k corners of all lines.
"""

from itertools import chain as joined
from typing import NamedTuple

import numpy as np
import shapely
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.roads.contract import chains, part_of
from suffuse.trajectory.roads.network import RoadNetwork


class Graph(NamedTuple):
    """Arrays for compiled functions. Rows of what belongs to row i are `start[i]:start[i + 1]`."""

    tail: ndarray
    """The node where each chain begins (c), and `head` the one where it ends."""
    head: ndarray
    length: ndarray
    """Metres along each chain (c)."""
    barred: ndarray
    """The chain that must not follow each, though it begins where that one ends; -1 for none (c). It is the same street
    in the other direction: the roads bar nothing but U-turns."""
    out_start: ndarray
    out: ndarray
    """Chains that begin at each node."""
    into_start: ndarray
    into: ndarray
    """Chains that end at each node."""
    member_start: ndarray
    member: ndarray
    """Segments of each chain."""
    corner: ndarray
    """Metres (k, 2), chain after chain."""
    along: ndarray
    """Metres from the start of its chain to each corner (k)."""
    owner: ndarray
    """The chain of each corner (k)."""
    place: ndarray
    """Metres of each node (n, 2)."""
    side: float
    """Side of a square of the grid, metres."""
    squares: ndarray
    """Keys of the squares with streets, in order: see `square_of`."""
    square_start: ndarray
    piece: ndarray
    """For each square, the pieces of lines that may be near a fix in it: piece i goes from corner i to i + 1."""


LEAST_M = 0.01
"""Length of a chain at least, so that every way has a direction."""

ROWS = np.int64(1) << 32
"""Squares of the grid in a column: more than there are on Earth."""


def graph_of(network: RoadNetwork, lines: ndarray, radius_m: float) -> Graph:
    """The open segments of a network, whose lines in metres are `lines`, for fixes up to `radius_m` from them."""
    usable = np.setdiff1d(np.arange(len(network)), np.fromiter(network.closed, np.int64))
    keep = np.zeros(len(network), dtype=bool)
    keep[usable] = True
    here = part_of(network, keep)
    chained = chains(here, np.zeros(len(usable)))
    counts = np.array([len(members) for members in chained])
    member = usable[np.fromiter(joined.from_iterable(chained), np.int64, counts.sum())]
    member_start = np.append(0, np.cumsum(counts))
    first, last = member[member_start[:-1]], member[member_start[1:] - 1]

    corner, line = shapely.get_coordinates(lines[member], return_index=True)
    owner = np.repeat(np.arange(len(chained)), counts)[line]
    step = np.append(0.0, np.linalg.norm(np.diff(corner, axis=0), axis=1))
    begins = np.append(True, owner[1:] != owner[:-1])
    step[begins] = 0.0
    travelled = np.cumsum(step)
    along = travelled - travelled[begins][owner]
    ends = np.append(np.flatnonzero(begins)[1:] - 1, len(corner) - 1)

    nodes, both = np.unique(np.concatenate([network.from_node[first], network.to_node[last]]), return_inverse=True)
    tail, head = both.reshape(2, -1)
    turned = network.reverse[last]
    begun_by = np.full(len(network) + 1, -1)
    begun_by[first] = np.arange(len(chained))
    follow = network.successors
    allowed = np.asarray(follow[last, np.maximum(turned, 0)]).ravel() > 0
    side, squares, square_start, piece = _grid(corner, owner, radius_m)
    place = np.empty((len(nodes), 2))
    place[tail], place[head] = corner[begins], corner[ends]
    out_start, out = _by_node(tail, len(nodes))
    into_start, into = _by_node(head, len(nodes))
    return Graph(
        tail=tail, head=head, length=np.maximum(along[ends], LEAST_M),
        barred=np.where((turned >= 0) & ~allowed, begun_by[turned], -1),
        out_start=out_start, out=out, into_start=into_start, into=into, member_start=member_start, member=member,
        corner=corner, along=along, owner=owner, place=place, side=side, squares=squares, square_start=square_start,
        piece=piece,
    )  # fmt: skip


def _by_node(node: ndarray, count: int) -> tuple[ndarray, ndarray]:
    order = np.argsort(node, kind="stable")
    return np.append(0, np.cumsum(np.bincount(node, minlength=count))), order


def _grid(corner: Float[ndarray, "k 2"], owner: ndarray, radius_m: float) -> tuple[float, ndarray, ndarray, ndarray]:
    """Side, keys, offsets and pieces of the squares.

    A piece is in the squares of points on it that are at most half the radius apart, and a square is so much larger
    than the radius that what is near a fix is in the fix's square or in one of the eight around it.
    """
    step, side = radius_m / 2, 1.25 * radius_m
    piece = np.flatnonzero(owner[1:] == owner[:-1])
    length = np.linalg.norm(corner[piece + 1] - corner[piece], axis=1)
    points = np.ceil(length / step).astype(np.int64) + 1
    of = np.repeat(np.arange(len(piece)), points)
    share = (np.arange(len(of)) - np.repeat(np.cumsum(points) - points, points)) / np.maximum(points - 1, 1)[of]
    at = corner[piece[of]] + share[:, None] * (corner[piece[of] + 1] - corner[piece[of]])
    column, row = np.floor(at / side).astype(np.int64).T
    key, which = np.unique(np.stack([column * ROWS + row, piece[of]]), axis=1)
    squares, begin = np.unique(key, return_index=True)
    return side, squares, np.append(begin, len(key)), which
