"""Forecast-Cache: what the blocks add is foretold from the last steps in which they ran.

In a light step all blocks rest. Delta-Cache (`delta_cache.py`) adds again what they added last; but that changes along
a smooth path, and the last two or three values on it foretell the next one better than the last alone. Foretelling
features by a polynomial is the idea of TaylorSeer (Liu et al. 2025, arXiv 2503.06923), there for each attention and
feed-forward part by finite differences at a fixed distance; here for whole spans of blocks, so that one tensor is kept
for each span, stream and step remembered, and for any distances.

Calibration does better than a polynomial. From the inner products G[s, t] = <d_s, d_t> of what is added in each pair of
steps it has, in closed form, the weights with which the steps remembered foretell a light one best (least squares) and
the error that is left. An exact dynamic programme over the last `memory` steps that ran then finds the steps to run for
which the sum of these errors is least.

Whole steps alone would miss a budget by up to half a step. What is left of it goes to one light step, in which only the
blocks at the front are foretold and those behind them run.

Dimensions: k steps, m steps remembered, f features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suffuse.backbone.engine.budget import check_budget
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, Scope, Shortcut, SiteCall
from suffuse.backbone.engine.spans import Span
from suffuse.backbone.shortcuts.forecast_budget import (
    block_shares,
    farthest,
    left_over,
    may_be_partial,
    rear_within,
    runs_within,
)
from suffuse.backbone.shortcuts.span_player import SpanPlayer, blocks_of
from suffuse.backbone.sites import Backbone, Profile, Site

MOST_MEMORY = 3
"""The dynamic programme takes k ** (memory + 1) numbers."""

RIDGE = 1e-6
"""Least squares do not trust differences smaller than this share of what is added."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ForecastCache(Shortcut):
    """Leave out all blocks in some steps, and foretell what they would add.

    Attributes:
        budget: Share of the full work that a generation may take, in (0, 1].
        memory: From how many steps is foretold, in [1, 3]: by a polynomial of one degree less.
        steps: What calibration found is meant for this number of steps; None without calibration.
        runs: The steps in which the blocks run; without calibration they lie even.
        partial: The step in which blocks at the rear run, as many as the budget leaves over for; with calibration only.
        weights: For each span, named by its first block, and each light step the weights of the steps remembered, the
            last one first; without calibration those of the polynomial.

    Raises ShortcutError for values outside these ranges, and, once the number of steps is known, for a budget that
    cannot be kept in so few.
    """

    name: ClassVar[str] = "forecast-cache"
    scope: ClassVar[Scope] = "block"

    budget: float = 0.6
    memory: int = 2
    steps: int | None = None
    runs: Sequence[int] = ()
    partial: int | None = None
    weights: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if not 1 <= self.memory <= MOST_MEMORY:
            raise ShortcutError(f"memory must be in [1, {MOST_MEMORY}], got {self.memory}")
        if self.steps is not None and not {0, self.steps - 1} <= set(self.runs) <= set(range(self.steps)):
            raise ShortcutError(f"runs must be in [0, {self.steps - 1}] with both ends, got {list(self.runs)}")
        if self.partial is not None and not may_be_partial(self.partial, self.runs):
            raise ShortcutError(
                f"partial must be a step behind the second of the runs and none of them, got {self.partial}"
            )

    @property
    def idle(self) -> bool:
        """Whether everything runs."""
        return self.budget == 1 or len(set(self.runs)) == self.steps

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """All blocks."""
        return blocks_of(backbone, self.name)

    def player(self, backbone: Backbone) -> Player:
        """A player that remembers nothing yet."""
        return ForecastPlayer(self)


# ---------------------------------------------------------------------------------------- when to run, and weights


def even_runs(count: int, steps: int) -> tuple[int, ...]:
    """`count` of the steps at even distances, the first and the last included."""
    return tuple(sorted({round(float(step)) for step in np.linspace(0, steps - 1, count)}))


@cache
def polynomial_weights(known: tuple[int, ...], step: int) -> tuple[float, ...]:
    """The weights of values at the steps `known` in the polynomial through them, at `step` (Lagrange)."""
    return tuple(float(np.prod([(step - other) / (one - other) for other in known if other != one])) for one in known)


def least_squares(gram: Float[np.ndarray, "k k"], known: Sequence[int]) -> Float[np.ndarray, "m k"]:
    """The weights of the steps `known` that foretell each step best, by inner products of what is added in steps."""
    inner = gram[np.ix_(known, known)]
    ridge = RIDGE * float(np.trace(inner)) / len(known) * np.eye(len(known))
    return np.linalg.solve(inner + ridge, gram[list(known)])


def foretelling_error(gram: Float[np.ndarray, "k k"], known: Sequence[int]) -> Float[np.ndarray, " k"]:
    """The mean squared error that is left for each step, as a share of what is added."""
    weights = least_squares(gram, known)
    error = np.diag(gram) - 2 * np.sum(weights * gram[list(known)], axis=0)
    error = error + np.einsum("mk,mn,nk->k", weights, gram[np.ix_(known, known)], weights)
    return np.maximum(error, 0) / np.diag(gram).mean()


def best_runs(grams: Sequence[Float[np.ndarray, "k k"]], count: int, memory: int) -> tuple[tuple[int, ...], float]:
    """The `count` steps to run for which the sum of errors over all light steps and spans is least, and that sum.

    The first and the last step are among them. Dynamic programme over the last `memory` of them, O(count k^(memory+1)).
    """
    steps = len(grams[0])
    if not min(2, steps) <= count <= steps:
        raise ShortcutError(f"the number of steps that run must be in [{min(2, steps)}, {steps}], got {count}")
    # Histories are indexed by steps + 1, where 0 stands for no step: [.., second to last, last, next].
    between = np.full((steps + 1,) * (memory + 1), np.inf)
    for length in range(1, memory + 1):
        for known in combinations(range(steps), length):
            if length < memory and known[0] != 0:
                continue  # a short history begins with the first step
            error = np.sum([foretelling_error(gram, known) for gram in grams], axis=0)
            place = (0,) * (memory - length) + tuple(step + 1 for step in known)
            last = known[-1]
            between[place][last + 2 :] = np.cumsum([0.0, *error[last + 1 : steps - 1]])
    value = np.full((steps + 1,) * memory, np.inf)
    value[(0,) * (memory - 1) + (1,)] = 0.0
    came_from = []
    for _ in range(count - 1):
        sums = value[..., None] + between
        came_from.append(sums.argmin(axis=0))
        value = sums.min(axis=0)
    ends = np.unravel_index(value[..., steps].argmin(), (steps + 1,) * (memory - 1))
    place = (*(int(axis) for axis in ends), steps)
    found, runs = float(value[place]), [steps - 1]
    for choices in reversed(came_from):
        place = (int(choices[place]), *place[:-1])
        runs.append(place[-1] - 1)
    return tuple(reversed(runs)), found


# ------------------------------------------------------------------------------------------------------- the player


class ForecastPlayer(SpanPlayer):
    """Foretells in light steps what spans would add."""

    def __init__(self, settings: ForecastCache) -> None:
        super().__init__(settings.memory)
        self._settings = settings
        self._runs: frozenset[int] = frozenset()
        self._names: dict[Span, str] = {}
        self._partial: int | None = None
        self._front: dict[int, Span] = {}  # what rests in the partial step
        self._resting: dict[int, Span] = {}  # what rests in this step

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        """Choose in the second step which are light. Raises ShortcutError if not calibrated for so many steps."""
        settings = self._settings
        if settings.steps is not None and moment.steps != settings.steps:
            raise ShortcutError(f"{settings.name} was calibrated for {settings.steps} steps, got {moment.steps}")
        super().begin(moment, profile)
        if self.spans and profile is not None and not self._runs:
            self._plan(moment.steps, profile)
        partly = moment.step == self._partial
        rests = bool(self._runs) and moment.step not in self._runs
        self._resting = self._front if partly else self.spans if rests else {}

    def _plan(self, steps: int, profile: Profile) -> None:
        settings, blocks = self._settings, profile.of_kind("block")
        self._names = {span: blocks[span[0]].site.name for span in self.spans.values()}
        costs, overhead = block_shares(profile, self.spans), self.overhead(profile)
        light = 1 - sum(costs) + overhead
        if settings.steps is None:
            runs: Sequence[int] = even_runs(runs_within(settings.budget, steps, light), steps)
            self._partial = farthest(runs, steps)
        else:
            runs, self._partial = settings.runs, settings.partial
        self._runs = frozenset(runs)
        rear = rear_within(costs, left_over(settings.budget, steps, len(self._runs), light, overhead))
        if self._partial is None or not rear:
            self._partial = None
            return
        cut = sorted(self.spans)[-rear]
        for index, span in self.spans.items():
            if index < cut:
                self._front[index] = (span[0], min(span[1], cut))
        low, high = self.spans[cut]
        if low < cut:  # the part of this span that rests has to be known by itself
            self._names[low, cut] = self._names[low, high]
            for index in range(low, cut):
                self.kept[index].append((low, cut))

    def watch(self, call: SiteCall, output: Any) -> None:
        """A block has run. What it gave behind blocks that were foretold is not kept."""
        if call.moment.step != self._partial:
            super().watch(call, output)

    def around(self, call: SiteCall) -> Any:
        """In a light step, the forecast."""
        span = self._resting.get(call.seen.index) if call.seen else None
        if span is not None and call.seen is not None:
            done, output = self.cache.replay(span, call, self._weights(span, call.moment.step))
            if done:
                last = call.seen.index == span[0] and self._resting is self.spans
                return self.corrected(call, output) if last else output
        return call.run()

    def corrected(self, call: SiteCall, output: Any) -> Any:
        """What is made of the forecast of a whole span's output, at the call of its first block."""
        return output

    def overhead(self, profile: Profile) -> float:
        """The share of a step's work that this takes."""
        return 0.0

    def _weights(self, span: Span, step: int) -> Sequence[float]:
        """Those of calibration where what is remembered is what it was made for, else the polynomial's."""
        known = self.cache.steps(span)
        planned = sorted((run for run in self._runs if run < step), reverse=True)[: self._settings.memory]
        if known == tuple(planned):
            found = self._settings.weights.get(self._names[span], {}).get(str(step))
            if found is not None:
                return found
        return polynomial_weights(known, step) if known else ()


# --------------------------------------------------------------------------------------------------- calibration


@dataclass(frozen=True, kw_only=True, eq=False)
class DeltaRecorder(Shortcut):
    """Collects what the longest spans of blocks add in each step of full generations, thinned to `features` numbers."""

    name: ClassVar[str] = "delta-recorder"
    scope: ClassVar[Scope] = "block"
    saves: ClassVar[bool] = False

    features: int = 16384
    players: list["_RecordingPlayer"] = field(default_factory=list)

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """All blocks."""
        return blocks_of(backbone, ForecastCache.name)

    def player(self, backbone: Backbone) -> Player:
        """A player that is remembered in `players`."""
        self.players.append(_RecordingPlayer(self.features))
        return self.players[-1]

    def grams(self) -> tuple[dict[str, Float[np.ndarray, "k k"]], tuple[float, ...]]:
        """Inner products of what is added in each pair of steps, by the span's first block, mean over generations and
        branches; and the shares of a step's work of the blocks in the spans, in their order.

        Raises ShortcutError if nothing was recorded, or generations differ in their number of steps.
        """
        recorded = [player for player in self.players if player.rows]
        if not recorded:
            raise ShortcutError("nothing was recorded: no span of blocks ran twice or more")
        lengths = {len(rows) for player in recorded for rows in player.rows.values()}
        if len(lengths) > 1:
            raise ShortcutError(f"generations must have one number of steps, got {sorted(lengths)}")
        grams = {}
        for name in recorded[0].rows:
            tables = [torch.stack(player.rows[name]).double() for player in recorded]
            grams[name] = torch.stack([table @ table.T for table in tables]).mean(dim=0).numpy()
        return grams, recorded[0].costs


class _RecordingPlayer(SpanPlayer):
    def __init__(self, features: int) -> None:
        super().__init__(1)
        self._features = features
        self.rows: dict[str, list[Tensor]] = {}
        self.costs: tuple[float, ...] = ()
        self._names: dict[Span, str] = {}

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        super().begin(moment, profile)
        if self.spans and not self._names and profile is not None:
            blocks = profile.of_kind("block")
            self._names = {span: blocks[span[0]].site.name for span in self.spans.values()}
            self.costs = block_shares(profile, self.spans)
            for span in self._names:
                if self.cache.steps(span):
                    self._record(span)

    def watch(self, call: SiteCall, output: Any) -> None:
        super().watch(call, output)
        span = self.spans.get(call.seen.index) if call.seen else None
        if span is not None and call.seen is not None and call.seen.index == span[1] - 1 and call.moment.step > 0:
            self._record(span)

    def _record(self, span: Span) -> None:
        flat = torch.cat([added.detach().flatten().float() for added in self.cache.newest(span)])
        stride = max(1, flat.numel() // self._features)
        self.rows.setdefault(self._names[span], []).append(flat[::stride].cpu())


@dataclass(frozen=True, kw_only=True)
class RunSchedule:
    """When the blocks of a model run, for a budget.

    Attributes:
        runs: The steps in which all run.
        partial: The step in which blocks at the rear run; None if whole steps keep the budget.
        weights: Of the steps remembered, by span and light step.
        fraction: The share of the full work that this takes.
    """

    runs: tuple[int, ...]
    partial: int | None
    weights: dict[str, dict[str, list[float]]]
    fraction: float


def schedule_runs(
    grams: Mapping[str, Float[np.ndarray, "k k"]], costs: Sequence[float], budget: float, *, memory: int
) -> RunSchedule:
    """The best schedule for a budget, from what `DeltaRecorder.grams` gives. The partial step is the one that is
    foretold worst. Raises ShortcutError if the budget cannot be kept."""
    check_budget(budget)
    steps, light = len(next(iter(grams.values()))), 1 - sum(costs)
    runs, _ = best_runs(list(grams.values()), runs_within(budget, steps, light), memory)
    known = {
        step: sorted((run for run in runs if run < step), reverse=True)[:memory]
        for step in sorted(set(range(steps)) - set(runs))
    }
    weights = {
        name: {str(step): [float(weight) for weight in least_squares(gram, of)[:, step]] for step, of in known.items()}
        for name, gram in grams.items()
    }
    error = {
        step: sum(float(foretelling_error(gram, of)[step]) for gram in grams.values())
        for step, of in known.items()
        if may_be_partial(step, runs)
    }
    rear = rear_within(costs, left_over(budget, steps, len(runs), light)) if error else 0
    return RunSchedule(
        runs=runs,
        partial=max(error, key=lambda step: error[step]) if rear else None,
        weights=weights,
        fraction=light + (1 - light) * len(runs) / steps + sum(costs[len(costs) - rear :]) / steps,
    )
