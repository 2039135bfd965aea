"""A small regression problem that every test of the loop trains on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from suffuse.backbone.train import TrainConfig, TrainResult, train

TARGET = torch.tensor([[1.0, -2.0], [0.5, 3.0], [-1.5, 0.25]])
"""The linear map (3 inputs, 2 outputs) to be found."""


@dataclass(frozen=True)
class LinearBatches:
    """Gaussian inputs and their images under `TARGET` plus noise; batch k depends on k alone."""

    size: int = 16
    noise: float = 0.1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(index)
        inputs = torch.randn(self.size, 3, generator=generator)
        return inputs, inputs @ TARGET + self.noise * torch.randn(self.size, 2, generator=generator)


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Mapping[str, Tensor]:
    """Mean squared error, with inputs jittered from the given generator and from the global one."""
    inputs, targets = batch
    jitter = torch.randn(inputs.shape, generator=generator) + torch.randn(inputs.shape)
    error = model(inputs + 0.01 * jitter) - targets
    return {"loss": error.square().mean(), "absolute": error.detach().abs().mean()}


def mlp() -> nn.Module:
    """Matrices, vectors, dropout, and buffers that change (batch norm)."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 2))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., TrainResult]:
    """Train with the small problem as default for everything; config fields are plain keywords."""

    def start(
        *,
        model: nn.Module | None = None,
        loss: Callable[..., Mapping[str, Tensor]] = squared_error,
        batches: Any = None,
        directory: Path = tmp_path / "run",
        resume: bool = False,
        evaluate: Callable[[nn.Module, int], Mapping[str, float]] | None = None,
        identity: Mapping[str, str] | None = None,
        console: Console | None = None,
        **fields: Any,
    ) -> TrainResult:
        settings = {"steps": 12, "warmup_steps": 3, "learning_rate": 1e-2, "checkpoint_every_steps": 4, "log_every": 3}
        return train(
            model=mlp() if model is None else model,
            loss=loss,
            batches=LinearBatches() if batches is None else batches,
            config=TrainConfig(**(settings | fields)),
            directory=directory,
            evaluate=evaluate,
            resume=resume,
            identity=identity,
            console=console or Console(quiet=True),
        )

    return start


@pytest.fixture
def small_model() -> Callable[[], nn.Module]:
    """The model of the small problem, with the same weights at every call."""
    return mlp


@pytest.fixture
def linear_batches() -> type[LinearBatches]:
    """The batches of the small problem."""
    return LinearBatches
