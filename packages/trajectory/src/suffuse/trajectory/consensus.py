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

VOTE = 0.2
"""Nats that a street costs for each nat of surprise at it in the eyes of the draws."""

FAINT = 0.1
"""Added to the share of draws that took a street, so that none is ruled out."""

LOGIT_DRAWS = 3
"""Draws of the recursive logit for each draw of the model; the two sources have as much say."""


def votes(draws: Sequence[Trips], request: int, segments: int) -> Float[ndarray, " s"]:
    """Share of the draws that take each segment on their answer to one request."""
    share = np.zeros(segments)
    for draw in draws:
        share[np.unique(draw.segments_of(request))] += 1 / len(draws)
    return share


def consensus_routes(
    logit: RecursiveLogit, requests: Requests, sources: Sequence[Sequence[Trips]], *, vote: float = VOTE
) -> list[Int[ndarray, " _"]]:
    """For each request the cheapest route by the costs of the recursive logit and the votes of the draws.

    `sources` hold the draws of each source, one trip for every request each, in the same order; each source has as much
    say as any other. A transition costs what it does in the recursive logit plus `vote` times -log of the share of
    draws that took its second segment, relative to one that all took.
    """
    graph = logit.graph
    zone = logit.turns.zone_of[requests.destination]
    routes: list[Int[ndarray, " _"]] = [np.empty(0, np.int64)] * len(requests)
    for this in np.unique(zone).tolist():
        cost = np.maximum(logit.cost(this), 0.0)
        for row in np.flatnonzero(zone == this).tolist():
            share = np.mean([votes(draws, row, graph.segments) for draws in sources], axis=0)
            doubt = np.log1p(FAINT) - np.log(share + FAINT)
            routes[row] = graph.cheapest_route(
                cost + vote * doubt[graph.after], int(requests.origin[row]), int(requests.destination[row])
            )
    return routes
