"""Affine maps between the units of a robot and those of a network, kept in the model with the weights.

y = (x - offset) / scale. The numbers are buffers: they are saved, loaded and moved with the model.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

SMALLEST_RANGE = 1e-4
"""A channel that moves less than this in the data is taken as constant: it is shifted, but not stretched."""


class Normaliser(nn.Module):
    """One affine map; `shape` is that of a value's last axes, or broadcasts to it. It starts as the identity."""

    offset: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def forward(self, values: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """From the robot's units to the network's."""
        return (values - self.offset) / self.scale

    def invert(self, values: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """From the network's units to the robot's."""
        return values * self.scale + self.offset

    @torch.no_grad()
    def set_limits(self, low: Float[Tensor, "*s"], high: Float[Tensor, "*s"]) -> None:
        """Map [low, high] to [-1, 1], channel by channel. Raises ValueError where low is above high."""
        if bool((low > high).any()):
            raise ValueError("a lower limit is above its upper limit")
        self.offset.copy_((low + high) / 2)
        self.scale.copy_(torch.where(high - low < SMALLEST_RANGE, 1.0, (high - low) / 2))

    @torch.no_grad()
    def set_moments(self, mean: Float[Tensor, "*s"], deviation: Float[Tensor, "*s"]) -> None:
        """Map to mean 0 and standard deviation 1, channel by channel. Raises ValueError for a negative deviation."""
        if bool((deviation < 0).any()):
            raise ValueError("a standard deviation is negative")
        self.offset.copy_(mean)
        self.scale.copy_(torch.where(deviation < SMALLEST_RANGE, 1.0, deviation))
