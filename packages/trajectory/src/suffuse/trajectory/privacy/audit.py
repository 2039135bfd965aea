"""The audit: what generated trips, and if given a model, give away about the trips that were learned from.

Held-out trips of the same people and places, which nothing was learned from, say what each figure is for a source that
knows nothing: they are compared with the training trips just as the generated ones are.
"""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from rich.table import Table

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.metrics.points import lengths_m
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.pretrained import TripGenerator
from suffuse.trajectory.privacy.attacks import Attack, attack
from suffuse.trajectory.privacy.likelihood import nats_a_segment
from suffuse.trajectory.privacy.nearest import nearest_overlap
from suffuse.trajectory.privacy.subpaths import copies, longest_shared_m
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips, concatenate

LEAST = 20
"""Fewer trips in a set say nothing."""

BOOTSTRAPS = 1000

NO_DISTANCE = 1e-9
"""Mean distances up to this are what rounding leaves of 0."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How near a set of trips comes to the trips that were learned from."""

    n: int
    copies: float
    """Share that drive exactly the segments of a training trip."""
    shared_m: float
    """Median metres of the longest piece of way in common with a single training trip."""
    shared_share: float
    """Median of that over the trip's own metres."""
    nearest: float
    """Median overlap with the nearest training trip; 1 is the same streets."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What `audit` found."""

    generated: Figures
    holdout: Figures
    """The same of held-out trips: what a source that never saw the training trips comes to."""
    dcr_ratio: float | None
    """Mean distance (1 - overlap) of generated trips to the nearest training trip, over that of held-out trips: 1 where
    generated trips come no nearer than new trips do, 0 for copies. None, not defined, where that of held-out ones is 0.
    """
    dcr_low: float | None
    """Bounds of its 95 % bootstrap interval; None where the ratio of any resample is not defined."""
    dcr_high: float | None
    nearer_to_training: float
    """Share of generated trips whose nearest trip among equally many training and held-out ones is a training trip;
    ties count half."""
    attacks: dict[str, Attack]
    """`nearest`: by overlap with the nearest generated trip. With a model `likelihood`: by the likelihood of a trip,
    and `likelihood_gain`: by what the observed usage in the model directory adds to it."""
    controls: dict[str, Attack]
    """Scores that know nothing of what is audited: `length` of a trip, and `place`, its overlap with held-out trips
    that are used for nothing else. Where they tell members from others, the two sets differ by more than membership."""

    @property
    def doubts(self) -> list[str]:
        """A sentence for each control that tells training from held-out trips, and for a ratio that is not defined."""
        undefined = "distance to training over that of held out is not defined: that of held-out trips is 0"
        return ([undefined] if self.dcr_ratio is None else []) + [
            f"training and held-out trips differ in {name} (AUC {found.auc:.3f}, {found.low:.3f} to {found.high:.3f}): "
            "attacks may have found that, not membership"
            for name, found in self.controls.items()
            if found.tells
        ]

    def to_dict(self) -> dict[str, object]:
        """Everything as plain values."""
        return {**asdict(self), "doubts": self.doubts}

    def table(self) -> Table:
        """All figures as a rich table."""
        table = Table(title="What the trips give away", title_justify="left")
        for name in ("", "generated", "held out", "a source that knows nothing"):
            table.add_column(name, justify="left" if name == "" else "right")
        mine, theirs = self.generated, self.holdout
        for words, a, b in (
            ("exact copies of a training trip, %", 100 * mine.copies, 100 * theirs.copies),
            ("longest piece shared with one, median m", mine.shared_m, theirs.shared_m),
            ("the same over own length, %", 100 * mine.shared_share, 100 * theirs.shared_share),
            ("overlap with the nearest one, %", 100 * mine.nearest, 100 * theirs.nearest),
        ):
            table.add_row(words, f"{a:.1f}", f"{b:.1f}", "as held out")
        ratio, low, high = ("-" if x is None else f"{x:.3f}" for x in (self.dcr_ratio, self.dcr_low, self.dcr_high))
        interval = ratio if low == "-" else f"{ratio} ({low} to {high})"
        table.add_row("distance to training over that of held out", interval, "", "1")
        table.add_row("nearer to training than to held out, %", f"{100 * self.nearer_to_training:.1f}", "", "50")
        for name, found in (
            self.attacks | {f"control: {name}": found for name, found in self.controls.items()}
        ).items():
            said = f"{found.auc:.3f} ({found.low:.3f} to {found.high:.3f})"
            table.add_row(f"AUC, {name.replace('_', ' ')}", said, "", "0.5")
            if not name.startswith("control"):
                table.add_row("  members caught at 1 % false alarms, %", f"{100 * found.caught:.1f}", "", "1")
        return table


def audit(
    city: RoadNetwork,
    train: Trips,
    holdout: Trips,
    generated: Trips,
    *,
    model: TripGenerator | None = None,
    most: int = 2000,
    seed: int = 0,
) -> Audit:
    """Compare generated trips with those that were learned from and with others of the same kind that were not.

    Copies, shared pieces and nearest trips are looked for among all training trips. Comparisons of training with
    held-out trips, and the attacks, use random samples of one size: at most `most`, at most half of the held-out trips.

    Args:
        city: the roads of all the trips.
        train: trips that were learned from.
        holdout: trips of the same kind that nothing was learned from, drawn at random from the same source.
        generated: what is to be published.
        model: a model trained on `train`, to attack by likelihood as whoever has its directory can.
        most: the most trips a sample.
        seed: of the samples.

    Raises:
        TripError: if a set has too few trips, or if every held-out trip is a training trip as well.
        ValueError: if `most` is below 20.

    """
    if most < LEAST:
        raise ValueError(f"most must be at least {LEAST}, got {most}")
    for name, trips, least in (
        ("train", train, LEAST),
        ("holdout", holdout, 2 * LEAST),
        ("generated", generated, LEAST),
    ):
        if len(trips) < least:
            raise TripError(f"{name} holds {len(trips)} trips, but an audit needs at least {least}")
    if _journeys(holdout) <= _journeys(train):
        raise TripError("every held-out trip is a training trip too: hold out trips that nothing was learned from")
    rng = np.random.default_rng(seed)
    size = min(most, len(train), len(holdout) // 2)
    shuffled = rng.permutation(len(holdout))
    others, reference = holdout.take(shuffled[:size]), holdout.take(shuffled[size : 2 * size])
    members = _sample(train, size, rng)
    shown = _sample(generated, most, rng)

    to_members, members_score = nearest_overlap(city, shown, members)
    to_others, others_score = nearest_overlap(city, shown, others)
    attacks = {"nearest": attack(members_score, others_score)}
    if model is not None:
        attacks |= _by_likelihood(model, members, others)
    both = concatenate([shown, others])
    near, _ = nearest_overlap(city, both, train)
    shared, copied = longest_shared_m(city, both, train), copies(both, train)
    mine, theirs = slice(len(shown)), slice(len(shown), None)
    low, high = _ratio_interval(1 - near[mine], 1 - near[theirs], rng)
    metres = lengths_m(city, both)

    def figures(rows: slice) -> Figures:
        return Figures(
            n=len(near[rows]),
            copies=float(copied[rows].mean()),
            shared_m=float(np.median(shared[rows])),
            shared_share=float(np.median(shared[rows] / metres[rows])),
            nearest=float(np.median(near[rows])),
        )

    return Audit(
        generated=figures(mine),
        holdout=figures(theirs),
        dcr_ratio=_ratio(1 - near[mine], 1 - near[theirs]),
        dcr_low=low,
        dcr_high=high,
        nearer_to_training=float(((to_members > to_others) + 0.5 * (to_members == to_others)).mean()),
        attacks=attacks,
        controls={
            "length": attack(lengths_m(city, members), lengths_m(city, others)),
            "place": attack(nearest_overlap(city, members, reference)[0], nearest_overlap(city, others, reference)[0]),
        },
    )


def _sample(trips: Trips, count: int, rng: np.random.Generator) -> Trips:
    return trips if len(trips) <= count else trips.take(np.sort(rng.choice(len(trips), count, replace=False)))


def _journeys(trips: Trips) -> set[tuple[bytes, int]]:
    """Segments and departure of each trip, whatever it is called."""
    depart = trips.depart.astype("datetime64[s]").astype(np.int64).tolist()
    return {(trips.segments_of(row).astype(np.int64).tobytes(), when) for row, when in enumerate(depart)}


def _by_likelihood(model: TripGenerator, members: Trips, others: Trips) -> dict[str, Attack]:
    """Yeom et al. (2018): what was learned from is likelier. The gain is calibrated as Watson et al. (2022) have it."""
    network = model.city.network
    beside = model.logit if model.logit is not None and model.logit.learned_beside else None
    known = [nats_a_segment(model.model, model.city, trips, beside) for trips in (members, others)]
    found = {"likelihood": attack(-known[0], -known[1])}
    if model.at_home:
        blind = [nats_a_segment(model.model, CityFeatures(network), trips) for trips in (members, others)]
        found["likelihood_gain"] = attack(blind[0] - known[0], blind[1] - known[1])
    return found


def _ratio(first: Float[ndarray, " j"], second: Float[ndarray, " k"]) -> float | None:
    """Ratio of means; None where the second is 0."""
    below = float(second.mean())
    return float(first.mean()) / below if below > NO_DISTANCE else None


def _ratio_interval(
    first: Float[ndarray, " j"], second: Float[ndarray, " k"], rng: np.random.Generator
) -> tuple[float, float] | tuple[None, None]:
    draws = list[float]()
    for _ in range(BOOTSTRAPS):
        above, below = (values[rng.integers(len(values), size=len(values))] for values in (first, second))
        ratio = _ratio(above, below)
        if ratio is None:
            return None, None
        draws.append(ratio)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
