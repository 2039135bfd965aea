"""The learning rate at known updates, and in shape."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffuse.backbone.train import TrainConfig, learning_rate_at


def test_known_values() -> None:
    config = TrainConfig(steps=110, warmup_steps=10, learning_rate=2.0, final_learning_rate_fraction=0.1)
    values = {0: 0.2, 4: 1.0, 9: 2.0, 10: 2.0, 35: 0.2 + 1.8 * (0.5 + 0.5**1.5), 60: 1.1, 110: 0.2}
    for step, value in values.items():
        assert learning_rate_at(step, config) == pytest.approx(value, rel=1e-12)


def test_no_warmup_starts_at_the_peak_and_all_warmup_ends_there() -> None:
    assert learning_rate_at(0, TrainConfig(steps=10, warmup_steps=0, learning_rate=3.0)) == 3.0
    assert learning_rate_at(9, TrainConfig(steps=10, warmup_steps=10, learning_rate=3.0)) == 3.0


@given(steps=st.integers(1, 300), warmup=st.floats(0, 1), final=st.floats(0, 1))
def test_rises_then_falls_within_its_bounds(steps: int, warmup: float, final: float) -> None:
    warmup_steps = int(warmup * steps)
    config = TrainConfig(steps=steps, warmup_steps=warmup_steps, final_learning_rate_fraction=final)
    rates = [learning_rate_at(step, config) for step in range(steps)]
    assert all(a < b for a, b in pairwise(rates[:warmup_steps]))
    tail = rates[max(warmup_steps - 1, 0) :]
    assert all(a >= b - 1e-15 for a, b in pairwise(tail))
    assert max(rates) == pytest.approx(config.learning_rate)
    assert min(tail) >= final * config.learning_rate * (1 - 1e-12)


@pytest.mark.parametrize("step", [-1, 11])
def test_step_outside_the_run_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=rf"step is {step}; it must be in \[0, 10\]"):
        learning_rate_at(step, TrainConfig(steps=10, warmup_steps=0))
