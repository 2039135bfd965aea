"""Two sets of trips, before and after something changed, as one scene."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.show.flows import flow_per_segment
from suffuse.trajectory.show.scene import Layer, Scene, duration_text, make_scene
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.what_if.changes import Changes

LISTED = 8
"""Places of the largest change that are numbered on the map."""

APART_M = 200.0
"""They are at least this far from each other: the pieces of one street would fill the list."""


def change_scene(
    before: Trips, after: Trips, network: RoadNetwork, changes: Changes, *, title: str | None, note: str | None
) -> Scene:
    """What changed from `before` to `after`, by the trips that are in both; all of them if they share no id.

    Then the flows of `before` are scaled to as many trips as there are after. See `plot_change` for the errors.
    """
    common, first, second = np.intersect1d(before.trip_id.astype(str), after.trip_id.astype(str), return_indices=True)
    if len(common):
        left_out = len(after) + len(before) - 2 * len(common)
        before, after = before.take(np.sort(first)), after.take(np.sort(second))
    else:
        left_out = 0
    scene = make_scene(after, changes.on(network), title=title, note=note, singles=0)
    old = make_scene(before, network, title=title, note=note, singles=0).layer
    old = replace(old, flow=flow_per_segment(before, network) * (len(after) / len(before)))
    words = [_summary(old, scene.layer), *([f"{left_out:,} trips only in one file left out"] if left_out else [])]
    slowed = tuple(segment for segment, _ in changes.speed_kmh)
    notes = scene.summary.split(" · ")[-1:] if note != "" else []
    simulated = [part for part in notes if part and not part[0].isdigit()]
    return replace(scene, before=old, slowed=slowed, summary=" · ".join([*words, *simulated]))


def _summary(old: Layer, new: Layer) -> str:
    words = f"{len(new.trips):,} trips before and after"
    if len(old.trips) != len(new.trips):
        words = f"{len(old.trips):,} trips before, scaled to {len(new.trips):,} after"
    words += f" · mean {old.length_m.mean() / 1000:.2f} → {new.length_m.mean() / 1000:.2f} km"
    if old.timed and new.timed:
        times = [duration_text(float(layer.trips.duration_s.mean())) for layer in (old, new)]
        words += f", {times[0]} → {times[1]}"
    return words


def largest_changes(scene: Scene) -> Int[ndarray, " c"]:
    """At most `LISTED` segments where the number of trips changes most, none near another, largest first."""
    middle = np.array([scene.lines.middle(row) for row in range(len(scene.lines))])
    found: list[int] = []
    for row in np.argsort(-np.abs(scene.change), kind="stable").tolist():
        if scene.change[row] == 0 or len(found) == LISTED:
            break
        if all(np.hypot(*(middle[row] - middle[other])) >= APART_M for other in found):
            found.append(row)
    return np.array(found, dtype=np.int64)
