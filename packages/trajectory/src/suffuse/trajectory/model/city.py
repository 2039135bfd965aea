"""A city as the model meets it: static features of its segments, observed usage, and costs to go to any destination.

Dimensions: s segments, t transitions, n nodes, d destinations in hand, f static features.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray
from torch import Tensor

from suffuse.trajectory.model.usage import ZONE_METRES, Usage, no_usage, zone_of
from suffuse.trajectory.roads.costs import NodeSearch
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork

POPULARITY_GAIN = 3.0
"""A street that nobody was seen on counts this much longer, on top of its length, than the busiest one."""

METRICS = 4
"""Costs to go: free-flow time, length, length weighted by popularity, and surprise: what drivers rarely do."""

SURPRISE_PER_KM = 2.0
"""Nats that a kilometre counts beside the surprise of the turns on it."""

PSEUDO_COUNT = 5.0
"""Strength with which shares of a zone's traffic back off to those of all traffic."""

SEGMENT_FEATURES = 14 + len(HIGHWAY_CLASSES)
TURN_FEATURES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class CostsToGo:
    """What lies between anywhere and some destinations."""

    distance: Float32[ndarray, "4 d n"]
    """Cost from every node to the start of each destination segment, by metric; `UNKNOWN` far off."""
    learned: Float32[ndarray, "z s"]
    """Cost of each segment in the last metric, for each distinct zone of a destination."""
    zone_row: Int[ndarray, " d"]
    """Row of `learned` of each destination."""


@dataclass(frozen=True, eq=False)
class CityFeatures:
    """A road network with what was observed on it, ready for the model.

    Args:
        network: the roads; closed segments are honoured.
        observed: counts of the network's trips, or None for a city of which no trips are known.
        before: the network as it was when they were counted, where it has been changed since: see `what_if.Pivot`.
        turned: the map is seen turned by this angle, radians anticlockwise: training on several cities does that, for
            in which direction the streets of a strange city run says nothing.
    """

    network: RoadNetwork
    observed: Usage | None = None
    before: RoadNetwork | None = None
    turned: float = 0.0

    @cached_property
    def usage(self) -> Usage:
        """Observed usage of what is open, or zeros."""
        return no_usage(self.network) if self.observed is None else self.observed.on(self.network)

    @cached_property
    def has_usage(self) -> bool:
        """Whether trips of this city are known."""
        return self.observed is not None

    @cached_property
    def node_metres(self) -> Float[ndarray, "n 2"]:
        """The network's nodes on the map as it is turned."""
        if not self.turned:
            return self.network.node_metres
        cos, sin = np.cos(self.turned), np.sin(self.turned)
        return self.network.node_metres @ np.array([[cos, sin], [-sin, cos]])

    @cached_property
    def bearings(self) -> tuple[Float[ndarray, " s"], Float[ndarray, " s"]]:
        """The network's directions of travel on the map as it is turned."""
        start, end = self.network.bearings
        return start + self.turned, end + self.turned

    @cached_property
    def ways(self) -> tuple[Float[ndarray, "s 2"], Float[ndarray, "s 2"]]:
        """The same directions as unit vectors."""
        start, end = (np.stack([np.cos(angle), np.sin(angle)], axis=1) for angle in self.bearings)
        return start, end

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

    @cached_property
    def _learned(self) -> dict[int, Float32[ndarray, " s"]]:
        return {}

    def learned_cost(self, zone: int) -> Float32[ndarray, " s"]:
        """Cost of each segment to drivers bound for a fine zone: surprise in nats, and a little for its length.

        Surprise is -log of the share of those who left its first node that took it: first of all traffic, corrected
        by that to the coarse zone around, then by that to the zone itself.
        """
        if zone not in self._learned:
            start = self.network.from_node
            share = 1 / np.bincount(start)[start]
            middle = (np.array(divmod(zone, 1024)) - 511.5) * ZONE_METRES[1]
            coarse = (np.floor(middle / ZONE_METRES[0]).astype(np.int64) + 512).clip(0, 1023)
            levels = (
                self.usage.flow,
                self.usage.flow_to(0, int(coarse[0] * 1024 + coarse[1])),
                self.usage.flow_to(1, zone),
            )
            for flow in levels:
                share = (flow + PSEUDO_COUNT * share) / (np.bincount(start, flow)[start] + PSEUDO_COUNT)
            self._learned[zone] = (-np.log(share) + SURPRISE_PER_KM * self.network.length_m / 1000).astype(np.float32)
        return self._learned[zone]

    @cached_property
    def _search(self) -> NodeSearch:
        return NodeSearch.of(self.network)

    def costs_to_go(self, destinations: Int[ndarray, " d"], origins: Int[ndarray, " d"] | None = None) -> "CostsToGo":
        """Costs from every node to each destination segment, in every metric.

        With `origins`, from where a trip from there is likely to come by; the rest can be made whole by `complete`.
        """
        goals = self.network.from_node[destinations].astype(np.int64)
        distance = np.empty((METRICS, len(goals), len(self.network.node_ids)), dtype=np.float32)
        zones, zone_row = np.unique(self.zones[1][destinations], return_inverse=True)
        costs = CostsToGo(
            distance=distance,
            learned=np.stack([self.learned_cost(int(zone)) for zone in zones]),
            zone_row=zone_row,
        )
        if origins is None:
            distinct, back = np.unique(goals, return_inverse=True)
            for metric, cost in enumerate(self.cost):
                table = np.empty((len(distinct), distance.shape[2]), dtype=np.float32)
                self._search.whole(cost, distinct, table)
                distance[metric] = table[back]
            self._complete_learned(costs, goals, np.arange(len(goals)))
            return costs
        starts = self.network.to_node[origins].astype(np.int64)
        for metric, cost in enumerate(self.cost):
            self._search.about(cost, goals, starts, distance[metric])
        for row in range(len(goals)):
            one = slice(row, row + 1)
            self._search.about(costs.learned[zone_row[row]], goals[one], starts[one], distance[-1, one])
        return costs

    def complete(self, costs: CostsToGo, destinations: Int[ndarray, " d"], lacking: Bool[ndarray, "4 d"]) -> None:
        """Make the rows of `costs`, asked for `destinations`, whole that are `lacking` in a metric."""
        goals = self.network.from_node[destinations].astype(np.int64)
        for metric in np.flatnonzero(lacking.any(axis=1)).tolist():
            rows = np.flatnonzero(lacking[metric])
            if metric == METRICS - 1:
                self._complete_learned(costs, goals, rows)
                continue
            table = np.empty((len(rows), costs.distance.shape[2]), dtype=np.float32)
            self._search.whole(self.cost[metric], goals[rows], table)
            costs.distance[metric, rows] = table

    def _complete_learned(self, costs: CostsToGo, goals: Int[ndarray, " d"], rows: Int[ndarray, " k"]) -> None:
        for row in rows.tolist():
            one = slice(row, row + 1)
            self._search.whole(costs.learned[costs.zone_row[row]], goals[one], costs.distance[-1, one])

    @cached_property
    def segment_features(self) -> Float[Tensor, "s f"]:
        """Static features of each segment: what its road encoder reads. None of them says which segment it is."""
        network = self.network
        start, end = self.bearings
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
