"""The best guess of a trip by consensus: the cheapest route where a turn costs what it surprises, and draws vote.

One route that has most in common with what people drive. A medoid can only be one of the draws; here they vote on
streets, and what drivers bound for that zone do on every street of the town decides between them. Why and what it
gains: docs/decisions/0018.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.trips.table import Trips

VOTE = 3.0
"""Nats that a kilometre costs that none of the draws takes; what all of them take costs nothing more."""


def votes(draws: Sequence[Trips], request: int, segments: int) -> Float[ndarray, " s"]:
    """Share of the draws that take each segment on their answer to one request."""
    share = np.zeros(segments)
    for draw in draws:
        share[np.unique(draw.segments_of(request))] += 1 / len(draws)
    return share


def consensus_routes(
    logit: RecursiveLogit, requests: Requests, draws: Sequence[Trips], *, vote: float = VOTE
) -> list[Int[ndarray, " _"]]:
    """For each request the cheapest route by the costs of the recursive logit and the votes of the draws.

    `draws` hold one trip for every request each, in the same order. A transition costs what it does in the recursive
    logit and, for each kilometre of its second segment, `vote` times the share of draws that do not take it.
    """
    graph = logit.graph
    kilometres = logit.network.length_m / 1000
    zone = logit.turns.zone_of[requests.destination]
    routes: list[Int[ndarray, " _"]] = [np.empty(0, np.int64)] * len(requests)
    for this in np.unique(zone).tolist():
        cost = np.maximum(logit.cost(this), 0.0)
        for row in np.flatnonzero(zone == this).tolist():
            doubt = vote * kilometres * (1 - votes(draws, row, graph.segments))
            routes[row] = graph.cheapest_route(
                cost + doubt[graph.after], int(requests.origin[row]), int(requests.destination[row])
            )
    return routes
