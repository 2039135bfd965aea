"""Who may use a way, by OpenStreetMap's tags: the usual access of its class, and explicit tags over it.

After the table of defaults in the OpenStreetMap wiki (OSM tags for routing, access restrictions), with one difference:
trunk roads are not for walkers and cyclists unless a tag says so, as in most of the countries that the wiki lists one
by one. Dimensions: s segments.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.attributes import FOOTWAYS, as_list, is_true
from suffuse.trajectory.roads.columns import find_column
from suffuse.trajectory.roads.modes import (
    MIXED_KMH,
    STEPS_KMH,
    TRAVELLERS,
    WALK_KMH,
    Rules,
    checked_mode,
    for_mode,
    rules_by_class,
)
from suffuse.trajectory.roads.network import MODES, RoadNetwork

logger = logging.getLogger(__name__)

ACCESS_KEYS = {
    "drive": ("motorcar", "motor_vehicle", "vehicle", "access"),
    "bike": ("bicycle", "vehicle", "access"),
    "walk": ("foot", "access"),
}
"""Tags that say whether a mode may use a way, by mode; the first one present decides."""

OWN_KEYS = {"drive": 2, "bike": 1, "walk": 1}
"""How many of them, from the first, are of the mode alone: only these open what the class closes."""

CLOSED = frozenset(
    {"no", "private", "agricultural", "forestry", "military", "emergency", "psv", "bus",
     "delivery", "use_sidepath", "restricted"}
)  # fmt: skip
"""Values that close a way to the public; of several values (`yes;no`, streets that OSMnx merged) one is enough."""

OPENING = frozenset({"yes", "designated", "permissive", "official", "destination", "dismount"})
"""Values with which a mode's own tag opens what its class closes."""

NO_WAY = frozenset(
    {"construction", "proposed", "planned", "abandoned", "disused", "razed", "dismantled", "no", "raceway", "platform",
     "rest_area", "services", "busway", "bus_guideway", "bus_stop", "escape"}
)  # fmt: skip
"""Values of `highway` that nobody travels on, or buses alone."""

CLOSED_BY_CLASS = {
    "drive": FOOTWAYS | {"footway", "cycleway"},
    "bike": frozenset({"motorway", "trunk", "steps", "corridor", "elevator"}),
    "walk": frozenset({"motorway", "trunk"}),
}
"""Values of `highway`, without `_link`, that are not for a mode unless its own tag says so."""

PUSHED = (FOOTWAYS | {"footway"}) - {"path", "trail"}
"""Where cyclists push unless `bicycle` allows riding; on `path` they ride by default, among walkers."""

TAGS = (
    "highway", "access", "vehicle", "motor_vehicle", "motorcar", "bicycle", "foot", "motorroad", "sidewalk",
    "sidewalk:both", "oneway:bicycle", "cycleway", "cycleway:left", "cycleway:right", "cycleway:both",
)  # fmt: skip
"""Every tag that is looked at; what a source does not have says nothing."""

Tags = Mapping[str, Sequence[Any] | ndarray]
"""Of some of `TAGS` the value of each segment, in whatever spelling: text, a list, None."""


def rules_by_tags(network: RoadNetwork, mode: str, tags: Tags) -> Rules:
    """What a mode may do on each segment by its tags; by its class where there are none."""
    rules = rules_by_class(network, mode)
    is_open, both_ways, speed = rules.open.copy(), rules.both_ways.copy(), rules.speed_kmh.copy()
    if "highway" not in tags:
        tags = {**tags, "highway": network.highway}
    names = list(tags)
    for row, values in enumerate(zip(*tags.values(), strict=True)):
        said = {name: plain for name, value in zip(names, values, strict=True) if (plain := _words(value))}
        is_open[row] = may_use(mode, said)
        if mode == "bike":
            both_ways[row] = against_the_traffic(said)
            speed[row] = _riding_kmh(said, speed[row])
        elif mode == "walk" and set(said.get("highway", ())) == {"steps"}:
            speed[row] = STEPS_KMH
    return Rules(open=is_open, both_ways=both_ways, speed_kmh=speed)


def may_use(mode: str, said: Mapping[str, Sequence[str]]) -> bool:
    """Whether a mode may use a way, by what each of its tags says, in small letters."""
    kinds = [kind.removesuffix("_link") for kind in said.get("highway", ())]
    if NO_WAY.intersection(kinds):
        return False
    closed = bool(CLOSED_BY_CLASS[mode].intersection(kinds))
    if mode != "drive" and "yes" in said.get("motorroad", ()):
        closed = True
    if mode == "walk" and "separate" in (*said.get("sidewalk", ()), *said.get("sidewalk:both", ())):
        closed = True
    keys = ACCESS_KEYS[mode]
    first = next((key for key in keys if key in said), None)
    if first is None:
        return not closed
    if CLOSED.intersection(said[first]):
        return False
    return not closed or (first in keys[: OWN_KEYS[mode]] and OPENING.issuperset(said[first]))


def against_the_traffic(said: Mapping[str, Sequence[str]]) -> bool:
    """Whether cyclists may use a one-way street in the other direction too."""
    if "no" in said.get("oneway:bicycle", ()):
        return True
    lanes = (said.get(key, ()) for key in ("cycleway", "cycleway:left", "cycleway:right", "cycleway:both"))
    return any(value.startswith("opposite") for values in lanes for value in values)


def _riding_kmh(said: Mapping[str, Sequence[str]], by_class: float) -> float:
    """Speed of cyclists: they push where they may not ride, and ride with care among walkers."""
    kinds, bicycle = set(said.get("highway", ())), said.get("bicycle", ())
    if "dismount" in bicycle:
        return WALK_KMH
    if kinds & PUSHED:
        return MIXED_KMH if OPENING.intersection(bicycle) else WALK_KMH
    return MIXED_KMH if kinds & FOOTWAYS else by_class


def as_met(network: RoadNetwork, mode: str | None, tags: Tags | None = None, *, said: str | None = None) -> RoadNetwork:
    """A network that was read, as `mode` meets it; as it is if no mode is asked for, or the one that the source names.

    `said` is the mode that the source names itself, which is that of the network; its segments are filtered already.
    """
    if mode is None or checked_mode(mode) == said:
        return network
    if network.mode != "drive" or tags is None:
        return for_mode(network, mode)
    if (network.highway == "unclassified").all():
        logger.warning(
            "%s: says nothing of road classes; all of its %d segments are taken to be open to %s",
            network.name, len(network), TRAVELLERS[mode],
        )  # fmt: skip
    return for_mode(network, mode, rules=rules_by_tags(network, mode, tags))


def said_mode(value: object, source: str) -> str | None:
    """The mode that a file names, None if it names none. Raises `RoadNetworkError` for one that is none of `MODES`."""
    if value is None:
        return None
    if value not in MODES:
        raise RoadNetworkError(f"{source}: mode is {str(value)[:40]!r}, but must be one of {', '.join(MODES)}")
    return str(value)


def tags_of_edges(edges: Iterable[Mapping[str, Any]]) -> Tags:
    """The tags of a graph's edges."""
    data = list(edges)
    return {name: [edge.get(name) for edge in data] for name in TAGS if any(name in edge for edge in data)}


def tags_of_table(table: pd.DataFrame, row: Int[ndarray, " s"] | None = None) -> Tags:
    """The tags among the columns of a table, of the given rows; `oneway_bicycle` is `oneway:bicycle` too."""
    present = {str(name).lower(): name for name in table.columns}
    found = {name: present.get(name, present.get(name.replace(":", "_"))) for name in TAGS}
    tags = {name: table[column].to_numpy(dtype=object) for name, column in found.items() if column is not None}
    highway = find_column(table, "highway")
    if highway is not None:
        tags["highway"] = highway.to_numpy(dtype=object)
    return tags if row is None else {name: values[row] for name, values in tags.items()}


def _words(value: Any) -> list[str]:
    """The values of a tag in small letters; booleans as `yes` and `no`."""
    words = [str(part).strip().lower() for part in as_list(value)]
    return ["yes" if is_true(word) else "no" if word in ("false", "0") else word for word in words]
