"""Which road somebody crosses on the way from one street to the next.

Dimensions: k transitions.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork


def crossed_roads(network: RoadNetwork, before: Int[ndarray, " k"], after: Int[ndarray, " k"]) -> ndarray:
    """Class of the road that is crossed between segments `before` and `after`, which meet; "" where there is none.

    It is the busiest road at the node between them if that is busier than both, in the order of `HIGHWAY_CLASSES`.
    """
    rank = np.array([HIGHWAY_CLASSES.index(name) for name in network.highway])
    busiest = np.full(len(network.node_ids), len(HIGHWAY_CLASSES))
    np.minimum.at(busiest, network.from_node, rank)
    np.minimum.at(busiest, network.to_node, rank)
    crossed = busiest[network.to_node[before]]
    crosses = (crossed < rank[before]) & (crossed < rank[after])
    return np.where(crosses, np.array([*HIGHWAY_CLASSES, ""])[crossed], "")
