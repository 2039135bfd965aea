"""A small convolutional classifier of Fashion-MNIST: it says what samples show, and its features compare sets of them.

Dimensions: b images, f features.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from suffuse.backbone.models import PretrainedModel, register_to_config
from suffuse.backbone.train import TrainConfig, TrainResult, train
from suffuse.backbone_cli.study.fashion import CLASSES, Fashion
from suffuse.backbone_cli.study.flow import scaled
from suffuse.backbone_cli.study.training import FashionBatches

EXTRACTOR = "fashion-cnn"
"""The Fréchet distance over its features is FD-fashion-cnn."""

BATCH = 128
CONFIG = TrainConfig(steps=2000, learning_rate=2e-3, warmup_steps=100, weight_decay=0.05, ema_decay=0.99)


class FashionClassifier(PretrainedModel):
    """Three strided convolutions, a hidden layer of `features`, ten classes. Images are in [-1, 1]."""

    @register_to_config
    def __init__(self, width: int = 32, features: int = 64) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.hidden = nn.Linear(4 * width * 16, features)
        self.head = nn.Linear(features, len(CLASSES))

    def features(self, images: Float[Tensor, "b 1 32 32"]) -> Float[Tensor, "b f"]:
        """The hidden layer's activations."""
        return F.relu(self.hidden(self.convolutions(images)))

    def forward(self, images: Float[Tensor, "b 1 32 32"]) -> Float[Tensor, "b 10"]:
        """Logits of the classes."""
        logits: Tensor = self.head(self.features(images))
        return logits


def classifier_loss(
    model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Float[Tensor, ""]]:
    """Cross-entropy of a batch of bytes, "images", and "labels"."""
    return {"loss": F.cross_entropy(model(scaled(batch["images"])), batch["labels"])}


@torch.no_grad()
def accuracy(model: nn.Module, images: UInt8[Tensor, "n 1 32 32"], labels: Int64[Tensor, " n"]) -> float:
    """The share of images whose class is recognised."""
    parts = -(-len(labels) // 500)
    pairs = zip(images.chunk(parts), labels.chunk(parts), strict=True)
    return sum(int((model(scaled(some)).argmax(1) == told).sum()) for some, told in pairs) / len(labels)


def train_classifier(training: Fashion, test: Fashion, directory: Path) -> TrainResult:
    """Train the classifier in `directory`, going on with the run that is there."""
    torch.manual_seed(CONFIG.seed)

    def evaluate(model: nn.Module, step: int) -> dict[str, float]:
        return {"test_accuracy": accuracy(model, test.images, test.labels)}

    return train(
        model=FashionClassifier(),
        loss=classifier_loss,
        batches=FashionBatches(training, BATCH, CONFIG.seed),
        config=CONFIG,
        directory=directory,
        evaluate=evaluate,
        resume=True,
    )
