"""Models by name or directory: the shipped ones, a user's own, and the baselines, which answer the same call."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.console import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    because,
    check_files,
    find_model,
    load_whole,
    read_object,
    shown,
)
from suffuse.trajectory.baselines import BASELINES, Baseline, load_baseline
from suffuse.trajectory.baselines.baseline import SETTINGS_FILE
from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.corpus import training_trips
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.canvas import Encoded
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import GenerationConfig, Sharpness, generate_trips, time_routes
from suffuse.trajectory.model.road_logit import ROAD_LOGIT_FILE, RoadLogit
from suffuse.trajectory.model.training import (
    BESIDE_CARS,
    CITY_FILE,
    GENERATION_FILE,
    ROUTE_CHOICE_FOLDER,
    USAGE_FILE,
    fingerprint,
)
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import Usage
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.cities import CITIES
from suffuse.trajectory.roads.network import MODES, RoadNetwork
from suffuse.trajectory.trips.table import Trips

SHIPPED = Path(__file__).parent.parent / "models"
FOR_ANY_CITY = "base"
"""The shipped model that was trained on several cities, for all others."""

NEED_NO_TRIPS = ("dijkstra", "dijkstra-time")
"""Baselines that are whole without a single trip."""

MOST_SIZE = 65_536
"""No width, depth or number of heads in a config.json may be larger."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TripGenerator:
    """A trained model at home or abroad: answers requests on a road network, like every baseline does."""

    model: TrajectoryModel
    city: CityFeatures
    directory: Path
    facts: dict[str, Any]
    """What `city.json` says: the city or the cities it was trained on, and how."""
    own: Sharpness = field(default_factory=Sharpness)
    """How its probabilities are best used, where a request does not say."""
    logit: RecursiveLogit | None = None
    """The recursive logit of the same trips: at home, or anywhere for a model of several cities."""

    @property
    def at_home(self) -> bool:
        """Whether it reads what was observed on this network."""
        return self.city.has_usage

    @property
    def mode(self) -> str:
        """Who travels on the network that it answers on."""
        return self.city.network.mode

    @property
    def seen(self) -> tuple[str, ...]:
        """Fingerprints of the networks it was trained on."""
        return fingerprints(self.facts)

    @cached_property
    def encoded(self) -> Encoded:
        """The city as the model sees it, computed once. It does not follow later changes of the weights."""
        return Encoded.of(self.model.eval(), self.city)

    def on(self, network: RoadNetwork) -> "TripGenerator":
        """The same model on the same network with segments closed or speeds changed, or on another, where it knows no
        trips. A model of several cities is the same everywhere.
        """
        if isinstance(self.logit, RoadLogit):
            logit = self.logit.on(network)
            same = network_directory(self.directory, network.mode) == network_directory(self.directory, self.mode)
            model = self.model if same else load_network(network_directory(self.directory, network.mode))
            return replace(self, model=model, city=CityFeatures(network), logit=logit)
        if fingerprint(network) != fingerprint(self.city.network):
            check_mode(self.facts, self.directory, network)
            return replace(self, city=CityFeatures(network, None), own=Sharpness(), logit=None)
        moved = None if self.logit is None else self.logit.on(network)
        assert moved is None or isinstance(moved, RecursiveLogit)
        return replace(
            self, city=changed(network, self.city.observed, self.city.before or self.city.network), logit=moved
        )

    def sample(
        self,
        requests: Requests,
        *,
        seed: int = 0,
        first: int = 0,
        config: GenerationConfig | None = None,
        draw: int = 0,
    ) -> Trips:
        """One trip a request, in order; trip i depends on the seed, `first + i`, the draw and its own request only.

        Raises ModelError where `route_choice` is asked for and the model has no recursive logit of this network.
        """
        chosen = replace(config or GenerationConfig(), seed=seed)
        if chosen.route_choice and self.logit is None:
            raise ModelError(
                f"route_choice is {chosen.route_choice:g}, but must be 0: {self.directory} holds no recursive logit of "
                f"road network {self.city.network.name!r}"
            )
        return generate_trips(
            self.model, self.city, requests, chosen, first=first, draw=draw, own=self.own, logit=self.logit,
            encoded=self.encoded,
        )  # fmt: skip

    def logit_in_use(self, config: GenerationConfig) -> RecursiveLogit | None:
        """The recursive logit that draws with `config` are made with; None if it has no say."""
        return self.logit if config.sharpness(self.own).route_choice > 0 else None

    def along(
        self, requests: Requests, routes: Sequence[Int[ndarray, " _"]], *, config: GenerationConfig | None = None
    ) -> Trips:
        """Trips along given legal routes, one for each request, with the median of the travel times learned."""
        return time_routes(self.encoded, requests, routes, config or GenerationConfig())


def changed(network: RoadNetwork, observed: Usage | None, home: RoadNetwork) -> CityFeatures:
    """A city that was observed with all of `home` open: what is closed or has another speed in `network` is new."""
    before = replace(home, closed=frozenset())
    same = not network.closed and np.array_equal(before.speed_kmh, network.speed_kmh)
    return CityFeatures(network, observed, None if same or observed is None else before)


def model_directory(name_or_path: str | Path) -> Path:
    """Where a model lies: a shipped one by name, any other by path. Raises ModelError if there is none."""
    return find_model(name_or_path, SHIPPED, others=tuple(BASELINES), error=ModelError)


def usual_model(city: str, mode: str | None = None) -> str:
    """The shipped model for a city where nobody names one: its own, or the one for any city and any mode."""
    own = mode in (None, "drive") and city in CITIES and (SHIPPED / city).is_dir()
    return city if own else FOR_ANY_CITY


def is_baseline(name_or_path: str | Path) -> bool:
    """Whether this names a baseline, or the directory of a fitted one. Raises ModelError if there is no such model."""
    if str(name_or_path) in BASELINES and not Path(name_or_path).exists():
        return True
    return (model_directory(name_or_path) / SETTINGS_FILE).is_file()


def check_config(path: Path) -> None:
    """Raise ModelError unless a config.json names every argument of `TrajectoryModel`, and no other, with a value."""
    said = read_object(path, error=ModelError)
    wanted = set(inspect.signature(TrajectoryModel.__init__).parameters) - {"self"}
    given = {name for name in said if not name.startswith("_")}
    if given != wanted:
        name = min(given ^ wanted)
        raise ModelError(f"{path} {'lacks' if name in wanted else 'has the unknown field'} {name!r}")
    for name in sorted(given):
        value = said[name]
        if name == "time_correlation":
            right, range_ = type(value) in (int, float) and 0 <= value < 1, "a number from 0 to less than 1"
        else:
            right, range_ = type(value) is int and 1 <= value <= MOST_SIZE, f"a whole number from 1 to {MOST_SIZE:,}"
        if not right:
            raise ModelError(f"{path}: {name} is {shown(value)}, but must be {range_}")


def load_model(name_or_path: str | Path, network: RoadNetwork, *, city: str | None = None) -> TripGenerator | Baseline:
    """A model ready to answer requests on `network`.

    Args:
        name_or_path: the name of a shipped model, a model directory (of a trained model or a fitted baseline), or the
            name of a baseline: dijkstra and dijkstra-time need no fitting, the others are fitted here and now.
        network: where the trips will be.
        city: the city to fit a baseline on: see `corpus.training_trips`.

    Raises:
        ModelError: one sentence that names the file and what is wrong with it; for a model of one city, that its trips
            were of another mode than those of `network`.

    """
    name = str(name_or_path)
    if name in BASELINES and not Path(name).exists():
        if name in NEED_NO_TRIPS:
            return BASELINES[name].without_trips(network)
        if city is None:
            raise ModelError(f"{name} has to be fitted: `train --model {name}` does it, or name the city")
        return BASELINES[name].fit(network, training_trips(city, network))
    directory = model_directory(name_or_path)
    if (directory / SETTINGS_FILE).is_file():
        return load_baseline(directory, network)
    check_files(directory, (CONFIG_FILE, WEIGHTS_FILE, CITY_FILE), error=ModelError)
    facts = read_facts(directory)
    abroad = is_for_any_city(facts)
    check_files(directory, (ROAD_LOGIT_FILE if abroad else USAGE_FILE,), error=ModelError)
    model = load_network(network_directory(directory, network.mode))
    if abroad:
        return TripGenerator(
            model=model, city=CityFeatures(network), directory=directory, facts=facts, own=read_sharpness(directory),
            logit=RoadLogit.load(directory, network),
        )  # fmt: skip
    if fingerprint(network) not in fingerprints(facts):
        check_mode(facts, directory, network)
        return TripGenerator(model=model, city=CityFeatures(network, None), directory=directory, facts=facts)
    observed = Usage.load(directory / USAGE_FILE, network)
    own = read_sharpness(directory)
    folder = directory / ROUTE_CHOICE_FOLDER
    if own.route_choice > 0 and not folder.is_dir():
        raise ModelError(f"{directory / GENERATION_FILE} asks for a recursive logit, but there is no folder {folder}")
    logit = RecursiveLogit.load(folder, network) if folder.is_dir() else None
    assert logit is None or isinstance(logit, RecursiveLogit)
    return TripGenerator(
        model=model, city=changed(network, observed, network), directory=directory, facts=facts, own=own, logit=logit
    )


def network_directory(directory: Path, mode: str) -> Path:
    """Where the network for a mode of travel lies: `BESIDE_CARS` may hold another one for cyclists and walkers.

    Raises ModelError where `city.json` says that there is one, and there is none.
    """
    folder = directory / BESIDE_CARS
    if mode == "drive" or folder.is_dir():
        return directory if mode == "drive" else folder
    if (directory / CITY_FILE).is_file() and read_facts(directory).get(BESIDE_CARS) is not None:
        raise ModelError(f"{folder} is missing: {directory / CITY_FILE} says that the network for mode {mode} is there")
    return directory


def load_network(directory: Path) -> TrajectoryModel:
    """The network of a model directory, without what lies beside it. Raises ModelError for anything else."""
    check_files(directory, (CONFIG_FILE, WEIGHTS_FILE), error=ModelError)
    check_config(directory / CONFIG_FILE)
    model: TrajectoryModel = load_whole(TrajectoryModel.from_pretrained, directory, error=ModelError)
    return model


def sharpness_on(directory: Path, network: RoadNetwork) -> Sharpness:
    """How a model is used on a network where a request does not say: as suits it at home, by default abroad.

    A model of several cities is used as suits it everywhere.
    """
    facts = read_facts(directory)
    suits = is_for_any_city(facts) or fingerprint(network) in fingerprints(facts)
    return read_sharpness(directory) if suits else Sharpness()


def read_facts(directory: Path) -> dict[str, Any]:
    """What `city.json` of a model directory says. Raises ModelError where it names no city."""
    facts = read_object(directory / CITY_FILE, error=ModelError)
    if is_for_any_city(facts):
        cities = facts["cities"]
        if not isinstance(cities, list) or not all(isinstance(city, dict) and "fingerprint" in city for city in cities):
            raise ModelError(f"{directory / CITY_FILE}: each of the cities must have a fingerprint")
    elif "fingerprint" not in facts:
        raise ModelError(f"{directory / CITY_FILE} does not say which city the model was trained on: no fingerprint")
    for city in facts.get("cities", (facts,)):
        if city.get("mode", "drive") not in MODES:
            raise ModelError(f"{directory / CITY_FILE}: mode is {shown(city['mode'])}, but must be {', '.join(MODES)}")
    return facts


def check_mode(facts: dict[str, Any], directory: Path, network: RoadNetwork) -> None:
    """Raise ModelError where a model learned one city from trips of a mode other than that of the network."""
    learned = facts.get("mode", "drive")
    if learned != network.mode:
        raise ModelError(
            f"{directory} learned from trips of mode {learned}, but road network {network.name!r} is for mode "
            f"{network.mode}: take the model {FOR_ANY_CITY}, or train one on such trips"
        )


def is_for_any_city(facts: dict[str, Any]) -> bool:
    """Whether a model, of which these are the facts, reads no city's usage and so is the same in all of them."""
    return "cities" in facts


def fingerprints(facts: dict[str, Any]) -> tuple[str, ...]:
    """Of the networks that a model was trained on."""
    return tuple(str(city["fingerprint"]) for city in facts.get("cities", (facts,)))


def read_sharpness(directory: Path) -> Sharpness:
    """What a model directory's `generation.json` says, or the default. Raises ModelError for anything else."""
    path = directory / GENERATION_FILE
    if not path.is_file():
        return Sharpness()
    said = read_object(path, error=ModelError)
    known = {field.name for field in fields(Sharpness)}
    if unknown := sorted(set(said) - known):
        raise ModelError(f"{path} has the unknown field {shown(unknown[0])}; known are {', '.join(sorted(known))}")
    for name, value in said.items():
        if type(value) not in (int, float):
            raise ModelError(f"{path}: {name} is {shown(value)}, but must be a number")
    try:
        return Sharpness(**{name: float(value) for name, value in said.items()})
    except (ValueError, OverflowError) as error:
        raise ModelError(f"{path}: {because(error)}") from None
