"""Training inner loop feedback on a frozen model of the study.

A batch of real images is noised to a step of the sampler; from there the frozen model takes two full steps `gap` apart
and then, `ahead` steps later, is asked for the velocity twice: with the shortcut, through which the gradient goes to
the module alone, and in full, which is the target.
"""

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suffuse.backbone import accelerate
from suffuse.backbone.shortcuts import Feedback, InnerLoopFeedback
from suffuse.backbone.train import TrainConfig, TrainResult, train
from suffuse.backbone_cli.study.fashion import Fashion
from suffuse.backbone_cli.study.flow import NO_CLASS, scaled, velocity
from suffuse.backbone_cli.study.scene import STEPS
from suffuse.backbone_cli.study.training import FashionBatches

BATCH = 32
MOST_GAP = 4
"""Steps between two full ones, and from the last of them to the light one, are drawn from 1 to this."""

CONFIG = TrainConfig(
    steps=400, learning_rate=1e-3, warmup_steps=50, ema_decay=0.99, checkpoint_every_steps=200, log_every=20
)


def train_feedback(model: nn.Module, training: Fashion, directory: Path, *, updates: int | None = None) -> TrainResult:
    """Train a `Feedback` for a frozen model in `directory`, going on with the run that is there."""
    config = CONFIG if updates is None else replace(CONFIG, steps=updates, warmup_steps=min(50, updates))
    torch.manual_seed(config.seed)

    def loss(feedback: nn.Module, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        told = torch.rand(BATCH, generator=generator) < 0.5  # guidance asks both with classes and without
        labels = torch.where(told, batch["labels"], NO_CLASS)
        return feedback_loss(model, feedback, scaled(batch["images"]), labels, generator)

    return train(
        model=Feedback(model),
        loss=loss,
        batches=FashionBatches(training, BATCH, config.seed),
        config=config,
        directory=directory,
        resume=True,
    )


def feedback_loss(
    model: nn.Module, feedback: nn.Module, clean: Tensor, labels: Tensor, generator: torch.Generator
) -> dict[str, Float[Tensor, ""]]:
    """Squared error of the light step's velocity, as a share of the velocity's square."""
    assert isinstance(feedback, Feedback)
    gap, ahead = (int(torch.randint(1, MOST_GAP + 1, (), generator=generator)) for _ in range(2))
    first = int(torch.randint(0, STEPS - 1 - gap - ahead, (), generator=generator))
    x = torch.lerp(clean, torch.randn(clean.shape, generator=generator), 1 - first / STEPS)
    light = first + gap + ahead
    runs = [step for step in range(STEPS) if step != light]
    with accelerate(model, InnerLoopFeedback(feedback=feedback, steps=STEPS, runs=runs), steps=STEPS) as session:
        for step, onward in ((first, gap), (first + gap, ahead)):
            session.step(step)
            with torch.no_grad():
                x = x - velocity(model, x, _time(x, step), labels) * onward / STEPS
        session.step(light)
        found = velocity(model, x, _time(x, light), labels)
    with torch.no_grad():
        target = velocity(model, x, _time(x, light), labels)
    return {"loss": F.mse_loss(found, target) / target.square().mean()}


def _time(x: Tensor, step: int) -> Float[Tensor, " b"]:
    return torch.full((len(x),), 1 - step / STEPS)
