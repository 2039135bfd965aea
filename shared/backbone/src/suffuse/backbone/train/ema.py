"""Exponential moving average of the weights: the model that is evaluated and shipped.

The average itself is `torch.optim.swa_utils.AveragedModel`; this module gives it the decay with warm-up.
"""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def decay_at(updates: int, decay: float) -> float:
    """The decay used when `updates` updates went before: min(decay, (1 + n) / (10 + n)), and 0 for the first.

    The warm-up is that of TensorFlow's `ExponentialMovingAverage(num_updates=...)`: early on the average forgets
    the initial weights quickly, and from update (10 decay - 1) / (1 - decay) on it has its full decay.
    """
    return 0.0 if updates == 0 else min(decay, (1 + updates) / (10 + updates))


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` in evaluation mode that follows it by `update_parameters(model)`.

    With n updates before, each parameter becomes d e + (1 - d) w, d = `decay_at(n, decay)`; buffers are copied.
    `.module` is the averaged model, `.n_averaged` the number of updates.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, updates: Tensor | int) -> None:
        if averaged[0].is_floating_point() or averaged[0].is_complex():
            torch._foreach_lerp_(averaged, current, 1 - decay_at(int(updates), decay))
        else:
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=update).eval()
