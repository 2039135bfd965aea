"""What a map of trips shows, counted and named once, for the picture and for the page."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.cities import CITIES
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.show.flows import flow_per_segment, short_to_long, trip_lengths
from suffuse.trajectory.show.lines import Lines
from suffuse.trajectory.trips.table import Trips

MOST_SINGLES = 24

LEAST_PEAK = 10.0
"""A handful of trips is not drawn as if it were a flood."""

SIMULATED = "real road network, simulated trips"
"""Said on every map of a city of `CITIES`: no real trips of these are known to the package."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One set of k trips over the s segments of the map."""

    trips: Trips
    flow: Float[ndarray, " s"]
    """Trips on each segment."""
    length_m: Float[ndarray, " k"]
    singles: Int[ndarray, " c"]
    """Rows of the trips drawn one by one."""

    @property
    def peak(self) -> float:
        """The flow at the strong end of the scale: the largest, but not below `LEAST_PEAK`."""
        return max(float(self.flow.max()), LEAST_PEAK)

    @property
    def timed(self) -> bool:
        """Whether the trips carry times: a file of bare segments gives none."""
        return bool(self.trips.duration_s.max() > 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A network, the trips on it, and the words around them."""

    network: RoadNetwork
    lines: Lines
    layer: Layer
    title: str
    summary: str
    """How many trips, how long, of what kind: one line."""
    attribution: str
    before: Layer | None = None
    """Trips to compare with: the map then shows what changed from them to those of `layer`."""
    slowed: tuple[int, ...] = ()
    """Segments that have another speed than in `before`."""

    @property
    def change(self) -> Float[ndarray, " s"]:
        """Trips on each segment more than in `before`."""
        return self.layer.flow if self.before is None else self.layer.flow - self.before.flow

    @property
    def peak(self) -> float:
        """What is at the strong end of the scale: the largest flow, or the largest change; at least `LEAST_PEAK`."""
        return self.layer.peak if self.before is None else max(float(np.abs(self.change).max()), LEAST_PEAK)


def make_scene(trips: Trips, network: RoadNetwork, *, title: str | None, note: str | None, singles: int) -> Scene:
    """Count and name what a map shows; see `plot_trips` for the arguments and errors."""
    if len(trips) == 0:
        raise TripError("no trips to show: the table is empty, but a map needs at least 1")
    if empty := np.flatnonzero(trips.lengths == 0).tolist():
        raise TripError(f"trip {trips.trip_id[empty[0]]} has no segments, so it cannot be shown")
    outside = np.flatnonzero((trips.segment < 0) | (trips.segment >= len(network)))
    if len(outside):
        row = int(np.searchsorted(trips.start, outside[0], side="right")) - 1
        raise TripError(
            f"trip {trips.trip_id[row]} drives segment index {trips.segment[outside[0]]}, "
            f"but road network {network.name!r} has 0 to {len(network) - 1}"
        )
    if not 0 <= singles <= MOST_SINGLES:
        raise TripError(f"singles is {singles}, but must be 0 to {MOST_SINGLES}")
    lengths = trip_lengths(trips, network)
    layer = Layer(
        trips=trips,
        flow=flow_per_segment(trips, network),
        length_m=lengths,
        singles=short_to_long(lengths, singles),
    )
    recipe = CITIES.get(network.name)
    if note is None:
        note = SIMULATED if recipe else ""
    return Scene(
        network=network,
        lines=Lines.of(network),
        layer=layer,
        title=title if title is not None else recipe.title if recipe else network.name,
        summary=" · ".join(filter(None, [_counts(layer), note])),
        attribution=network.attribution.replace("(c)", "©"),
    )


def _counts(layer: Layer) -> str:
    count, used = len(layer.trips), int((layer.flow > 0).sum())
    each = f"{layer.length_m.mean() / 1000:.1f} km"
    if layer.timed:
        each += f" in {duration_text(float(layer.trips.duration_s.mean()))}"
    where = f"{used:,} of {len(layer.flow):,} road segments"
    if count == 1:
        return f"1 trip · {each} · {where}"
    return f"{count:,} trips · mean {each} · {layer.length_m.sum() / 1000:,.0f} km on {where}"


def duration_text(seconds: float) -> str:
    """`45 s`, `8 min 51 s`, `1 h 02 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
