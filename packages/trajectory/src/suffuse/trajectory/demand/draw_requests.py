"""Requests without trips: who wants to go where and when, from the same gravity demand as the simulated trips."""

from dataclasses import replace

import numpy as np

from suffuse.trajectory.demand.config import DemandConfig, usual_config
from suffuse.trajectory.demand.gravity import draw_hour
from suffuse.trajectory.demand.simulate import MAX_PAIRS, check_seed, simulated_world, trip_stream
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork


def draw_requests(
    network: RoadNetwork,
    count: int,
    *,
    seed: int,
    first: int = 0,
    config: DemandConfig | None = None,
    before: RoadNetwork | None = None,
) -> Requests:
    """Draw requests number `first` to `first + count - 1`; request i depends on the seed and i alone, and its id is i.

    Origins and destinations are never closed segments, nor such that closed segments cut off from each other: those
    requests, and no others, are drawn anew. `before` is the network as it was before speeds on it were changed, for a
    slower street changes no one's destination. Raises RequestError for a count below 1.
    """
    check_seed(seed)
    if count < 1:
        raise RequestError(f"the number of trips must be at least 1, got {count}")
    config = config or usual_config(network.mode)
    home = network if before is None else before
    world = simulated_world(replace(home, closed=frozenset()) if home.closed else home, config)
    midnight = np.datetime64(config.first_day, "s")
    origin, destination = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    depart = np.empty(count, dtype="datetime64[s]")
    for row in range(count):
        generator = trip_stream(seed, first + row, stream=0)
        for _ in range(MAX_PAIRS):
            purpose, start, end = world.gravity.draw(generator)
            if not network.closed:
                break
            if not {start, end} & network.closed and network.strong_component[start] == network.strong_component[end]:
                break
        else:
            raise RequestError(f"road network {network.name!r} has no open segments to start or end a trip on")
        origin[row], destination[row] = start, end
        hour, day = draw_hour(purpose, generator), int(generator.integers(config.days))
        depart[row] = midnight + np.timedelta64(86400 * day + int(hour * 3600), "s")
    names = np.array([str(row) for row in range(first, first + count)], dtype=object)
    number = np.arange(first, first + count)
    return Requests(origin=origin, destination=destination, depart=depart, request_id=names, number=number)
