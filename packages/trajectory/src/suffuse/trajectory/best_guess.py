"""The best guess of a trip from several draws: the medoid, the one that has most in common with the others."""

import numpy as np

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips, concatenate


def medoids(network: RoadNetwork, draws: list[Trips]) -> Trips:
    """For each request the draw whose length-weighted overlap with the other draws is largest, the first among equals.

    `draws` hold one trip for every request each, in the same order. Overlap is metres in common over metres of both
    (with repeats counted once), so the medoid maximises the expected score against one more draw from the same
    source.
    """
    rows: list[int] = []
    count = len(draws[0])
    for request in range(count):
        routes = [np.unique(draw.segments_of(request)) for draw in draws]
        used, place = np.unique(np.concatenate(routes), return_inverse=True)
        member = np.zeros((len(routes), len(used)))
        member[np.repeat(np.arange(len(routes)), [len(route) for route in routes]), place] = 1
        weighted = member * network.length_m[used]
        shared = weighted @ member.T
        own = weighted.sum(axis=1)
        score = (shared / (own[:, None] + own[None, :] - shared)).sum(axis=1)
        rows.append(int(np.argmax(score > score.max() - 1e-9)) * count + request)
    return concatenate(draws).take(np.array(rows))
