"""The likeliest weights of a recursive logit.

Dimensions: t transitions, f features of a transition, r trips.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies
from suffuse.trajectory.baselines.turn_graph import NO_TRANSITION, TurnGraph
from suffuse.trajectory.baselines.value_function import NoValueError, ValueFunction
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

FEATURES = ("surprise", "km", "turn", "u_turn")
"""Of a transition: -log of its smoothed frequency given the zone; km of the segment entered; change of direction over
half a turn, 0 to 1; turning round into the same street."""

ZONES, TRIPS_PER_ZONE = 32, 16
"""The likelihood is that of at most so many trips to each of so many zones."""

STEPS = 20
"""Most Newton steps."""

PRIOR = 10.0
"""Standard deviation of a normal prior on each weight, around its start: it only holds back weights that the trips say
nothing about, as that of turning round where nobody does."""

LEAST_GAIN = 1e-3
"""Newton steps end when they promise less than this, in nats over all trips."""


@dataclass(frozen=True)
class Estimate:
    """Weights of `FEATURES` in the cost of a transition, with what is known about their fit."""

    weights: tuple[float, ...]
    standard_error: tuple[float, ...] | None = None
    """None where the weights were given, not estimated."""
    log_likelihood: float | None = None
    """Mean of a trip, nats."""
    trips: int = 0


def fixed_features(graph: TurnGraph, network: RoadNetwork) -> Float[ndarray, "t f"]:
    """`FEATURES` of each transition; the surprise, which depends on the zone, is still 0."""
    enter, leave = network.bearings
    angle = enter[graph.after] - leave[graph.before]
    bend = np.abs((angle + np.pi) % (2 * np.pi) - np.pi) / np.pi
    around = network.reverse[graph.before] == graph.after
    km = network.length_m[graph.after] / 1000
    return np.stack([np.zeros(len(graph)), km, np.where(around, 0.0, bend), around], axis=-1)


def zone_features(
    graph: TurnGraph, fixed: Float[ndarray, "t f"], turns: TurnFrequencies, smoothing: float, zone: int
) -> Float[ndarray, "t f"]:
    """`FEATURES` of each transition in trips to a zone."""
    features = fixed.copy()
    features[:, 0] = -np.log(turns.probability(graph, zone, smoothing))
    return features


def estimate_weights(
    graph: TurnGraph,
    network: RoadNetwork,
    turns: TurnFrequencies,
    smoothing: float,
    trips: Trips,
    start: tuple[float, ...],
) -> Estimate:
    """The likeliest weights for trips whose turns were not counted, searched for from `start`.

    The log-likelihood of a route is minus its cost, less log z of its origin (their eq. 11); it is concave in the
    weights, and infinitely bad where the value function ceases to exist. Newton steps with the outer product of the
    scores (Berndt, Hall, Hall and Hausman 1974) are halved until they gain.
    """
    fixed = fixed_features(graph, network)
    groups = _by_zone(graph, turns, trips)
    if not groups:
        return Estimate(start)
    observed = {}
    for zone, rows in groups.items():
        features = zone_features(graph, fixed, turns, smoothing, zone)
        observed[zone] = np.stack([features[_turns_of(graph, trips, row)].sum(axis=0) for row in rows])

    def scores(weights: Float[ndarray, " f"]) -> tuple[float, Float[ndarray, "r f"]]:
        total, rows_of_scores = 0.0, []
        for zone, rows in groups.items():
            features = zone_features(graph, fixed, turns, smoothing, zone)
            function = ValueFunction(graph, features @ weights)
            for row, seen in zip(rows, observed[zone], strict=True):
                log_z, expected = function.expected_features(
                    features, int(trips.origin[row]), int(trips.destination[row])
                )
                total -= seen @ weights + log_z
                rows_of_scores.append(expected - seen)
        return total, np.stack(rows_of_scores)

    centre = np.array(start)
    while True:
        try:
            best, score = scores(centre)
            break
        except NoValueError:
            centre = centre * 1.25
    weights = centre
    best_with_prior = best
    for _ in range(STEPS):
        slope = score.sum(axis=0) - (weights - centre) / PRIOR**2
        step = np.linalg.solve(score.T @ score + np.eye(len(FEATURES)) / PRIOR**2, slope)
        if slope @ step < LEAST_GAIN:
            break
        for _ in range(12):
            trial = weights + step
            try:
                found, found_score = scores(trial)
            except NoValueError:
                found = -np.inf
            with_prior = found - ((trial - centre) ** 2).sum() / (2 * PRIOR**2)
            if with_prior > best_with_prior:
                break
            step = step / 2
        else:
            break
        weights, best, best_with_prior, score = trial, found, with_prior, found_score
    error = np.sqrt(np.diag(np.linalg.inv(score.T @ score + np.eye(len(FEATURES)) / PRIOR**2)))
    return Estimate(tuple(weights.tolist()), tuple(error.tolist()), float(best / len(score)), len(score))


def _by_zone(graph: TurnGraph, turns: TurnFrequencies, trips: Trips) -> dict[int, list[int]]:
    """Rows of usable trips by zone of the destination: the zones with most of them, some trips of each.

    Trips with an illegal turn have no likelihood, nor have those that pass their destination before they end.
    """
    usable = np.zeros(len(trips), dtype=bool)
    for row in range(len(trips)):
        route = trips.segments_of(row)
        usable[row] = (
            len(route) > 1
            and np.count_nonzero(route == route[-1]) == 1
            and NO_TRANSITION not in _turns_of(graph, trips, row)
        )
    zone = turns.zone_of[trips.destination]
    count = np.bincount(zone[usable])
    most = np.argsort(-count, kind="stable")[:ZONES]
    return {int(z): np.flatnonzero(usable & (zone == z))[:TRIPS_PER_ZONE].tolist() for z in most if count[z]}


def _turns_of(graph: TurnGraph, trips: Trips, row: int) -> Int[ndarray, " j"]:
    route = trips.segments_of(row)
    return graph.find(route[:-1], route[1:])
