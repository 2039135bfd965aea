"""Plans: budgets are kept, and the steps that run are those that were promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffuse.backbone.engine import ShortcutError, light_steps, spread


def test_light_steps_by_hand() -> None:
    assert light_steps(10, 2) == [2, 4, 6, 8]
    assert light_steps(10, 3) == [2, 3, 5, 6, 8]
    assert light_steps(10, 100) == [2, 3, 4, 5, 6, 7, 8]
    assert light_steps(3, 2) == []
    heavy = sorted(set(range(20)) - set(light_steps(20, 3, early=2.0)))
    assert len(heavy) <= len(set(range(20)) - set(light_steps(20, 3)))
    assert sum(heavy) < sum(set(range(20)) - set(light_steps(20, 3)))


@given(
    steps=st.integers(8, 60),
    budget=st.floats(0.3, 0.99),
    costs=st.lists(st.floats(0.5, 1.5), min_size=6, max_size=40),
    outside=st.floats(0, 1),
)
def test_the_budget_is_kept_to_half_an_option(steps: int, budget: float, costs: list[float], outside: float) -> None:
    saving = [sum(costs[: n + 1]) for n in range(len(costs))]
    full = saving[-1] + outside
    try:
        plan = spread([saving] * steps, full, budget)
    except ShortcutError:
        assert (steps - 3) * saving[-1] < (1 - budget) * full * steps
        return
    assert plan.options[0] == plan.options[1] == plan.options[-1] == -1
    assert abs(plan.fraction - budget) * full * steps <= max(costs) / 2 + 1e-9
    left = sum(full - (saving[option] if option >= 0 else 0) for option in plan.options)
    assert plan.fraction == pytest.approx(left / (full * steps))


def test_the_least_budget_is_named() -> None:
    with pytest.raises(ShortcutError, match=r"budget 0\.2 cannot be reached in 10 steps: .*; the least is 0\.30"):
        spread([[1.0]] * 10, 1.0, 0.2)
    with pytest.raises(ShortcutError, match=r"budget must be in \(0, 1\], got 0"):
        spread([[1.0]] * 10, 1.0, 0.0)
    assert spread([[1.0]] * 10, 1.0, 1.0).options == (-1,) * 10
