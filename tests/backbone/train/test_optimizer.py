"""Weight-decay groups, one AdamW update by hand, and the state by name."""

import pytest
import torch
from torch import nn

from suffuse.backbone.train import CheckpointError, TrainConfig
from suffuse.backbone.train.optimizer import adamw, load_optimizer_tensors, optimizer_tensors

CONFIG = TrainConfig(steps=10, warmup_steps=0, learning_rate=0.1, weight_decay=0.5, betas=(0.8, 0.9))


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.LayerNorm(3), nn.Embedding(4, 3))
    model.register_parameter("scale", nn.Parameter(torch.tensor(1.0)))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decay = {names[p]: group["weight_decay"] for group in adamw(model, CONFIG).param_groups for p in group["params"]}
    assert decay == {
        "scale": 0.0,
        "0.weight": 0.5,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "2.weight": 0.5,
    }


def test_one_update_by_hand() -> None:
    """With zero state Adam's first step is lr * sign(gradient); decay first shrinks matrices by lr * weight_decay."""
    model = nn.Linear(1, 1).double()
    model.weight.data.fill_(2.0)
    model.bias.data.fill_(2.0)
    optimizer = adamw(model, CONFIG)
    model.weight.grad, model.bias.grad = torch.full_like(model.weight, 3.0), torch.full_like(model.bias, -3.0)
    optimizer.step()
    assert model.weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5) - 0.1, abs=1e-8)
    assert model.bias.item() == pytest.approx(2.0 + 0.1, abs=1e-8)


def test_frozen_parameters_are_left_out_and_may_be_low_precision() -> None:
    model = nn.Sequential(nn.Linear(2, 2).to(torch.bfloat16).requires_grad_(False), nn.Linear(2, 2))
    trained = [p for group in adamw(model, CONFIG).param_groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in model[1].parameters()}


def test_low_precision_training_is_refused() -> None:
    with pytest.raises(ValueError, match=r"parameter weight is torch\.bfloat16; train float32"):
        adamw(nn.Linear(2, 2).to(torch.bfloat16), CONFIG)


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(ValueError, match="no trainable parameter"):
        adamw(nn.Linear(2, 2).requires_grad_(False), CONFIG)


def test_state_round_trip_continues_bit_for_bit() -> None:
    def update(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        optimizer.step()

    torch.manual_seed(0)
    first, second = nn.Linear(5, 4).double(), nn.Linear(5, 4).double()
    one, two = adamw(first, CONFIG), adamw(second, CONFIG)
    update(first, one, 1)
    state = optimizer_tensors(one, first)
    assert set(state) == {f"{p}/{e}" for p in ("weight", "bias") for e in ("step", "exp_avg", "exp_avg_sq")}
    assert state["weight/exp_avg_sq"].dtype == torch.float64
    second.load_state_dict(first.state_dict())
    load_optimizer_tensors(two, second, {name: tensor.clone() for name, tensor in state.items()})
    for seed in (2, 3):
        update(first, one, seed)
        update(second, two, seed)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_state_of_an_unknown_parameter_is_refused() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match=r"optimizer state for other\.weight"):
        load_optimizer_tensors(adamw(model, CONFIG), model, {"other.weight/step": torch.tensor(1.0)})
