"""Simulated trips on a real road network: gravity demand, drivers with tastes, congestion by the hour.

Every trip is drawn from its own random stream, keyed by (seed, trip number): trip 7 of seed 3 is the same trip whether
seven are drawn or a million. The trips are simulated; only the network is real.

Dimensions: s segments, k trips or requests, l segments of one trip.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.demand.config import DemandConfig
from suffuse.trajectory.demand.gravity import Gravity, draw_hour, gravity_demand
from suffuse.trajectory.demand.manners import dislike
from suffuse.trajectory.demand.route_choice import LineGraph, cheapest_route, line_graph, turns_taken
from suffuse.trajectory.demand.traffic import Traffic, city_traffic
from suffuse.trajectory.demand.zones import Zones
from suffuse.trajectory.errors import RequestError, TrajectoryError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

LENGTH_PACE_MS = 30 / 3.6
"""Length counts in a driver's cost as the seconds it takes at this speed, metres a second."""

MAX_PAIRS = 2000
"""Pairs tried for one trip before a network is given up as unconnected, or as too small for `accept`."""


@dataclass(frozen=True, eq=False)
class World:
    """What stays the same from trip to trip: demand, traffic and the graph of turns."""

    network: RoadNetwork
    config: DemandConfig
    graph: LineGraph
    zones: Zones
    gravity: Gravity
    traffic: Traffic
    dislike: Float[ndarray, " s"]


@dataclass(frozen=True, eq=False)
class Driver:
    """Lasting tastes of one driver."""

    length_weight: float
    small_street_weight: float
    turn_weight: float
    log_opinion: Float[ndarray, " s"]
    """Logarithm of the factor by which the driver misjudges each segment on every trip."""


@dataclass(frozen=True, eq=False)
class Drive:
    """One trip as driven, in whole seconds: so are recorded trips, and the files that hold them."""

    route: Int[ndarray, " l"]
    enter_s: Float[ndarray, " l"]
    duration_s: float


@lru_cache(maxsize=4)
def simulated_world(network: RoadNetwork, config: DemandConfig) -> World:
    """The world of a network and a config; kept, because it takes longer than a thousand trips in a large city."""
    graph = line_graph(network, config.turn_s, config.drive_on)
    zones, gravity = gravity_demand(network, config, graph)
    return World(
        network=network,
        config=config,
        graph=graph,
        zones=zones,
        gravity=gravity,
        traffic=city_traffic(network, config, zones),
        dislike=dislike(network),
    )


def driver(world: World, number: int) -> Driver:
    """Driver `number` (0 to `config.drivers` - 1) of a world."""
    config = world.config
    generator = np.random.Generator(np.random.Philox(key=[config.world_seed, 1000 + number]))
    length, small, turn = np.exp(config.taste_sigma * generator.standard_normal(3))
    area = config.area_sigma * generator.standard_normal(len(world.zones))
    own = config.driver_sigma * generator.standard_normal(len(world.network), dtype=np.float32)
    return Driver(
        length_weight=config.length_weight * length,
        small_street_weight=config.small_street_weight * small,
        turn_weight=float(turn),
        log_opinion=own + area[world.zones.of_segment],
    )


def perceived_cost(
    world: World, who: Driver, expected_s: Float[ndarray, " s"], generator: np.random.Generator
) -> Float[ndarray, " s"]:
    """Generalised cost of each segment to one driver on one trip, in seconds as perceived."""
    error = world.config.trip_sigma * generator.standard_normal(len(expected_s), dtype=np.float32)
    cost = expected_s * (1 + who.small_street_weight * world.dislike)
    cost += who.length_weight / LENGTH_PACE_MS * world.network.length_m
    return cost * np.exp(who.log_opinion + error)


def drive(world: World, origin: int, destination: int, hour: float, generator: np.random.Generator) -> Drive | None:
    """One trip of a random driver of the world; None if there is no way."""
    config = world.config
    who = driver(world, int(generator.integers(config.drivers)))
    expected = world.traffic.expected_s(hour)
    route = cheapest_route(
        world.graph, perceived_cost(world, who, expected, generator), origin, destination, who.turn_weight
    )
    if route is None:
        return None
    pace = config.speed_sigma * generator.standard_normal()
    spread = config.segment_sigma * generator.standard_normal(len(route))
    correction = -0.5 * (config.speed_sigma**2 + config.segment_sigma**2)
    driving = expected[route] * np.exp(pace + spread + correction)
    waiting = turns_taken(world.graph, route) * (expected / world.traffic.free_flow_s)[route[:-1]]
    enter = np.concatenate([[0.0], np.cumsum(driving[:-1] + waiting)])
    return Drive(route, np.rint(enter), float(np.rint(enter[-1] + driving[-1])))


def simulate(
    network: RoadNetwork,
    config: DemandConfig,
    count: int,
    *,
    seed: int,
    first: int = 0,
    accept: Callable[[int, int], bool] | None = None,
) -> Trips:
    """Simulate trips number `first` to `first + count - 1` of `seed`.

    Origin, destination and hour come from gravity demand (see `gravity`), the route is the cheapest to a driver of the
    population (see `route_choice`), the times are those of the hour's traffic with noise. Hours are the city's own,
    written as if they were UTC.

    Args:
        network: where; closed segments are neither ends nor part of a trip.
        config: the world, see `DemandConfig`.
        count: how many trips, 0 or more.
        seed: 0 to 2**63 - 1; another seed, other trips of the same people in the same city.
        first: number of the first trip.
        accept: which pairs of origin and destination may be drawn; all unless given. A trip redraws its own pair until
            one is accepted, so the trips accepted by disjoint tests are disjoint too.

    Returns:
        Trips whose `trip_id` is `"<seed>-<number>"`.

    Raises:
        TrajectoryError: if the network is too small or not connected.

    """
    check_seed(seed)
    if count < 0 or first < 0:
        raise TrajectoryError(f"simulate: count is {count} and first is {first}, but neither may be below 0")
    world = simulated_world(network, config)
    midnight = np.datetime64(config.first_day, "s")
    drives, depart = [], np.empty(count, dtype="datetime64[s]")
    for row in range(count):
        generator = trip_stream(seed, first + row, stream=0)
        for _ in range(MAX_PAIRS):
            purpose, origin, destination = world.gravity.draw(generator)
            if accept is not None and not accept(origin, destination):
                continue
            hour = draw_hour(purpose, generator)
            day = int(generator.integers(config.days))
            driven = drive(world, origin, destination, hour, generator)
            if driven is not None:
                break
        else:
            raise TrajectoryError(
                f"road network {network.name!r}: {MAX_PAIRS} pairs of segments tried, "
                "none of them accepted and connected"
            )
        depart[row] = midnight + np.timedelta64(86400 * day + int(hour * 3600), "s")
        drives.append(driven)
    return as_trips(drives, depart, [f"{seed}-{first + row}" for row in range(count)])


def simulate_requests(
    network: RoadNetwork,
    config: DemandConfig,
    origin: Int[ndarray, " k"],
    destination: Int[ndarray, " k"],
    depart: ndarray,
    *,
    seed: int,
    on_unreachable: Literal["fail", "skip"] = "fail",
) -> Trips:
    """Simulate one trip for each request: another driver, another day's perception, the same ends and hour.

    Two seeds give two independent draws of every request, which is what the floor of the metrics needs. The world is
    that of the network with all its segments open, so that closing segments changes routes and nothing else.

    Args:
        network: where; its closed segments are not used.
        config: the world.
        origin: first segment index of each request.
        destination: last segment index of each request.
        depart: k departure times, datetime64[s].
        seed: 0 to 2**63 - 1.
        on_unreachable: whether a request without a way raises or is left out.

    Returns:
        Trips in the order of the requests; `trip_id` is the number of the request.

    Raises:
        RequestError: if a request has no way and `on_unreachable` is "fail".

    """
    check_seed(seed)
    world = simulated_world(replace(network, closed=frozenset()) if network.closed else network, config)
    if network.closed:
        world = replace(world, graph=line_graph(network, config.turn_s, config.drive_on))
    hours = (depart - depart.astype("datetime64[D]")).astype("timedelta64[s]").astype(np.float64) / 3600
    drives, rows = [], []
    for row, (start, end, hour) in enumerate(zip(origin.tolist(), destination.tolist(), hours.tolist(), strict=True)):
        shut = start in network.closed or end in network.closed
        driven = None if shut else drive(world, start, end, hour, trip_stream(seed, row, stream=1))
        if driven is not None:
            drives.append(driven)
            rows.append(row)
        elif on_unreachable == "fail":
            a, b = network.segment_ids[start], network.segment_ids[end]
            raise RequestError(
                f"request {row}: no way from segment {a} to segment {b} on road network {network.name!r}"
            )
    return as_trips(drives, depart[rows].astype("datetime64[s]"), [str(row) for row in rows])


def trip_stream(seed: int, number: int, *, stream: int) -> np.random.Generator:
    """The random stream of one trip: Philox keyed by the seed, the trip's number and the kind of draw."""
    return np.random.Generator(np.random.Philox(key=[seed, 2 * number + stream]))


def check_seed(seed: int) -> None:
    """Raise TrajectoryError unless `seed` is an integer of 0 to 2**63 - 1."""
    if not 0 <= seed < 2**63:
        raise TrajectoryError(f"seed is {seed}, but must lie in 0 to 2**63 - 1")


def as_trips(drives: list[Drive], depart: ndarray, trip_id: list[str]) -> Trips:
    """Join single drives into one table."""
    return Trips(
        start=np.concatenate([[0], np.cumsum([len(each.route) for each in drives])]).astype(np.int64),
        segment=np.concatenate([np.empty(0, dtype=np.int64), *(each.route for each in drives)]),
        enter_s=np.concatenate([np.empty(0), *(each.enter_s for each in drives)]),
        duration_s=np.array([each.duration_s for each in drives], dtype=np.float64),
        depart=depart,
        trip_id=np.array(trip_id, dtype=object),
    )
