"""The learning rate of an update: linear warm-up, then cosine decay (Loshchilov and Hutter 2017, eq. 5, one period)."""

import math

from suffuse.backbone.train.config import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of update number `step`, counted from 0.

    Warm-up rises as (step + 1) / warmup_steps, so that the first update already moves and update
    `warmup_steps - 1` has the peak rate. The cosine starts at update `warmup_steps`, again with the peak rate, and
    would reach `final_learning_rate_fraction` of it at update `steps`, the first one that is not made.

    Raises:
        ValueError: `step` is outside [0, config.steps].
    """
    if not 0 <= step <= config.steps:
        raise ValueError(f"step is {step}; it must be in [0, {config.steps}]")
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    final = config.final_learning_rate_fraction
    return config.learning_rate * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
