"""Generated trips against real ones, beside the baselines and the floor: what two sets of real trips differ by.

Dimensions: k trips.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from rich.table import Table

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.metrics.alignment import align
from suffuse.trajectory.metrics.equal_size import Divergences, Measured, compare_at_equal_size, divergences, measure
from suffuse.trajectory.metrics.overlap import flow_correlation, legal_steps, overlaps, repeats_a_segment
from suffuse.trajectory.metrics.pairing import Pairing, pair_up, request_keys, twice
from suffuse.trajectory.metrics.points import lengths_m
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


@runtime_checkable
class Sampler(Protocol):
    """Anything that answers requests with trips: every baseline, for one."""

    def sample(self, requests: Requests, *, seed: int) -> Trips:
        """One trip a request, in order; another seed, other trips."""
        ...


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One row of the table. NaN where a figure does not exist (no pairs, no times)."""

    n: int
    """Trips in the row."""
    pairs: int
    """Trips among them that have a real partner; all paired figures are means over these."""
    jsd_distance: float
    """Jensen-Shannon divergences from the real trips, in nats, over HOSER's bins."""
    jsd_radius: float
    jsd_duration: float
    """Of the minutes of every step, as HOSER has it."""
    jsd_trip_duration: float
    """Of the minutes of every trip."""
    hausdorff_km: float
    dtw_km: float
    edr: float
    edr_hoser: float
    overlap: float
    """Shared metres over the metres that either of the two trips uses."""
    length_ratio: float
    """Mean length of the paired trips over that of their real partners (of all trips where none is paired)."""
    loops: float
    """Share of trips that use a segment more than once."""
    flow_r: float
    """Pearson correlation over all segments of the trips that use them, with the real trips' flows."""
    valid: float
    """Share of steps that are legal transitions."""
    arrived: float
    """Share of trips that end on the segment that was asked for."""
    redraw_overlap: float
    """Overlap of the first two trips of one request, over the requests that were answered twice; of the floor, what two
    real trips of one request share."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` found."""

    rows: dict[str, Figures]
    """`generated`, `floor` and one row a baseline."""
    real_n: int
    equal_n: int
    """Trips a side of the comparison at equal size."""
    at_equal_n: dict[str, Divergences]
    """The divergences of every row, floor included, between sets of `equal_n` trips each: only these compare fairly."""
    floor_is: str
    """What the floor compares, in words."""

    def over_floor(self, row: str, figure: str) -> float:
        """How many times the floor a divergence is, both at equal size."""
        floor = getattr(self.at_equal_n["floor"], figure)
        return float(getattr(self.at_equal_n[row], figure) / floor) if floor > 0 else float("nan")

    def to_dict(self) -> dict[str, object]:
        """One object a row, then how they were compared; figures that do not exist are None."""
        rows: dict[str, object] = {name: _plain(asdict(figures)) for name, figures in self.rows.items()}
        equal = {name: _plain(asdict(values)) for name, values in self.at_equal_n.items()}
        return rows | {
            "real": {"n": self.real_n},
            "equal_n": {"n": self.equal_n, **equal},
            "floor_is": self.floor_is,
        }

    def to_json(self) -> str:
        """`to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def table(self) -> Table:
        """The figures as a rich table, one column a row of the evaluation; an arrow says which way is better."""
        caption = f"Real trips: {self.real_n:,}. Floor: {self.floor_is}. × floor: at {self.equal_n:,} trips a side."
        table = Table(title="Generated against real trips", caption=caption, caption_justify="left")
        table.add_column("", no_wrap=True)
        for name in self.rows:
            table.add_column(name.replace("_", " "), justify="right")
        for field in fields(Figures):
            values = [getattr(figures, field.name) for figures in self.rows.values()]
            table.add_row(f"{field.name} {BETTER.get(field.name, '')}".strip(), *map(_shown, values))
            if field.name in DIVERGENCES:
                ratios = [self.over_floor(name, field.name) for name in self.rows]
                table.add_row("  × floor ↓", *map(_shown, ratios), style="dim")
        return table


DIVERGENCES = tuple(field.name for field in fields(Divergences))

BETTER = dict.fromkeys((*DIVERGENCES, "hausdorff_km", "dtw_km", "edr", "edr_hoser"), "↓") | dict.fromkeys(
    ("overlap", "flow_r", "valid", "arrived"), "↑"
)
"""Which way is better. Length ratio is best at 1; loops and the overlap of two draws are best at the floor's."""


def evaluate(
    network: RoadNetwork,
    real: Trips,
    generated: Trips,
    *,
    requests: Requests | None = None,
    floor: Trips | None = None,
    redraw: Trips | None = None,
    baselines: Mapping[str, Sampler] | None = None,
    seed: int = 0,
    pairing: Pairing = "segments",
    on_row: Callable[[str], None] | None = None,
) -> Evaluation:
    """Score `generated` against `real` on one network.

    `requests` are what each generated trip was asked for, row by row; without them every trip is taken to have been
    asked for its own two ends. A trip is compared with a real trip of the same request: the i-th with the i-th.

    `floor` is a second set of real trips, scored like a generated one: the best that any model can do. Without it the
    floor is taken inside `real`: paired figures from the first two trips of every request made twice, divergences
    between disjoint random halves. Trips of frequent requests are more alike than others, so that floor of the paired
    figures is a little better than the truth.

    `redraw` is a second answer to every request by what made `generated`, for the overlap of two draws; without it that
    is taken from the requests that `generated` answers twice.

    Every baseline answers the requests of the generated trips, and once more with another seed. `on_row` is called
    with the name of each row before it is worked out. Raises `TripError` for an empty set and for requests that are
    not one a generated trip.
    """
    for what, trips in (("real", real), ("generated", generated), ("floor", floor)):
        if trips is not None and len(trips) == 0:
            raise TripError(f"the {what} trips are empty: there is nothing to evaluate")
    asked = Requests.from_trips(generated) if requests is None else requests
    if len(asked) != len(generated):
        raise TripError(
            f"there are {len(asked)} requests for {len(generated)} generated trips; each trip needs its own"
        )
    tell = on_row or (lambda name: None)
    scorer = _Scorer(network, real, pairing)
    rows: dict[str, Figures] = {}
    measured: dict[str, Measured] = {}

    tell("generated")
    rows["generated"] = scorer.figures(generated, asked, redraw=redraw)
    measured["generated"] = measure(network, generated)

    tell("floor")
    if floor is not None:
        again = scorer.figures(floor, Requests.from_trips(floor))
        rows["floor"] = replace(again, redraw_overlap=again.overlap)
        measured["floor"] = measure(network, floor)
        floor_is = f"a second set of {len(floor):,} real trips"
    else:
        rows["floor"], floor_is = scorer.floor_within(np.random.default_rng(seed))

    for name, baseline in (baselines or {}).items():
        tell(name)
        row = name.replace("-", "_")
        draws = baseline.sample(asked, seed=seed), baseline.sample(asked, seed=seed + 1)
        rows[row] = scorer.figures(draws[0], asked, redraw=draws[1])
        measured[row] = measure(network, draws[0])

    equal_n, at_equal_n = compare_at_equal_size(scorer.measured, measured, seed=seed)
    return Evaluation(rows=rows, real_n=len(real), equal_n=equal_n, at_equal_n=at_equal_n, floor_is=floor_is)


class _Scorer:
    """Everything about the real trips that each row is compared with."""

    def __init__(self, network: RoadNetwork, real: Trips, pairing: Pairing) -> None:
        self.network, self.real, self.pairing = network, real, pairing
        self.keys = request_keys(network, real.origin, real.destination, pairing)
        self.measured = measure(network, real)

    def figures(self, trips: Trips, asked: Requests, *, redraw: Trips | None = None) -> Figures:
        """A row: `trips` against the real ones. `redraw` holds a second answer to every request, if there is one."""
        keys = request_keys(self.network, asked.origin, asked.destination, self.pairing)
        if redraw is None:
            own = request_keys(self.network, asked.origin, asked.destination, "segments")
            again = overlaps(self.network, trips, trips, twice(own))
        else:
            again = overlaps(self.network, trips, redraw, np.stack([np.arange(len(trips))] * 2, axis=-1))
        jsd = divergences(self.measured, measure(self.network, trips))
        arrived = float((trips.destination == asked.destination).mean())
        return self._row(self.real, trips, pair_up(self.keys, keys), jsd, arrived, again)

    def floor_within(self, rng: np.random.Generator) -> tuple[Figures, str]:
        """The row of real against real out of one set of trips, and what it is in words."""
        pairs = twice(self.keys)
        half = len(self.real) // 2
        rows = rng.permutation(len(self.real))
        first, second = self.real.take(np.sort(rows[:half])), self.real.take(np.sort(rows[half : 2 * half]))
        jsd = divergences(measure(self.network, first), measure(self.network, second))
        own = twice(request_keys(self.network, self.real.origin, self.real.destination, "segments"))
        row = self._row(self.real, self.real, pairs, jsd, 1.0, overlaps(self.network, self.real, self.real, own))
        flow_r = flow_correlation(self.network, first, second)
        said = (
            f"real trips among themselves: {len(pairs):,} pairs of one request; flows and divergences of random halves"
        )
        return replace(row, n=half, flow_r=flow_r), said

    def _row(
        self, real: Trips, trips: Trips, pairs: Int[ndarray, "k 2"], jsd: Divergences, arrived: float, again: ndarray
    ) -> Figures:
        network = self.network
        alignment = align(network, real, trips, pairs)
        length, truth = lengths_m(network, trips), lengths_m(network, real)
        ratio = length[pairs[:, 1]].mean() / truth[pairs[:, 0]].mean() if len(pairs) else length.mean() / truth.mean()
        return Figures(
            n=len(trips),
            pairs=len(pairs),
            **asdict(jsd),
            hausdorff_km=_mean(alignment.hausdorff_km),
            dtw_km=_mean(alignment.dtw_km),
            edr=_mean(alignment.edr),
            edr_hoser=_mean(alignment.edr_hoser),
            overlap=_mean(overlaps(network, real, trips, pairs)),
            length_ratio=float(ratio),
            loops=_mean(repeats_a_segment(network, trips)),
            flow_r=flow_correlation(network, real, trips),
            valid=_mean(legal_steps(network, trips), empty=1.0),
            arrived=arrived,
            redraw_overlap=_mean(again),
        )


def _mean(values: ndarray, *, empty: float = float("nan")) -> float:
    return float(values.mean()) if len(values) else empty


def _plain(values: dict[str, int | float]) -> dict[str, int | float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _shown(value: int | float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if math.isnan(value) else f"{value:.4g}" if value < 100 else f"{value:.0f}"
