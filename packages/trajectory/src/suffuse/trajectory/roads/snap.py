"""Nodes for lines that come without: ends that lie on one spot are one node."""

import numpy as np
import pyproj
import shapely
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

SNAP_M = 0.5
"""Ends closer than this many metres are one node."""


def snap_ends(
    lines: ndarray, joined: tuple[Int[ndarray, " j"], Int[ndarray, " j"]] | None = None
) -> tuple[Int[ndarray, " s"], Int[ndarray, " s"], Float[ndarray, "n 2"]]:
    """Rows of the start and the end node of each of s LineStrings (WGS 84), and the n nodes' lon/lat.

    `joined` = (a, b) says that the end of line a[i] is the start of line b[i] wherever they lie. Nodes are numbered in
    the order in which the lines name them; a node lies where its first end does. Coordinates must be finite.
    """
    count = len(lines)
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(lines, index)) for index in (0, -1)])
    middle = (ends.min(axis=0) + ends.max(axis=0)) / 2
    plane = pyproj.Proj(proj="aeqd", lon_0=middle[0], lat_0=middle[1], datum="WGS84")
    near = cKDTree(np.stack(plane(ends[:, 0], ends[:, 1]), axis=1)).query_pairs(SNAP_M, output_type="ndarray")
    a, b = near[:, 0], near[:, 1]
    if joined is not None:
        a, b = np.concatenate([a, joined[0] + count]), np.concatenate([b, joined[1]])
    pairs = sparse.csr_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(2 * count, 2 * count))
    _, spot = connected_components(pairs, directed=False)
    travel = np.stack([spot[:count], spot[count:]], axis=1).ravel()
    _, first, inverse = np.unique(travel, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    node = rank[inverse].reshape(count, 2)
    where = first[order]
    return node[:, 0], node[:, 1], ends[where // 2 + count * (where % 2)]
