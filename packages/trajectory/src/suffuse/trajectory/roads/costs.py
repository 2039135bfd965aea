"""Network distance to a destination: the geometry of choice that every route decision looks at.

Distances are between nodes, so that one row serves all segments that end a trip at the same place; turn costs and
banned U-turns are left out, which makes them lower bounds of the true cost on the segment graph.

Dimensions: s segments, n nodes, k destination nodes.
"""

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from suffuse.trajectory.roads.network import RoadNetwork

FAR = np.float32(1e9)
"""Cost to a destination that cannot be reached."""


def reversed_node_graph(network: RoadNetwork, cost: Float[ndarray, " s"]) -> sparse.csr_array:
    """n x n matrix of the least cost of a segment from column to row: searching it forwards runs traffic backwards."""
    open_ = np.ones(len(network), dtype=bool)
    open_[list(network.closed)] = False
    u, v, weight = network.from_node[open_], network.to_node[open_], cost[open_]
    order = np.lexsort((weight, u, v))
    u, v, weight = u[order], v[order], weight[order]
    first = np.ones(len(u), dtype=bool)
    first[1:] = (u[1:] != u[:-1]) | (v[1:] != v[:-1])
    nodes = len(network.node_ids)
    return sparse.csr_array((weight[first].astype(np.float64), (v[first], u[first])), shape=(nodes, nodes))


def cost_to_nodes(
    network: RoadNetwork, cost: Float[ndarray, " s"], nodes: Int[ndarray, " k"]
) -> Float32[ndarray, "k n"]:
    """Least cost from every node to each of `nodes`, `cost` being that of each segment (> 0); `FAR` if unreachable."""
    graph = reversed_node_graph(network, cost)
    out = np.empty((len(nodes), graph.shape[0]), dtype=np.float32)
    for first in range(0, len(nodes), 256):  # dijkstra answers in float64: a part at a time keeps memory flat
        out[first : first + 256] = dijkstra(graph, indices=nodes[first : first + 256])
    out[~np.isfinite(out)] = FAR
    return out
