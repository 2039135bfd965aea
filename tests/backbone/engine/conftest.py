"""A denoiser so plain that everything about it can be worked out by hand."""

import pytest
import torch
from torch import Tensor, nn

from suffuse.backbone.sites import Layout, register

WIDTH = 8


class PlainBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return x + torch.tanh(self.linear(x) + time[:, None, None])


class PlainDenoiser(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.stack = nn.ModuleList(PlainBlock() for _ in range(depth))

    def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is not None:
            x = x + condition
        for block in self.stack:
            x = block(x, time)
        return x


register(PlainDenoiser, Layout(blocks=("stack",)))


@pytest.fixture
def plain_denoiser() -> PlainDenoiser:
    torch.manual_seed(0)
    return PlainDenoiser(6).double().eval().requires_grad_(False)


def times(steps: int) -> list[Tensor]:
    return [torch.full((2,), 1 - step / steps, dtype=torch.float64) for step in range(steps)]


@pytest.fixture
def euler():
    """Runs a denoiser from a seed, or a start, and returns the outputs of all steps."""

    def run(model, steps: int, seed: int = 0, start: Tensor | None = None, **arguments) -> Tensor:
        x = torch.randn(2, 3, WIDTH, generator=torch.Generator().manual_seed(seed)).double() if start is None else start
        outputs = []
        for time in times(steps):
            outputs.append(model(x, time, **arguments))
            x = x - outputs[-1] / steps
        return torch.stack(outputs)

    return run
