"""How a budget is kept by steps that run or rest: as many as it pays for, and one in which only some blocks run."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import floor

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.sites import Profile

NEAR_ENOUGH = 0.025
"""A budget missed by this share of it, half of what is allowed, is kept by whole steps."""


def runs_within(budget: float, steps: int, light: float) -> int:
    """How many steps may run in full, at least the first and the last, for the share of work nearest to the budget.

    If that misses the budget by more than `NEAR_ENOUGH` of it, as many as are surely within, and what is left over is
    for a partial step. `light` is the share of a full step that a light one takes. Raises ShortcutError if even two
    full steps are too much.
    """
    wanted = (budget - light) / (1 - light) * steps
    least = light + (1 - light) * min(2, steps) / steps
    if least > budget * 1.05:
        raise ShortcutError(f"budget {budget} cannot be reached in {steps} steps; the least is {least:.2f}")
    count = round(wanted)
    if abs(light + (1 - light) * count / steps - budget) > NEAR_ENOUGH * budget and floor(wanted) > 2:
        count = floor(wanted)  # with two there is no partial step: nothing is known that it could be foretold from
    return min(steps, max(2, count))


def may_be_partial(step: int, runs: Sequence[int]) -> bool:
    """Whether a step is light and behind a full one other than the first, in which single blocks are not seen."""
    return step not in runs and any(0 < run < step for run in runs)


def farthest(runs: Sequence[int], steps: int) -> int | None:
    """The light step farthest behind the last that ran, the first of several; None if none may be partial."""
    light = [step for step in range(steps) if may_be_partial(step, runs)]
    return max(light, key=lambda step: step - max(run for run in runs if run < step), default=None)


def left_over(budget: float, steps: int, count: int, light: float, overhead: float = 0.0) -> float:
    """What `count` full steps leave of a budget for the blocks of a partial step, as a share of a step's work.

    0 if it is kept nearly enough without. `light` is the share of a light step, in which `overhead` is contained, and
    which the partial step does not have.
    """
    left = budget * steps - count - (steps - count) * light
    return left + overhead if left > NEAR_ENOUGH * budget * steps else 0.0


def rear_within(costs: Sequence[float], left: float) -> int:
    """How many of the last blocks, which take `costs`, to run for the work nearest to `left`."""
    sums = [0.0, *accumulate(reversed(costs))]
    return min(range(len(sums)), key=lambda count: abs(sums[count] - left))


def block_shares(profile: Profile, indices: Iterable[int]) -> tuple[float, ...]:
    """The shares of a call's work of some blocks, given by their places in the order, in this order."""
    blocks = profile.of_kind("block")
    return tuple(blocks[index].flops / profile.flops for index in sorted(indices))
