"""A random walk over transitions, from an origin until a destination.

Dimensions: s segments, t transitions, u uniform numbers, l segments of a route.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.baselines.turn_graph import TurnGraph

PART = 512
"""Uniform numbers drawn at a time."""


def walk(
    graph: TurnGraph,
    weight: Float[ndarray, " t"],
    origin: int,
    destination: int,
    rng: np.random.Generator,
    *,
    limit: int | None = None,
) -> Int[ndarray, " l"]:
    """Take each next segment with probability in proportion to the weight of its transition.

    Ends on the destination, where all weights are 0, or at `limit` segments; then its last segment is another one.
    """
    parts = [np.array([origin], dtype=np.int64)]
    taken = 1
    while parts[-1][-1] != destination and (limit is None or taken < limit):
        count = PART if limit is None else min(PART, limit - taken)
        part = _walk(graph.start, graph.after, weight, parts[-1][-1], destination, rng.random(count))
        parts.append(part)
        taken += len(part)
        if len(part) < count:
            break
    return np.concatenate([part for part in parts if len(part)])


@njit(cache=True)
@no_type_check
def _walk(start: ndarray, after: ndarray, weight: ndarray, segment: int, destination: int, uniform: ndarray) -> ndarray:
    route = np.empty(len(uniform), np.int64)
    for step in range(len(uniform)):
        total = 0.0
        for turn in range(start[segment], start[segment + 1]):
            total += weight[turn]
        if total <= 0.0:
            return route[:step]
        threshold = uniform[step] * total
        chosen = -1
        reached = 0.0
        for turn in range(start[segment], start[segment + 1]):
            if weight[turn] > 0.0:
                chosen = turn
                reached += weight[turn]
                if reached > threshold:
                    break
        segment = after[chosen]
        route[step] = segment
        if segment == destination:
            return route[: step + 1]
    return route
