"""The recursive logit of route choice as a generator: learned costs, weights by maximum likelihood, drawn turn by turn.

Every walk arrives, because the value function counts only ways that end at the destination.
"""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.baselines.baseline import Baseline, generator, times_from
from suffuse.trajectory.baselines.travel_times import TravelTimes
from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies, destination_zones
from suffuse.trajectory.baselines.turn_graph import NO_TRANSITION, TurnGraph
from suffuse.trajectory.baselines.value_function import NoValueError, ValueFunction
from suffuse.trajectory.baselines.walk import walk
from suffuse.trajectory.baselines.zone_path import FEWEST_TO_TUNE, ZonePathSettings, hold_out, tune
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

FEATURES = ("surprise", "km", "turn", "u_turn")
"""Of a transition: -log of its smoothed frequency given the zone; km of the segment entered; change of direction over
half a turn, 0 to 1; turning round into the same street."""

START = (1.0, 1.0, 0.0, 0.0)
"""Weights that the search for the likeliest ones starts from, and those kept when trips are too few."""

ZONES, TRIPS_PER_ZONE = 32, 16
"""The likelihood is that of at most so many trips to each of so many zones."""

STEPS = 20
"""Most Newton steps."""

RAISE = 1.05
"""Factor on all costs, again and again, where they are too low for the value function to exist."""


@dataclass(frozen=True)
class Estimate:
    """Weights of `FEATURES` in the cost of a transition, with what is known about their fit."""

    weights: tuple[float, ...] = START
    standard_error: tuple[float, ...] = (float("inf"),) * len(START)
    log_likelihood: float = float("nan")
    """Mean of a trip, nats."""
    trips: int = 0


class RecursiveLogit(Baseline):
    """Samples trips from the recursive logit with the costs of the zone path."""

    name: ClassVar[str] = "recursive-logit"

    def __init__(
        self,
        network: RoadNetwork,
        times: TravelTimes,
        turns: TurnFrequencies,
        smoothing: float,
        estimate: Estimate,
    ) -> None:
        super().__init__(network, times)
        self.turns, self.smoothing, self.estimate = turns, smoothing, estimate

    @classmethod
    def fit(
        cls, network: RoadNetwork, trips: Trips, *, seed: int = 0, settings: ZonePathSettings | None = None
    ) -> "RecursiveLogit":
        """Count turns as the zone path does (its settings are tuned unless given), and find the likeliest weights.

        The likelihood is that of trips that were not counted: frequencies that have seen a trip flatter it.
        """
        chosen = tune(network, trips, seed=seed) if settings is None else settings
        graph = TurnGraph.of(network)

        def counted(part: Trips) -> TurnFrequencies:
            return TurnFrequencies.count(graph, destination_zones(network, part, chosen.depth), part)

        estimate = Estimate()
        if len(trips) >= FEWEST_TO_TUNE:
            part, held = hold_out(trips, seed=seed)
            estimate = estimate_weights(graph, network, counted(part), chosen.smoothing, held)
        return cls(network, TravelTimes.fit(network, trips), counted(trips), chosen.smoothing, estimate)

    def routes(self, requests: Requests, *, seed: int, first: int) -> list[Int[ndarray, " l"]]:
        """One sampled route a request; empty where there is no way."""
        graph = TurnGraph.of(self.network)
        fixed = fixed_features(graph, self.network)
        zone = self.turns.zone_of[requests.destination]
        out: list[Int[ndarray, " l"]] = [np.empty(0, np.int64)] * len(requests)
        for this in np.unique(zone).tolist():
            features = zone_features(graph, fixed, self.turns, self.smoothing, this)
            function = raised_until_finite(graph, features @ np.array(self.estimate.weights))
            here = zone == this
            for destination in np.unique(requests.destination[here]).tolist():
                weights = function.choice_weights(destination)
                for row in np.flatnonzero(here & (requests.destination == destination)).tolist():
                    route = walk(graph, weights, int(requests.origin[row]), destination, generator(seed, first + row))
                    out[row] = route if route[-1] == destination else route[:0]
        return out

    def state(self) -> tuple[dict[str, ndarray], dict[str, Any]]:
        """Counts, weights and how these were found."""
        said = {
            "smoothing": self.smoothing,
            "features": list(FEATURES),
            "weights": list(self.estimate.weights),
            "standard_error": [None if np.isinf(x) else x for x in self.estimate.standard_error],
            "log_likelihood": None if np.isnan(self.estimate.log_likelihood) else self.estimate.log_likelihood,
            "trips": self.estimate.trips,
        }
        return self.turns.state(), said

    @classmethod
    def restore(cls, network: RoadNetwork, tensors: dict[str, ndarray], settings: dict[str, Any]) -> "RecursiveLogit":
        """The baseline with these counts and weights."""
        if tuple(settings["features"]) != FEATURES or len(settings["weights"]) != len(FEATURES):
            raise ModelError(f"a recursive logit has weights of {', '.join(FEATURES)}, not of {settings['features']}")
        said = settings["log_likelihood"]
        estimate = Estimate(
            tuple(float(weight) for weight in settings["weights"]),
            tuple(float("inf") if error is None else float(error) for error in settings["standard_error"]),
            float("nan") if said is None else float(said),
            int(settings["trips"]),
        )
        turns = TurnFrequencies.restore(tensors)
        return cls(network, times_from(tensors), turns, float(settings["smoothing"]), estimate)


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


def raised_until_finite(graph: TurnGraph, cost: Float[ndarray, " t"]) -> ValueFunction:
    """The value function of these costs, or of the same a little higher where it does not exist; warns then."""
    factor = 1.0
    while True:
        try:
            function = ValueFunction(graph, np.maximum(cost, 0.0) * factor if factor > 1 else cost)
        except NoValueError:
            factor *= RAISE
            if factor > 1e3:
                raise
            continue
        if factor > 1:
            warnings.warn(
                f"recursive logit: the costs are too low for a value function and were raised by {factor - 1:.0%}",
                RuntimeWarning,
                stacklevel=3,
            )
        return function


def estimate_weights(
    graph: TurnGraph, network: RoadNetwork, turns: TurnFrequencies, smoothing: float, trips: Trips
) -> Estimate:
    """The likeliest weights for trips whose turns were not counted.

    The log-likelihood of a route is minus its cost, less log z of its origin (their eq. 11); it is concave in the
    weights, and infinitely bad where the value function ceases to exist. Newton steps with the outer product of the
    scores (Berndt, Hall, Hall and Hausman 1974) are halved until they gain.
    """
    fixed = fixed_features(graph, network)
    groups = _by_zone(graph, turns, trips)
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

    weights = np.array(START)
    while True:
        try:
            best, score = scores(weights)
            break
        except NoValueError:
            weights = weights * 1.25
    for _ in range(STEPS):
        information = score.T @ score + 1e-6 * np.eye(len(FEATURES))
        step = np.linalg.solve(information, score.sum(axis=0))
        gain = float(score.sum(axis=0) @ step)
        if gain < 1e-3:
            break
        for _ in range(12):
            try:
                trial, trial_score = scores(weights + step)
            except NoValueError:
                trial = -np.inf
            if trial > best:
                break
            step = step / 2
        else:
            break
        weights, best, score = weights + step, trial, trial_score
    error = np.sqrt(np.diag(np.linalg.inv(score.T @ score + 1e-6 * np.eye(len(FEATURES)))))
    return Estimate(tuple(weights.tolist()), tuple(error.tolist()), best / len(score), len(score))


def _by_zone(graph: TurnGraph, turns: TurnFrequencies, trips: Trips) -> dict[int, Int[ndarray, " r"]]:
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
    return {int(z): np.flatnonzero(usable & (zone == z))[:TRIPS_PER_ZONE] for z in most if count[z]}


def _turns_of(graph: TurnGraph, trips: Trips, row: int) -> Int[ndarray, " j"]:
    route = trips.segments_of(row)
    return graph.find(route[:-1], route[1:])
