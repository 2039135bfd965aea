"""A road network as drivers, cyclists or walkers meet it: which segments are theirs, which way, and how fast.

Dimensions: s segments.
"""

from dataclasses import dataclass, replace

import numpy as np
import shapely
from jaxtyping import Bool, Float
from numpy import ndarray

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.contract import part_of
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, MODES, RoadNetwork

WALK_KMH = 4.8
"""Walking on the level: 1.34 m/s, the mean of many studies in U. Weidmann, Transporttechnik der Fussgänger (1993)."""

STEPS_KMH = 2.4
"""On steps, along their plan: half of `WALK_KMH`, between what Weidmann gives for going up and for going down."""

SAME_STREET_M, SAME_STREET_SHARE = 10.0, 0.1
"""Two directions of a street may differ in length by this much, or by this share, as they are drawn."""

RIDE_KMH = 16.0
"""Cycling in a city with its stops: what Copenhagen's Bicycle Account gives for its cyclists, 15 to 16 km/h."""

MIXED_KMH = 12.0
"""Cycling with care: on tracks, yards, and paths shared with walkers."""

BIKE_KMH = {name: RIDE_KMH for name in HIGHWAY_CLASSES} | {
    "living_street": 10.0,
    "service": MIXED_KMH,
    "track": MIXED_KMH,
    "footway": WALK_KMH,
}
"""Speed of cyclists by road class; on footways they push."""

NOT_FOR = {
    "drive": frozenset({"cycleway", "footway"}),
    "bike": frozenset({"motorway", "trunk"}),
    "walk": frozenset({"motorway", "trunk"}),
}
"""Road classes that a mode does not use, by mode."""

TRAVELLERS = {"drive": "cars", "bike": "cyclists", "walk": "walkers"}
"""Who they are, in sentences."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a mode may do on each segment of a network, and how fast."""

    open: Bool[ndarray, " s"]
    both_ways: Bool[ndarray, " s"]
    """Where a segment may be travelled against its direction as well."""
    speed_kmh: Float[ndarray, " s"]


def checked_mode(mode: str) -> str:
    """The mode itself. Raises `RoadNetworkError` unless it is one of `MODES`."""
    if mode not in MODES:
        raise RoadNetworkError(f"mode is {mode!r}, but must be {', '.join(MODES[:-1])} or {MODES[-1]}")
    return mode


def rules_by_class(network: RoadNetwork, mode: str) -> Rules:
    """What follows from the road classes alone, for lack of anything that says more."""
    speed = network.speed_kmh
    if mode != "drive":
        by_class = BIKE_KMH if mode == "bike" else dict.fromkeys(HIGHWAY_CLASSES, WALK_KMH)
        speed = np.array([by_class[name] for name in network.highway], dtype=np.float64)
    return Rules(
        open=~np.isin(network.highway.astype(str), list(NOT_FOR[mode])),
        both_ways=np.full(len(network), mode == "walk"),
        speed_kmh=speed,
    )


def for_mode(network: RoadNetwork, mode: str, *, rules: Rules | None = None) -> RoadNetwork:
    """The network as a mode meets it, from one for cars or from one that holds all ways.

    - `walk`: no motorway and no trunk road; every other segment in both directions, so that a one-way street gets its
      reverse; `WALK_KMH`, one lane.
    - `bike`: no motorway and no trunk road; one-way streets stay; `BIKE_KMH`, one lane.
    - `drive`: no footways and no cycleways; speeds and lanes as they are.

    Segments keep their ids and their order. Reverse segments come after all others, in the order of the segments they
    are the reverse of, with ids above all others, and the geometry turned round; a loop gets none, as it ends where it
    begins. A network that was read for cars has lost its footpaths: walkers get its streets, and nothing more.
    A network of `mode` already, if that is `walk` or `bike`, is returned as it is.

    Args:
        network: of drivers, or with every way that there is.
        mode: one of `MODES`.
        rules: what a source says of each segment beyond its class (see `access.rules_by_tags`).

    Raises:
        RoadNetworkError: for an unknown mode, for a network of another mode than `drive`, which has lost the one-way
            rules or the roads that others need, or if no segment is left.

    """
    checked_mode(mode)
    if network.mode != "drive":
        if network.mode == mode:
            return network
        raise RoadNetworkError(
            f"road network {network.name!r} is for {TRAVELLERS[network.mode]} (mode {network.mode}) and has lost what "
            f"{TRAVELLERS[mode]} need: make the one for mode {mode} from its source"
        )
    rules = rules_by_class(network, mode) if rules is None else rules
    if not rules.open.any():
        raise RoadNetworkError(
            f"road network {network.name!r} has no segment that {TRAVELLERS[mode]} may use (mode {mode})"
        )
    if mode == "drive" and rules.open.all():
        return network
    lanes = network.lanes if mode == "drive" else np.ones(len(network))
    own = part_of(replace(network, mode=mode, speed_kmh=rules.speed_kmh, lanes=lanes), rules.open)
    wanted = rules.both_ways[rules.open] & _one_way(own) & (own.from_node != own.to_node)
    return _with_reverse(own, wanted, first_id=int(network.segment_ids.max()) + 1) if wanted.any() else own


def _one_way(network: RoadNetwork) -> Bool[ndarray, " s"]:
    """Segments without a reverse; one of another length is no reverse but another one-way street, as in a crescent."""
    own, other = network.length_m, network.length_m[network.reverse]
    unlike = np.abs(own - other) > np.maximum(SAME_STREET_M, SAME_STREET_SHARE * np.maximum(own, other))
    return (network.reverse < 0) | unlike


def _with_reverse(network: RoadNetwork, wanted: Bool[ndarray, " s"], *, first_id: int) -> RoadNetwork:
    """The network, and after it the reverse of each segment that is wanted."""
    row = np.concatenate([np.arange(len(network)), np.flatnonzero(wanted)])
    turned = np.arange(len(row)) >= len(network)
    fresh = first_id + np.arange(len(row)) - len(network)
    return replace(
        network,
        segment_ids=np.where(turned, fresh, network.segment_ids[row]),
        from_node=np.where(turned, network.to_node[row], network.from_node[row]),
        to_node=np.where(turned, network.from_node[row], network.to_node[row]),
        geometry=np.where(turned, shapely.reverse(network.geometry[row]), network.geometry[row]),
        length_m=network.length_m[row],
        highway=network.highway[row],
        speed_kmh=network.speed_kmh[row],
        lanes=network.lanes[row],
        source_ids=None if network.source_ids is None else network.source_ids[row],
        closed=frozenset(np.flatnonzero(np.isin(row, list(network.closed))).tolist()),
    )
