"""The config refuses what cannot be trained with and says why."""

import dataclasses
import json
import math

import pytest

from suffuse.backbone.train import TrainConfig
from suffuse.backbone.train.config import NUMERICAL_FIELDS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("warmup_steps", -1),
        ("warmup_steps", 1001),
        ("final_learning_rate_fraction", 1.1),
        ("weight_decay", -0.1),
        ("betas", (0.9, 1.0)),
        ("betas", (-0.1, 0.9)),
        ("gradient_clip", 0.0),
        ("gradient_clip", math.inf),
        ("ema_decay", 1.0),
        ("ema_decay", -0.5),
        ("seed", -1),
        ("checkpoint_every_steps", 0),
        ("checkpoint_every_seconds", -1.0),
        ("log_every", 0),
        ("evaluate_every", 0),
        ("keep_checkpoints", 0),
    ],
)
def test_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} is .*; it must be "):
        TrainConfig(**({"steps": 1000} | {field: value}))


def test_unknown_precision_is_named() -> None:
    fields = {"steps": 1000, "mixed_precision": "fp8"}
    with pytest.raises((ValueError, TypeError), match="fp8"):
        TrainConfig(**fields)


def test_json_round_trip_keeps_every_field() -> None:
    config = TrainConfig(steps=700, betas=(0.9, 0.98), gradient_clip=None)
    fields = json.loads(json.dumps(config.to_dict()))
    assert TrainConfig(**(fields | {"betas": tuple(fields["betas"])})) == config


def test_every_field_either_changes_the_weights_or_only_the_bookkeeping() -> None:
    bookkeeping = {
        "checkpoint_every_steps",
        "checkpoint_every_seconds",
        "log_every",
        "evaluate_every",
        "keep_checkpoints",
    }
    assert {field.name for field in dataclasses.fields(TrainConfig)} == set(NUMERICAL_FIELDS) | bookkeeping
