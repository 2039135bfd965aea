"""Block-wise adaptive caching (BAC, arXiv 2506.13456): each residual branch is renewed when it is worth it.

The output of each attention and feed-forward part of a transformer is kept, and renewed only in the update steps of
that part. Update steps come from calibration: the similarity of a part's outputs in all pairs of steps is measured over
several generations, and a dynamic programme finds the steps that keep what is reused most like what it stands for
(adaptive caching scheduler). A feed-forward part that is renewed while parts behind it are not carries the errors of
its reused inputs onward; therefore the feed-forward parts that change most also take over all update steps of those
behind them (bubbling union). Or all parts share their update steps, which the same programme finds for the sum of their
similarities (the paper's unified schedule): then nothing is carried onward. In the paper's table the first does better.
That depends on the model, so calibration tries both, and tries to count late steps for more, which the paper does not;
it keeps whatever ends nearest to what is generated in full.

Where the paper sums similarities of neighbouring steps, its released code sums those of each step to the update that
serves it; this follows the code. Unlike there, several generations are measured and not one, the first and the last
step are always updates, and the number of updates follows from the budget.

Dimensions: k steps.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from suffuse.backbone.engine.budget import check_budget
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, Scope, Shortcut, SiteCall
from suffuse.backbone.engine.values import ValueCache
from suffuse.backbone.sites import Backbone, Profile, Site


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockAdaptiveCache(Shortcut):
    """Reuse the outputs of attention and feed-forward parts between their update steps.

    Attributes:
        steps: The number of steps of a generation that the updates are meant for.
        updates: For each part by name, the steps in which it runs. Parts that are not named run in every step.

    Raises ShortcutError for updates outside the steps.
    """

    name: ClassVar[str] = "block-adaptive-cache"
    scope: ClassVar[Scope] = "branch"

    steps: int
    updates: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, steps in self.updates.items():
            if not all(0 <= step < self.steps for step in steps):
                raise ShortcutError(f"updates of {name} must be in [0, {self.steps - 1}], got {list(steps)}")

    @property
    def idle(self) -> bool:
        """Whether everything runs."""
        return all(len(set(steps)) == self.steps for steps in self.updates.values())

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """The parts that have updates. Raises ShortcutError if the model lacks one of them."""
        there = {site.name: site for site in backbone.of_kind("attention", "feed_forward")}
        for name in self.updates:
            if name not in there:
                raise ShortcutError(f"a {type(backbone.model).__name__} has no attention or feed-forward part {name!r}")
        return tuple(there[name] for name in self.updates)

    def player(self, backbone: Backbone) -> Player:
        """A player with empty caches."""
        return _AdaptivePlayer(self)


class _AdaptivePlayer(Player):
    def __init__(self, settings: BlockAdaptiveCache) -> None:
        self._settings = settings
        self._cache = ValueCache()
        self._renewed: dict[Hashable, int] = {}

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        if moment.steps != self._settings.steps:
            raise ShortcutError(f"the updates are meant for {self._settings.steps} steps, got {moment.steps}")

    def around(self, call: SiteCall) -> Any:
        key, step = _key(call), call.moment.step
        last = self._renewed.get(key, -1)
        # An update may have been missed because a shortcut outside left out the whole block.
        due = any(last < update <= step for update in self._settings.updates[call.site.name])
        if not due:
            known, output = self._cache.get(key)
            if known:
                return output
        return call.run()

    def watch(self, call: SiteCall, output: Any) -> None:
        key = _key(call)
        self._cache.put(key, output)
        self._renewed[key] = call.moment.step


def _key(call: SiteCall) -> Hashable:
    shape = next((tuple(value.shape) for value in call.arguments.values() if isinstance(value, Tensor)), ())
    return call.site.name, call.repeat, shape


# -------------------------------------------------------------------------------------------- the scheduler


def best_updates(similarity: Float[np.ndarray, "k k"], most: int) -> dict[int, tuple[float, tuple[int, ...]]]:
    """For each number of updates up to `most`, the best score and the update steps that reach it; step 0 is always one.

    The score of update steps is the sum over all steps t of `similarity[a, t]`, with a the last update up to t. Dynamic
    programme over (updates used, last step served), O(most k^2).
    """
    steps = len(similarity)
    if not 1 <= most <= steps:
        raise ShortcutError(f"the number of updates must be in [1, {steps}], got {most}")
    # served[a, e]: what an update at a is worth if it serves the steps from a up to e, e excluded
    served = np.concatenate([np.zeros((steps, 1)), np.cumsum(np.triu(similarity), axis=1)], axis=1)
    score = np.full((most + 1, steps + 1), -np.inf)  # [updates, steps served]
    came_from = np.zeros((most + 1, steps + 1), dtype=int)
    score[1, 1:] = served[0, 1:]
    for used in range(2, most + 1):
        for end in range(used, steps + 1):
            starts = np.arange(used - 1, end)
            values = score[used - 1, starts] + served[starts, end]
            came_from[used, end] = starts[np.argmax(values)]
            score[used, end] = values.max()
    found = {}
    for count in range(1, most + 1):
        updates, end = [], steps
        for used in range(count, 1, -1):
            end = int(came_from[used, end])
            updates.append(end)
        found[count] = (float(score[count, steps]), (0, *reversed(updates)))
    return found


def bubbling_union(
    updates: Mapping[str, set[int]], feed_forward: Sequence[str], change: Mapping[str, float], bubbles: int
) -> dict[str, set[int]]:
    """Give the `bubbles` feed-forward parts that change most the updates of all feed-forward parts from theirs on.

    `feed_forward` names these parts in the order in which they run.
    """
    union = {name: set(steps) for name, steps in updates.items()}
    for name in sorted(feed_forward, key=lambda name: -change[name])[:bubbles]:
        for behind in feed_forward[feed_forward.index(name) :]:
            union[name] |= updates[behind]
    return union


# ---------------------------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class PartStatistics:
    """What calibration measured of one part.

    Attributes:
        flops: Floating-point operations of a call, by the sample.
        similarity: Cosine of its outputs in each pair of steps, mean over generations.
        spread: Standard deviation of that mean's terms over generations, mean over pairs; 0 with one generation.
        change: Mean absolute difference of its outputs over all pairs of steps.
        feed_forward: Whether it is a feed-forward part.
    """

    flops: float
    similarity: Float[np.ndarray, "k k"]
    spread: float
    change: float
    feed_forward: bool


LATE = (0.0, 1.0, 2.0, 3.0)
"""Powers that are worth a trial: how much more a late step counts than an early one."""


def counted_late(parts: Mapping[str, PartStatistics], power: float) -> dict[str, PartStatistics]:
    """The statistics with what is lost in step t of k counted ((t + 1) / k)^power times.

    Steps put right, in part, what went wrong in steps before them; what goes wrong in the last ones stays.
    """
    steps = _steps_of(parts)
    weight = ((np.arange(steps) + 1) / steps) ** power
    return {name: replace(part, similarity=1 - (1 - part.similarity) * weight) for name, part in parts.items()}


def schedule_updates(
    parts: Mapping[str, PartStatistics], full: float, budget: float, *, bubbles: int = 5
) -> tuple[dict[str, tuple[int, ...]], float]:
    """The update steps of all parts, given in the order in which they run, that use the budget up best.

    All parts get as many updates as the budget allows for all alike, bubbling union, first and last step included; what
    is left goes to single updates where they gain the most similarity for their cost. Returns the updates and the share
    of the full work, `full` operations a step, that they leave. Raises ShortcutError if the least that can be is more
    than the budget.
    """
    check_budget(budget)
    steps = _steps_of(parts)
    tables = {name: best_updates(part.similarity, steps) for name, part in parts.items()}
    order = [name for name, part in parts.items() if part.feed_forward]
    change = {name: part.change for name, part in parts.items()}

    def updates_of(counts: Mapping[str, int]) -> dict[str, set[int]]:
        chosen = {name: {*tables[name][count][1], steps - 1} for name, count in counts.items()}
        return bubbling_union(chosen, order, change, bubbles)

    def fraction_of(updates: Mapping[str, set[int]]) -> float:
        return _fraction(parts, full, updates)

    counts = dict.fromkeys(parts, 1)
    _check_least(fraction_of(updates_of(counts)), budget, steps)
    while counts[order[0] if order else next(iter(counts))] < steps:
        more = {name: count + 1 for name, count in counts.items()}
        if fraction_of(updates_of(more)) > budget:
            break
        counts = more
    worth_trying = set(parts)
    while worth_trying:
        gain = {
            name: (tables[name][counts[name] + 1][0] - tables[name][counts[name]][0]) / max(parts[name].flops, 1.0)
            for name in worth_trying
            if counts[name] < steps
        }
        worth_trying = set()
        for name in sorted(gain, key=lambda name: (-gain[name], name)):
            more = counts | {name: counts[name] + 1}
            if fraction_of(updates_of(more)) <= budget:
                counts = more
                worth_trying.add(name)
    updates = updates_of(counts)
    return {name: tuple(sorted(chosen)) for name, chosen in updates.items()}, fraction_of(updates)


def shared_updates(
    parts: Mapping[str, PartStatistics], full: float, budget: float
) -> tuple[dict[str, tuple[int, ...]], float]:
    """The best update steps that all parts share, so that none meets what another one has kept from another step.

    They are those of the dynamic programme for the sum of all parts' similarities. What the budget has left for a part
    of one step more goes to the first parts in it. Returns and raises what `schedule_updates` does.
    """
    check_budget(budget)
    steps = _steps_of(parts)
    similarity = np.sum([part.similarity for part in parts.values()], axis=0)
    table = best_updates(similarity, steps)
    chosen = [tuple(sorted({*table[count][1], steps - 1})) for count in range(1, steps + 1)]
    fitting = [one for one in chosen if _fraction(parts, full, dict.fromkeys(parts, one)) <= budget]
    _check_least(_fraction(parts, full, dict.fromkeys(parts, chosen[0])), budget, steps)
    shared = max(fitting, key=len)
    updates = {name: set(shared) for name in parts}
    more = next((one for one in chosen if len(one) > len(shared)), None)
    if more is not None:
        # The larger set without the step of it that is missed least; then that step again, as far as the budget goes.
        without = {step: [other for other in more if other != step] for step in more[1:-1]}
        missed = max(without, key=lambda step: _score(similarity, without[step]))
        trial = {name: set(without[missed]) for name in parts}
        for name in parts:
            trial[name].add(missed)
            if _fraction(parts, full, trial) > budget:
                trial[name].remove(missed)
                break
        if any(missed in chosen for chosen in trial.values()):
            updates = trial
    return {name: tuple(sorted(one)) for name, one in updates.items()}, _fraction(parts, full, updates)


def _score(similarity: Float[np.ndarray, "k k"], updates: Sequence[int]) -> float:
    """The sum that `best_updates` makes largest, of given updates."""
    served = np.searchsorted(updates, np.arange(len(similarity)), side="right") - 1
    return float(similarity[np.asarray(updates)[served], np.arange(len(similarity))].sum())


def _steps_of(parts: Mapping[str, PartStatistics]) -> int:
    return len(next(iter(parts.values())).similarity)


def _fraction(
    parts: Mapping[str, PartStatistics], full: float, updates: Mapping[str, set[int] | tuple[int, ...]]
) -> float:
    """The share of the full work that updates leave."""
    steps = _steps_of(parts)
    left_out = sum(parts[name].flops * (steps - len(chosen)) for name, chosen in updates.items())
    return 1 - left_out / (full * steps)


def _check_least(least: float, budget: float, steps: int) -> None:
    if least > budget:
        raise ShortcutError(f"budget {budget} cannot be reached in {steps} steps; the least is {least:.2f}")
