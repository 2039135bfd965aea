"""What every denoiser of action chunks has in common, and how it is told the time.

A denoiser sees three things: noisy actions, the time, and what was observed. Neither the observation nor the list of
times changes while one chunk is denoised, so what they become inside the network is computed once per chunk
(`observe`, `embed_time`), and `denoise` does the rest at every step. The split is exact: no approximation is made.

Dimensions: b batch, h horizon, a action, o observation steps, c channels of an observation step, k times, n whatever
the denoiser makes of a time; what it makes of an observation (b ...) is its own affair.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn


@runtime_checkable
class Denoiser(Protocol):
    """A network that predicts the noise (or the clean actions, or the velocity) in noisy actions."""

    def observe(self, observation: Float[Tensor, "b o c"]) -> Float[Tensor, "b ..."]:
        """What the network makes of an observation: once per chunk."""
        ...

    def embed_time(self, times: Num[Tensor, " k"]) -> Float[Tensor, "k n"]:
        """What the network makes of each time: once per chunk."""
        ...

    def denoise(
        self, actions: Float[Tensor, "b h a"], time: Float[Tensor, "#b n"], observed: Float[Tensor, "b ..."]
    ) -> Float[Tensor, "b h a"]:
        """One prediction, from rows of `embed_time` (one for all, or one each) and the result of `observe`."""
        ...


def exactly(module: nn.Module, values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """What a module makes of places, outside autocast: bfloat16 would round them to about 1/256 of their range."""
    with torch.autocast(values.device.type, enabled=False):
        return module(values)


def sinusoids(times: Num[Tensor, " k"], width: int) -> Float[Tensor, "k width"]:
    """Sines and cosines of times at `width / 2` frequencies from 1 to 1/10000 (Vaswani et al. 2017, section 3.5)."""
    half = width // 2
    frequency = torch.exp(torch.arange(half, device=times.device) * (-math.log(10_000.0) / max(half - 1, 1)))
    angle = times.float()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
