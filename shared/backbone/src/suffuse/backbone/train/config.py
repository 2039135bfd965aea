"""What a training run is made of, as one frozen value."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

MixedPrecision = Literal["no", "bf16"]

NUMERICAL_FIELDS = (
    "steps",
    "learning_rate",
    "warmup_steps",
    "final_learning_rate_fraction",
    "weight_decay",
    "betas",
    "gradient_clip",
    "ema_decay",
    "seed",
    "mixed_precision",
)
"""Fields that change the trained weights; a resumed run must agree on all of them."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run of `suffuse.backbone.train.train`.

    Attributes:
        steps: optimizer updates in total, > 0.
        learning_rate: peak learning rate of AdamW, > 0.
        warmup_steps: updates of linear warm-up, in [0, steps].
        final_learning_rate_fraction: where the cosine ends, as a fraction of `learning_rate`, in [0, 1].
        weight_decay: decoupled decay of parameters with two or more axes, >= 0; vectors and scalars have none.
        betas: AdamW's decay rates, each in [0, 1).
        gradient_clip: largest global gradient norm, > 0; None leaves gradients as they are.
        ema_decay: decay of the averaged weights, in [0, 1), reached by a warm-up (see `ema.decay_at`).
        seed: >= 0; with the step it fixes every random number of the run.
        checkpoint_every_steps: updates between checkpoints, > 0; None writes none by count.
        checkpoint_every_seconds: wall seconds between checkpoints, >= 0; None writes none by time.
        log_every: updates averaged in one line of the log, > 0.
        evaluate_every: updates between evaluations, > 0; None evaluates at the end only.
        keep_checkpoints: newest checkpoints kept on disk, > 0; two or more survive a damaged newest one.
        mixed_precision: "bf16" runs the loss under bfloat16 autocast; weights and optimizer stay float32.

    The last update is always followed by a log line, an evaluation and a checkpoint.

    Raises:
        ValueError: a field is outside its range.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 500
    final_learning_rate_fraction: float = 0.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    gradient_clip: float | None = 1.0
    ema_decay: float = 0.999
    seed: int = 0
    checkpoint_every_steps: int | None = 1000
    checkpoint_every_seconds: float | None = 600.0
    log_every: int = 50
    evaluate_every: int | None = None
    keep_checkpoints: int = 2
    mixed_precision: MixedPrecision = "no"

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("steps", "log_every", "keep_checkpoints"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("checkpoint_every_steps", "evaluate_every"):
            value = getattr(self, name)
            _require(name, value, value is None or value >= 1, "at least 1, or None")
        seconds = self.checkpoint_every_seconds
        _require("checkpoint_every_seconds", seconds, seconds is None or seconds >= 0, "at least 0, or None")
        _require("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "positive and finite")
        _require(
            "warmup_steps", self.warmup_steps, 0 <= self.warmup_steps <= self.steps, f"in [0, steps = {self.steps}]"
        )
        fraction = self.final_learning_rate_fraction
        _require("final_learning_rate_fraction", fraction, 0 <= fraction <= 1, "in [0, 1]")
        _require("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "at least 0 and finite")
        _require("betas", self.betas, len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "two in [0, 1)")
        clip = self.gradient_clip
        _require("gradient_clip", clip, clip is None or 0 < clip < math.inf, "positive and finite, or None")
        _require("ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "in [0, 1)")
        _require("seed", self.seed, self.seed >= 0, "at least 0")
        _require("mixed_precision", self.mixed_precision, self.mixed_precision in ("no", "bf16"), "'no' or 'bf16'")

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self) | {"betas": list(self.betas)}


def _require(name: str, value: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}; it must be {allowed}")
