"""The best guess of a trip from several draws: their consensus, or the one that has most in common with the others."""

import numpy as np

from suffuse.trajectory.baselines import Baseline
from suffuse.trajectory.consensus import consensus_routes
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator
from suffuse.trajectory.requests import Requests
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


def answered(
    model: TripGenerator | Baseline, requests: Requests, config: GenerationConfig, *, best_of: int = 1, first: int = 0
) -> Trips:
    """One trip a request: a draw with the seed of `config`, or the best guess of `best_of` draws.

    The guess is the consensus where the model is used with a recursive logit, the medoid elsewhere.

    `first` is the number of the first request in the whole job.
    """
    if isinstance(model, Baseline):
        draws = [model.sample(requests, seed=config.seed + (draw << 32), first=first) for draw in range(best_of)]
        return draws[0] if best_of == 1 else medoids(model.network, draws)
    used = config if best_of == 1 else config.for_guess()
    draws = [model.sample(requests, seed=config.seed, first=first, config=used, draw=draw) for draw in range(best_of)]
    if best_of == 1:
        return draws[0]
    return guessed(model, requests, draws, used)


def guessed(model: TripGenerator, requests: Requests, draws: list[Trips], config: GenerationConfig) -> Trips:
    """The best guess from draws that were made with `config`, each with one trip for every request."""
    logit = model.logit_in_use(config)
    if logit is None:
        return medoids(model.city.network, draws)
    return model.along(requests, consensus_routes(logit, requests, draws), config=config)
