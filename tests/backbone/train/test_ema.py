"""The moving average against its closed form, its definition, and diffusers' implementation."""

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from suffuse.backbone.train import averaged_model, decay_at


def scalar_model(value: float) -> nn.Module:
    model = nn.Module()
    model.register_parameter("weight", nn.Parameter(torch.tensor([value], dtype=torch.float64)))
    return model


def test_decay_warms_up_to_its_value() -> None:
    assert [decay_at(n, 0.5) for n in (0, 1, 2, 7, 8, 9)] == [0.0, 2 / 11, 3 / 12, 8 / 17, 0.5, 0.5]


def test_constant_weights_after_a_jump_are_approached_geometrically() -> None:
    """From 1 to 0 once the decay is full: after k more updates the average is decay^k."""
    model, decay = scalar_model(1.0), 0.5
    average = averaged_model(model, decay)
    for _ in range(9):
        average.update_parameters(model)
    model.weight.data.zero_()
    for _ in range(20):
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(0.5**20, rel=1e-12)


def test_linear_weights_follow_the_written_out_sum() -> None:
    model, decay = scalar_model(0.0), 0.9
    average = averaged_model(model, decay)
    weights = torch.arange(1.0, 51.0, dtype=torch.float64)
    for value in weights:
        model.weight.data.fill_(value)
        average.update_parameters(model)
    shares = []
    for n in range(50):
        later = [decay_at(m, decay) for m in range(n + 1, 50)]
        shares.append((1 - decay_at(n, decay)) * torch.tensor(later, dtype=torch.float64).prod())
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    assert average.module.weight.item() == pytest.approx(float((torch.stack(shares) * weights).sum()), rel=1e-12)


def test_agrees_with_diffusers() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    average = averaged_model(model, 0.95)
    reference = EMAModel(model.parameters(), decay=0.95)
    for _ in range(200):
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        average.update_parameters(model)
        reference.step(model.parameters())
    for ours, theirs in zip(average.module.parameters(), reference.shadow_params, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_buffers_are_copied_and_integers_kept() -> None:
    model = nn.BatchNorm1d(3)
    average = averaged_model(model, 0.9)
    for _ in range(3):
        model(torch.randn(8, 3) + 5)
        average.update_parameters(model)
    assert torch.equal(average.module.running_mean, model.running_mean)
    assert average.module.num_batches_tracked.item() == 3


def test_average_is_a_copy_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    average = averaged_model(model, 0.9)
    assert not average.module.training
    assert model.training
    assert average.module[0].weight.data_ptr() != model[0].weight.data_ptr()
