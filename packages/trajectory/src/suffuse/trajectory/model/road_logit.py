"""A recursive logit whose costs are read off the roads: what of route choice can travel to a city without any trips.

The cost of a transition is linear in attributes that every road network has: length, crossings, turns, class. Its few
weights belong to a mode of travel and to no city; they are fitted to the trips of several at once, by maximum
likelihood (Fosgerau, Frejinger and Karlstrom 2013, eq. 11), each city with a scale of its own: how much people keep to
what is cheapest differs from place to place, what they find cheap much less.

Dimensions: t transitions, f attributes, p parameters (f weights, and a scale of each city but the first).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from suffuse.console import read_object, shown, write_json
from suffuse.trajectory.baselines.likelihood import Estimate
from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit, finite_value_function
from suffuse.trajectory.baselines.travel_times import TravelTimes
from suffuse.trajectory.baselines.turn_frequencies import TurnFrequencies
from suffuse.trajectory.baselines.turn_graph import NO_TRANSITION, TurnGraph
from suffuse.trajectory.baselines.value_function import NoValueError, ValueFunction
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.roads.crossings import crossed_roads
from suffuse.trajectory.roads.network import MODES, RoadNetwork
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.what_if.pivot import NATS_PER_MINUTE

ROAD_LOGIT_FILE = "road-logit.json"

ATTRIBUTES = (
    "km", "segment", "slight", "turn", "sharp", "u_turn", "km_fast", "km_main", "km_tertiary", "km_small",
)  # fmt: skip
"""Of a transition: km of the segment entered; 1, for the end of a segment is a crossing; 1 for a change of direction by
more than 20, 45, 135 degrees where there is a choice; turning round; km once more on roads of the classes of `KINDS`.

Left and right are alike: nobody says on which side a strange city drives. Free-flow time is not among them: most speeds
in road data are those that somebody has given to a class, and the weight of one city's is wrong in another."""

BESIDE_CARS = ("km_cycleway", "km_footway", "crossing")
"""What cyclists and walkers have besides: km once more on ways without cars, which `km_small` then is without; and 1
for crossing a road that is busier than the streets before and after, of the classes of `CROSSED`."""

CROSSED = ("motorway", "trunk", "primary", "secondary", "tertiary")

KINDS = {
    "km_fast": ("motorway", "trunk"),
    "km_main": ("primary", "secondary"),
    "km_tertiary": ("tertiary",),
    "km_small": ("living_street", "service", "track", "cycleway", "footway"),
}
"""Classes that may cost more or less by the kilometre than residential and unclassified streets."""

SLIGHT, TURN, SHARP = np.radians([20, 45, 135])
"""Changes of direction from which on a turn is one of its kind."""

START = (4.0, 0.3, 0.2, 0.7, 1.3, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3)
"""Weights from which the search starts."""

SCALES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Multiples of `START` that are tried first, on `FIRST` trips of each city: the value function has to exist."""

FIRST = 30

PRIOR = (10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)
"""Standard deviation of a normal prior on each weight around `START`, where a weight stays of which no trip says
anything."""

TRIPS = 500
"""Most trips of a city that the likelihood is of."""

STEPS = 25
LEAST_GAIN = 1e-2
"""Newton steps: at most so many, until they promise less than this, in nats over all trips."""


def attributes_of(mode: str) -> tuple[str, ...]:
    """Names of the attributes that a mode has weights for."""
    return ATTRIBUTES if mode == "drive" else ATTRIBUTES + BESIDE_CARS


def attributes(graph: TurnGraph, network: RoadNetwork) -> Float[ndarray, "t f"]:
    """The attributes of each transition that the network's mode has weights for."""
    enter, leave = network.bearings
    bend = np.abs((enter[graph.after] - leave[graph.before] + np.pi) % (2 * np.pi) - np.pi)
    around = network.reverse[graph.before] == graph.after
    choice = (np.diff(graph.start)[graph.before] > 1) & ~around
    km = network.length_m[graph.after] / 1000
    kind = network.highway[graph.after].astype(str)
    columns = [
        km,
        np.ones(len(graph)),
        choice & (bend > SLIGHT) & (bend <= TURN),
        choice & (bend > TURN) & (bend <= SHARP),
        choice & (bend > SHARP),
        around,
        *(km * np.isin(kind, classes) for classes in KINDS.values()),
    ]
    if network.mode != "drive":
        paths = [km * (kind == name) for name in ("cycleway", "footway")]
        columns[-1] = columns[-1] - sum(paths)
        columns += [*paths, np.isin(crossed_roads(network, graph.before, graph.after), CROSSED)]
    return np.stack(columns, axis=1).astype(np.float64)


class RoadLogit(RecursiveLogit):
    """A recursive logit of any network, with the weights of its mode, which were fitted elsewhere.

    A segment that is slower than on `before`, the network before it was changed, costs `NATS_PER_MINUTE` more for each
    minute lost on it, and a faster one less: see `what_if.pivot`.

    Raises ModelError for a network of a mode that there are no weights for.
    """

    name: ClassVar[str] = "road-logit"
    learned_beside: ClassVar[bool] = True

    def __init__(
        self, network: RoadNetwork, estimates: Mapping[str, Estimate], before: RoadNetwork | None = None
    ) -> None:
        if network.mode not in estimates:
            raise ModelError(
                f"the road logit knows trips of mode {' and '.join(estimates)}, but road network {network.name!r} is "
                f"of mode {network.mode}"
            )
        graph = TurnGraph.of(network)
        nowhere = np.zeros(len(network), dtype=np.int64)
        none = Trips.from_lists([])
        super().__init__(
            network,
            TravelTimes.free_flow(network),
            TurnFrequencies.count(graph, nowhere, none),
            1.0,
            estimates[network.mode],
        )
        self.estimates = dict(estimates)
        self.before = network if before is None else before

    @cached_property
    def _attributes(self) -> Float[ndarray, "t f"]:
        return attributes(self.graph, self.network)

    def cost(self, zone: int) -> Float[ndarray, " t"]:
        """Cost of each transition, nats, wherever a trip is going."""
        added = (self.network.free_flow_s - self.before.free_flow_s) * (NATS_PER_MINUTE / 60)
        return self._attributes @ np.array(self.estimate.weights) + added[self.graph.after]

    def value_function(self, zone: int) -> ValueFunction:
        """Values and choices. In a city with shorter streets than those fitted to, costs are raised until it exists."""
        if zone not in self._functions:
            self._functions[zone] = finite_value_function(self.graph, self.cost(zone))[0]
        return self._functions[zone]

    def on(self, network: RoadNetwork) -> "RoadLogit":
        """The same weights on any network of a mode that they are for; on a changed one, changes are costs."""
        home = self.before
        same = network.mode == home.mode and all(
            np.array_equal(getattr(network, name), getattr(home, name))
            for name in ("segment_ids", "from_node", "to_node", "length_m")
        )
        return RoadLogit(network, self.estimates, home if same else None)

    def save(self, directory: Path) -> None:
        """Write `road-logit.json`: the weights of each mode. Raises ModelError if it cannot."""
        said = {
            mode: {
                "weights": dict(zip(attributes_of(mode), estimate.weights, strict=True)),
                "standard_error": dict(zip(attributes_of(mode), estimate.standard_error or (), strict=False)),
                "trips": estimate.trips,
            }
            for mode, estimate in self.estimates.items()
        }
        write_json(directory / ROAD_LOGIT_FILE, said, error=ModelError)

    @classmethod
    def load(cls, directory: Path, network: RoadNetwork) -> "RoadLogit":
        """Read what `save` wrote, or a file of one mode as there were before modes: it is of drivers.

        Raises ModelError for anything else, and for a network of a mode that the file has no weights for.
        """
        path = directory / ROAD_LOGIT_FILE
        said = read_object(path, error=ModelError)
        by_mode = {"drive": said} if "weights" in said else said
        if not by_mode or not set(by_mode) <= set(MODES):
            raise ModelError(f"{path}: has {shown(list(by_mode))}, but must have weights by mode: {', '.join(MODES)}")
        estimates = {mode: Estimate(_weights(path, mode, part)) for mode, part in by_mode.items()}
        try:
            return cls(network, estimates)
        except ModelError as why:
            raise ModelError(f"{path}: {why}") from None


def _weights(path: Path, mode: str, said: object) -> tuple[float, ...]:
    weights, names = said.get("weights") if isinstance(said, dict) else None, attributes_of(mode)
    if not isinstance(weights, dict) or tuple(weights) != names:
        raise ModelError(f"{path}: weights of mode {mode} must be those of {', '.join(names)}, in this order")
    for name, value in weights.items():
        if type(value) not in (int, float) or not abs(value) < 1e3:
            raise ModelError(f"{path}: the weight of {name} is {shown(value)}, but must be a number below 1,000")
    return tuple(float(value) for value in weights.values())


@dataclass(frozen=True, eq=False)
class _Observed:
    """The trips of one city that have a likelihood: those of legal turns that pass their destination once."""

    graph: TurnGraph
    attributes: Float[ndarray, "t f"]
    ends: list[tuple[int, int]]
    taken: Float[ndarray, "r f"]
    """Sum of the attributes over each trip."""

    @staticmethod
    def of(network: RoadNetwork, trips: Trips, seed: int) -> "_Observed":
        graph = TurnGraph.of(network)
        known = attributes(graph, network)
        ends, taken = list[tuple[int, int]](), []
        for row in np.random.default_rng(seed).permutation(len(trips)).tolist():
            route = trips.segments_of(row)
            turns = graph.find(route[:-1], route[1:])
            if len(route) > 1 and NO_TRANSITION not in turns and np.count_nonzero(route == route[-1]) == 1:
                ends.append((int(route[0]), int(route[-1])))
                taken.append(known[turns].sum(axis=0))
            if len(ends) == TRIPS:
                break
        return _Observed(graph, known, ends, np.array(taken).reshape(len(ends), known.shape[1]))

    def first(self, count: int) -> "_Observed":
        """The same with the first trips alone."""
        return replace(self, ends=self.ends[:count], taken=self.taken[:count])

    def scores(self, weights: Float[ndarray, " f"]) -> tuple[float, Float[ndarray, "r f"]]:
        """Log-likelihood, and each trip's derivative by the weights. Raises NoValueError where there is none."""
        function = ValueFunction(self.graph, self.attributes @ weights)
        total, rows = 0.0, []
        for (origin, destination), seen in zip(self.ends, self.taken, strict=True):
            log_z, expected = function.expected_features(self.attributes, origin, destination)
            if not np.isfinite(log_z):
                raise NoValueError("a value is too small to tell from 0")
            total -= seen @ weights + log_z
            rows.append(expected - seen)
        return total, np.array(rows)


def fit_road_logit(cities: Sequence[tuple[RoadNetwork, Trips]], *, seed: int = 0) -> dict[str, Estimate]:
    """The likeliest weights for the trips of several cities, by mode, in the scale of the first city of the mode.

    Raises ModelError where no trip of a city has a likelihood.
    """
    modes = [mode for mode in MODES if any(network.mode == mode for network, _ in cities)]
    return {mode: _fit([city for city in cities if city[0].mode == mode], seed) for mode in modes}


def _fit(cities: Sequence[tuple[RoadNetwork, Trips]], seed: int) -> Estimate:
    """The likeliest weights of one mode.

    Newton steps with the outer product of the scores (Berndt, Hall, Hall and Hausman 1974), halved until they gain.
    """
    seen = [_Observed.of(network, trips, seed) for network, trips in cities]
    for (network, _), observed in zip(cities, seen, strict=True):
        if not observed.ends:
            raise ModelError(f"no trip in {network.name!r} takes legal turns and ends where it first arrives")
    size, others = len(attributes_of(cities[0][0].mode)), len(seen) - 1
    centre = np.array(START[:size] + (1.0,) * others)
    precision = 1 / np.array(PRIOR[:size] + (1.0,) * others) ** 2

    def scores(parameters: Float[ndarray, " p"], most: int = TRIPS) -> tuple[float, Float[ndarray, "r p"]]:
        weights, scales = parameters[:size], np.append(1.0, parameters[size:])
        total, rows = -float((precision * (parameters - centre) ** 2).sum() / 2), []
        for city, (observed, scale) in enumerate(zip(seen, scales, strict=True)):
            if scale <= 0:
                raise NoValueError("a scale must be above 0")
            found, score = observed.first(most).scores(scale * weights)
            by_scale = np.zeros((len(score), others))
            if city:
                by_scale[:, city - 1] = score @ weights
            total += found
            rows.append(np.concatenate([scale * score, by_scale], axis=1))
        return total, np.concatenate(rows)

    highest, parameters = -np.inf, centre
    for factor in SCALES:
        trial = np.concatenate([factor * centre[:size], centre[size:]])
        try:
            found = scores(trial, FIRST)[0]
        except NoValueError:
            continue
        if found > highest:
            highest, parameters = found, trial
    if highest == -np.inf:
        raise ModelError("the trips have no likelihood at any scale of the weights")
    try:
        best, score = scores(parameters)
    except NoValueError as why:
        raise ModelError(f"the trips have no likelihood: {why}") from None
    for _ in range(STEPS):
        slope = score.sum(axis=0) - precision * (parameters - centre)
        step = np.linalg.solve(score.T @ score + np.diag(precision), slope)
        if slope @ step < LEAST_GAIN:
            break
        for _ in range(12):
            try:
                found, found_score = scores(parameters + step)
            except NoValueError:
                found = -np.inf
            if found > best:
                break
            step = step / 2
        else:
            break
        best, score, parameters = found, found_score, parameters + step
    error = np.sqrt(np.diag(np.linalg.inv(score.T @ score + np.diag(precision))))
    weights, errors = tuple(parameters[:size].tolist()), tuple(error[:size].tolist())
    return Estimate(weights, errors, float(best) / len(score), len(score))
