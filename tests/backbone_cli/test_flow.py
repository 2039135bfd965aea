"""The straight path: a model that knows the data is sampled exactly, and its loss is the data's variance."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from suffuse.backbone_cli.study.flow import NO_CLASS, flow_loss, sample, start


class Oracle(nn.Module):
    """All data of class y are the constant image y / 10: v = (x - y / 10) / t."""

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor) -> SimpleNamespace:
        level = torch.where(class_labels == NO_CLASS, 0.0, class_labels / 10).view(-1, 1, 1, 1)
        return SimpleNamespace(sample=(x - level) / (timestep / 1000).view(-1, 1, 1, 1))


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_straight_path_is_followed_exactly(steps: int, guidance: float) -> None:
    labels = torch.tensor([3, 8])
    told: list[int] = []
    found = sample(Oracle(), labels, start(labels, 0), steps=steps, guidance=guidance, before=told.append)
    torch.testing.assert_close(found.mean(dim=(1, 2, 3)), guidance * labels / 10, atol=1e-5, rtol=0)
    assert float(found.std(dim=(1, 2, 3)).max()) < 1e-5
    assert told == list(range(steps))


def test_noise_depends_on_seed_and_place_alone() -> None:
    few, many = start(torch.zeros(2).long(), 5), start(torch.zeros(4).long(), 5)
    assert torch.equal(few, many[:2])
    assert not torch.equal(few[0], few[1])
    assert not torch.equal(few, start(torch.zeros(2).long(), 6))


def test_the_loss_of_a_model_that_knows_all_but_the_dropped_classes() -> None:
    """Where the class is told the loss is 0; a tenth is not, and costs ((1 - t) ... )^2 of the level over t."""
    level = 127.5 * (1 + 0.5)
    batch = {"images": torch.full((200, 1, 32, 32), level), "labels": torch.full((200,), 5)}
    generator = torch.Generator().manual_seed(0)
    found = float(flow_loss(Oracle(), batch, generator)["loss"])
    generator = torch.Generator().manual_seed(0)
    torch.randn(200, 1, 32, 32, generator=generator)
    t = torch.sigmoid(torch.randn(200, generator=generator))
    dropped = torch.rand(200, generator=generator) < 0.1
    assert found == pytest.approx(float((dropped * (0.5 / t) ** 2).mean()), rel=1e-3)
