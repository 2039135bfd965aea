"""A city as the model meets it: static features of its segments, observed usage, and costs to go to any destination.

Dimensions: s segments, t transitions, n nodes, d destinations in hand, f static features.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from torch import Tensor

from suffuse.trajectory.model.usage import Usage, no_usage, zone_of
from suffuse.trajectory.roads.costs import cost_to_nodes
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork

POPULARITY_GAIN = 3.0
"""A street that nobody was seen on counts this much longer, on top of its length, than the busiest one."""

METRICS = 3
"""Costs to go: free-flow time, length, length weighted by popularity."""

SEGMENT_FEATURES = 14 + len(HIGHWAY_CLASSES)
TURN_FEATURES = 4


@dataclass(frozen=True, eq=False)
class CityFeatures:
    """A road network with what was observed on it, ready for the model.

    Args:
        network: the roads; closed segments are honoured.
        usage: observed counts, or None for a city of which no trips are known.
        standard: the usage that `popularity` is taken from; `usage` where not given.
    """

    network: RoadNetwork
    observed: Usage | None = None

    @cached_property
    def usage(self) -> Usage:
        """Observed usage, or zeros."""
        return no_usage(self.network) if self.observed is None else self.observed

    @cached_property
    def has_usage(self) -> bool:
        """Whether trips of this city are known."""
        return self.observed is not None

    @cached_property
    def zones(self) -> tuple[Int[ndarray, " s"], ...]:
        """Zone of each segment, coarse and fine."""
        return tuple(zone_of(self.network, level) for level in range(len(self.usage.flow_key)))

    @cached_property
    def cost(self) -> Float32[ndarray, "3 s"]:
        """Cost of each segment in each of the `METRICS`, minutes or kilometres."""
        kilometres = self.network.length_m / 1000
        busy = np.log1p(self.usage.flow)
        unseen = 1 - busy / busy.max() if self.has_usage and busy.max() > 0 else np.zeros_like(busy)
        return np.stack(
            [self.network.free_flow_s / 60, kilometres, kilometres * (1 + POPULARITY_GAIN * unseen)]
        ).astype(np.float32)

    def cost_to_go(self, destinations: Int[ndarray, " d"]) -> Float32[ndarray, "3 d n"]:
        """Cost from every node to the start of each destination segment."""
        nodes = self.network.from_node[destinations]
        distinct, back = np.unique(nodes, return_inverse=True)
        return np.stack([cost_to_nodes(self.network, cost, distinct)[back] for cost in self.cost])

    @cached_property
    def segment_features(self) -> Float[Tensor, "s f"]:
        """Static features of each segment: what its road encoder reads. None of them says which segment it is."""
        network = self.network
        start, end = network.bearings
        straight = np.hypot(*(network.node_metres[network.to_node] - network.node_metres[network.from_node]).T)
        flow = np.log1p(self.usage.flow)
        columns = [
            np.log(network.length_m / 100),
            np.log(network.speed_kmh / 30),
            np.log(network.lanes),
            network.oneway,
            np.log(network.free_flow_s / 10),
            np.minimum(straight / network.length_m, 1),
            np.cos(end - start),
            np.sin(end - start),
            np.diff(network.successors.indptr) / 3 - 1,
            np.diff(network.predecessors.indptr) / 3 - 1,
            np.full(len(network), self.has_usage),
            flow / 4,
            np.sin(2 * start),
            np.cos(2 * start),
        ]
        kind = np.array([HIGHWAY_CLASSES.index(name) for name in network.highway])
        one_hot = np.eye(len(HIGHWAY_CLASSES))[kind]
        return torch.from_numpy(np.concatenate([np.stack(columns, axis=1), one_hot], axis=1).astype(np.float32))

    @cached_property
    def edge_index(self) -> Int[Tensor, "2 t"]:
        """Legal transitions as (from, to), the graph that the road encoder passes messages on."""
        pattern = self.network.successors.tocoo()
        return torch.from_numpy(np.stack([pattern.row, pattern.col]).astype(np.int64))

    @cached_property
    def edge_features(self) -> Float[Tensor, "t 4"]:
        """Features of each transition: turn angle, U-turn, and how often it was taken."""
        pattern = self.network.successors.tocoo()
        start, end = self.network.bearings
        turn = start[pattern.col] - end[pattern.row]
        u_turn = self.network.reverse[pattern.row] == pattern.col
        taken = np.log1p(self.usage.turn_flow) / 4
        return torch.from_numpy(np.stack([np.cos(turn), np.sin(turn), u_turn, taken], axis=1).astype(np.float32))
