"""Training the models of the study."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from suffuse.backbone.train import TrainResult, train
from suffuse.backbone_cli.study.fashion import Fashion
from suffuse.backbone_cli.study.flow import flow_loss
from suffuse.backbone_cli.study.recipes import Recipe

HELD_OUT = 512
"""Test images of which the loss is told at the end of training."""


@dataclass(frozen=True)
class FashionBatches:
    """Batches drawn with replacement: number k depends on `seed` and k alone."""

    data: Fashion
    size: int
    seed: int

    def __getitem__(self, index: int, /) -> dict[str, Tensor]:
        """Bytes "images" and their "labels"."""
        rng = np.random.default_rng((self.seed, index))
        rows = torch.from_numpy(rng.integers(len(self.data.labels), size=self.size))
        return {"images": self.data.images[rows], "labels": self.data.labels[rows]}


def train_study(recipe: Recipe, training: Fashion, held_out: Fashion, directory: Path) -> TrainResult:
    """Train a recipe in `directory`, going on with the run that is there."""
    torch.manual_seed(recipe.config.seed)
    batch = {"images": held_out.images[:HELD_OUT], "labels": held_out.labels[:HELD_OUT]}

    def evaluate(model: nn.Module, step: int) -> dict[str, float]:
        return {"held_out_loss": float(flow_loss(model, batch, torch.Generator().manual_seed(0))["loss"])}

    return train(
        model=recipe.make(),
        loss=flow_loss,
        batches=FashionBatches(training, recipe.batch, recipe.config.seed),
        config=recipe.config,
        directory=directory,
        evaluate=evaluate,
        resume=True,
    )
