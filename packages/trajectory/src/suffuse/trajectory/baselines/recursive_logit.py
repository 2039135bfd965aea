"""The recursive logit of route choice as a generator: learned costs, one random choice after another.

Every walk arrives, because the value function counts only ways that end at the destination.
"""

import math
import warnings
from collections import OrderedDict
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.baselines.baseline import Baseline, generator, times_from
from suffuse.trajectory.baselines.likelihood import FEATURES, Estimate, estimate_weights, fixed_features, zone_features
from suffuse.trajectory.baselines.travel_times import TravelTimes
from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies, destination_zones
from suffuse.trajectory.baselines.turn_graph import TurnGraph
from suffuse.trajectory.baselines.value_function import NoValueError, ValueFunction
from suffuse.trajectory.baselines.walk import walk
from suffuse.trajectory.baselines.zone_path import ZonePathSettings, hold_out, tune
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

MOST_NUMBERS = 50_000_000
"""Numbers in the factors of all value functions that are kept, 12 bytes each."""

RAISE = 1.05
"""Factor on all costs, again and again, where they are too low for the value function to exist."""


class RecursiveLogit(Baseline):
    """Samples trips from the recursive logit with the costs of the zone path."""

    name: ClassVar[str] = "recursive-logit"
    learned_beside: ClassVar[bool] = False
    """Whether models that use it were trained to say only what it leaves open."""

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
        cls,
        network: RoadNetwork,
        trips: Trips,
        *,
        seed: int = 0,
        settings: ZonePathSettings | None = None,
        weights: str = "zone-path",
    ) -> "RecursiveLogit":
        """Count turns as the zone path does, with the settings that are tuned for it unless given.

        `weights` says what the costs are: those of the zone path as they stand, or the likeliest weights of `FEATURES`
        for a part of the trips whose turns are not counted meanwhile (frequencies that have seen a trip flatter it).
        The likeliest ones have to allow for the oddest trips and so make all trips more various than real ones are.
        """
        if weights not in ("zone-path", "likelihood"):
            raise ValueError(f"weights is {weights!r}, but must be 'zone-path' or 'likelihood'")
        chosen = tune(network, trips, seed=seed) if settings is None else settings
        graph = TurnGraph.of(network)

        def counted(part: Trips) -> TurnFrequencies:
            return TurnFrequencies.count(graph, destination_zones(network, part, chosen.depth), part)

        estimate = Estimate((1.0, chosen.per_km, 0.0, 0.0))
        if weights == "likelihood":
            part, held = hold_out(trips, seed=seed)
            estimate = estimate_weights(graph, network, counted(part), chosen.smoothing, held, start=estimate.weights)
        return cls(network, TravelTimes.fit(network, trips), counted(trips), chosen.smoothing, estimate)

    def routes(self, requests: Requests, *, seed: int, first: int) -> list[Int[ndarray, " l"]]:
        """One sampled route a request; empty where there is no way."""
        zone, numbers = self.turns.zone_of[requests.destination], requests.numbers(first)
        out: list[Int[ndarray, " l"]] = [np.empty(0, np.int64)] * len(requests)
        for this in np.unique(zone).tolist():
            function = self.value_function(this)
            here = zone == this
            for destination in np.unique(requests.destination[here]).tolist():
                weights = function.choice_weights(destination)
                for row in np.flatnonzero(here & (requests.destination == destination)).tolist():
                    rng = generator(seed, int(numbers[row]))
                    route = walk(self.graph, weights, int(requests.origin[row]), destination, rng)
                    out[row] = route if route[-1] == destination else route[:0]
        return out

    @cached_property
    def graph(self) -> TurnGraph:
        """The transitions of the network."""
        return TurnGraph.of(self.network)

    @cached_property
    def _fixed(self) -> Float[ndarray, "t f"]:
        return fixed_features(self.graph, self.network)

    @cached_property
    def _functions(self) -> OrderedDict[int, ValueFunction]:
        return OrderedDict()

    def cost(self, zone: int) -> Float[ndarray, " t"]:
        """Cost of each transition in trips to a zone, nats."""
        features = zone_features(self.graph, self._fixed, self.turns, self.smoothing, zone)
        return features @ np.array(self.estimate.weights)

    def value_function(self, zone: int) -> ValueFunction:
        """Values and choices of trips to a zone. The last ones asked for are kept, up to `MOST_NUMBERS` in all."""
        if zone in self._functions:
            self._functions.move_to_end(zone)
            return self._functions[zone]
        function = raised_until_finite(self.graph, self.cost(zone))
        self._functions[zone] = function
        while len(self._functions) > 1 and sum(known.size for known in self._functions.values()) > MOST_NUMBERS:
            self._functions.popitem(last=False)
        return function

    def state(self) -> tuple[dict[str, ndarray], dict[str, Any]]:
        """Counts, weights and how these were found."""
        return self.turns.state(), {"smoothing": self.smoothing, "features": FEATURES, **asdict(self.estimate)}

    @classmethod
    def restore(cls, network: RoadNetwork, tensors: dict[str, ndarray], settings: dict[str, Any]) -> "RecursiveLogit":
        """The baseline with these counts and weights."""
        if tuple(settings["features"]) != FEATURES or len(settings["weights"]) != len(FEATURES):
            raise ModelError(f"a recursive logit has weights of {', '.join(FEATURES)}, not of {settings['features']}")
        if not all(math.isfinite(value) for value in (*settings["weights"], settings["smoothing"])):
            raise ModelError("the weights and the smoothing of a recursive logit must be finite numbers")
        if not settings["smoothing"] > 0:
            raise ModelError(f"smoothing is {settings['smoothing']}, but must be above 0")
        error = settings["standard_error"]
        estimate = Estimate(
            tuple(settings["weights"]),
            None if error is None else tuple(error),
            settings["log_likelihood"],
            settings["trips"],
        )
        turns = TurnFrequencies.restore(tensors, TurnGraph.of(network))
        return cls(network, times_from(tensors, network), turns, float(settings["smoothing"]), estimate)


def finite_value_function(graph: TurnGraph, cost: Float[ndarray, " t"]) -> tuple[ValueFunction, float]:
    """The value function of these costs, or of the same higher by a factor where it does not exist; and the factor."""
    factor = 1.0
    while True:
        try:
            return ValueFunction(graph, np.maximum(cost, 0.0) * factor if factor > 1 else cost), factor
        except NoValueError:
            factor *= RAISE
            if factor > 1e3:
                raise


def raised_until_finite(graph: TurnGraph, cost: Float[ndarray, " t"]) -> ValueFunction:
    """The same; warns where the costs were raised."""
    function, factor = finite_value_function(graph, cost)
    if factor > 1:
        warnings.warn(
            f"recursive logit: the costs are too low for a value function and were raised by {factor - 1:.0%}",
            RuntimeWarning,
            stacklevel=3,
        )
    return function
