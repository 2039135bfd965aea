"""What the recursive logit says about the next segment, for a model that samples from the product of both.

Dimensions: b trips, d distinct destinations of them, s segments, t transitions, z zones in hand, q masked positions, m
candidates.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.model.candidates import Candidates

LEAST_VALUE = 1e-300
"""Values below it count as this: from there hardly any way leads to the destination."""


@njit(cache=True)
@no_type_check
def _log_odds(
    trip: ndarray,
    left: ndarray,
    speaks: ndarray,
    start: ndarray,
    segment: ndarray,
    first: ndarray,
    after: ndarray,
    log_weight: ndarray,
    zone_row: ndarray,
    log_value: ndarray,
    value_row: ndarray,
    out: ndarray,
) -> None:
    for query in range(len(trip)):
        before, t = left[query], trip[query]
        if not speaks[query]:
            continue
        weight, value = log_weight[zone_row[t]], log_value[value_row[t]]
        for i in range(start[query], start[query + 1]):
            for turn in range(first[before], first[before + 1]):
                if after[turn] == segment[i]:
                    out[i] = weight[turn] + value[segment[i]]
                    break


@dataclass(frozen=True, kw_only=True, eq=False)
class RouteChoice:
    """The choices of a recursive logit on the way to some trips' destinations."""

    graph: TurnGraph
    destination: Int[ndarray, " b"]
    log_weight: Float32[ndarray, "z t"]
    zone_row: Int[ndarray, " b"]
    """Row of `log_weight` of each trip."""
    log_value: Float32[ndarray, "d s"]
    value_row: Int[ndarray, " b"]
    """Row of `log_value` of each trip."""
    learned_beside: bool = False
    """Whether the network was trained with what this says added: then it needs no sharpening where this is silent."""

    @staticmethod
    def towards(logit: RecursiveLogit, destination: Int[ndarray, " b"]) -> "RouteChoice":
        """Prepare for trips to these destinations: one solve for each distinct one."""
        distinct, value_row = np.unique(destination, return_inverse=True)
        zones, zone_of = np.unique(logit.turns.zone_of[distinct], return_inverse=True)
        log_value = np.empty((len(distinct), len(logit.network)), dtype=np.float32)
        log_weight = []
        for row, zone in enumerate(zones.tolist()):
            function = logit.value_function(zone)
            log_weight.append(np.log(np.maximum(function.weight, LEAST_VALUE)).astype(np.float32))
            for place in np.flatnonzero(zone_of == row).tolist():
                log_value[place] = np.log(np.maximum(function.values(int(distinct[place])), LEAST_VALUE))
        return RouteChoice(
            graph=logit.graph,
            destination=destination.astype(np.int64),
            log_weight=np.stack(log_weight),
            zone_row=zone_of[value_row],
            log_value=log_value,
            value_row=value_row,
            learned_beside=logit.learned_beside,
        )

    def speaks(self, candidates: Candidates) -> Bool[ndarray, " q"]:
        """True for positions whose left neighbour is known and is not the destination yet."""
        left, last = candidates.left, self.destination[candidates.row]
        return (candidates.left_gap == 1) & (left != last) & (left < self.graph.segments)

    def log_odds(self, candidates: Candidates) -> Float32[ndarray, " m"]:
        """Log-probability of each candidate beside its left neighbour, up to a constant for each position.

        0 where the recursive logit says nothing: see `speaks`.
        """
        out = np.zeros(len(candidates.segment), dtype=np.float32)
        _log_odds(
            candidates.row, candidates.left, self.speaks(candidates), candidates.start, candidates.segment,
            self.graph.start, self.graph.after, self.log_weight, self.zone_row, self.log_value, self.value_row, out,
        )  # fmt: skip
        return out
