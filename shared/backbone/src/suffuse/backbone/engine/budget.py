"""From a budget to a plan: how much to leave out in which step."""

from collections.abc import Sequence
from dataclasses import dataclass

from suffuse.backbone.engine.errors import ShortcutError


def check_budget(budget: float) -> None:
    """Raises ShortcutError for a budget outside (0, 1]."""
    if not 0 < budget <= 1:
        raise ShortcutError(f"budget must be in (0, 1], got {budget}")


@dataclass(frozen=True)
class Spread:
    """A plan: which of several options of leaving out work to take in which step.

    Attributes:
        options: For each step the number of its option, -1 for a step in which everything runs.
        interval: Steps from one in which everything runs to the next, on average.
        fraction: Share of the full work that is left.
    """

    options: tuple[int, ...]
    interval: int
    fraction: float


def light_steps(steps: int, interval: int, first: int = 1, early: float = 1.0) -> list[int]:
    """The steps in which work may be left out: neither those up to `first` nor the last, nor those that run in full in
    between, which lie `interval` steps apart.

    With `early` above 1 as many steps run in full, but they crowd early, below 1 late: the k-th of n lies at the
    (k / n) ** `early` of the way.
    """
    way = steps - 1 - first
    heavy = {first + round(way * (k * interval / way) ** early) for k in range(-(-way // interval))} if way > 0 else {}
    return [step for step in range(first + 1, steps - 1) if step not in heavy]


def spread(
    saving: Sequence[Sequence[float]],
    full: float,
    budget: float,
    *,
    first: int = 1,
    interval: int | None = None,
    early: float = 1.0,
) -> Spread:
    """Spread what has to be saved evenly over the steps, with the shortest interval for which it is enough.

    `saving[step]` holds what each option saves in that step, in rising order; `full` is the work of a step. In each
    light step the option is taken that keeps the sum of savings nearest to its share, so that over a generation the
    budget is missed by at most half the distance of two options. Raises ShortcutError if even leaving out all that can
    be left out is too much work, and names the least budget.
    """
    check_budget(budget)
    steps = len(saving)
    target = (1 - budget) * full * steps
    if target <= 0:
        return Spread((-1,) * steps, 1, 1.0)
    intervals = [interval] if interval else range(2, max(3, steps))
    best = 0.0
    for every in intervals:
        light = light_steps(steps, every, first, early)
        most = sum(saving[step][-1] for step in light if saving[step])
        best = max(best, most)
        if most >= target * (1 - 1e-9):
            return _fill(saving, light, target / most, full, every)
    raise ShortcutError(
        f"budget {budget} cannot be reached in {steps} steps: the first, the last and those that refresh what is kept"
        f" run in full; the least is {1 - best / (full * steps):.2f}"
    )


def _fill(saving: Sequence[Sequence[float]], light: Sequence[int], share: float, full: float, interval: int) -> Spread:
    options, wanted, saved = [-1] * len(saving), 0.0, 0.0
    for step in light:
        wanted += share * saving[step][-1]
        candidates = [0.0, *saving[step]]
        best = min(range(len(candidates)), key=lambda option: abs(saved + candidates[option] - wanted))
        options[step] = best - 1
        saved += candidates[best]
    return Spread(tuple(options), interval, 1 - saved / (full * len(saving)))
