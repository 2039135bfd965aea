"""Chunks that continue the last one: real-time chunking (Black et al. 2025, arXiv:2506.07339), without gradients.

While a chunk is drawn the robot carries out the rest of the one before. The new chunk must agree with those actions,
and should go on from the others that were planned. So at every denoising step the clean actions that the network finds
are drawn towards the planned ones: wholly for those that will be carried out in any case, and less and less after
them, as the soft mask of the paper has it (section 4.2). The paper reaches this by the gradient of the error through
the network (pseudo-inverse guidance); here the clean actions are mixed, which costs nothing.

Dimensions: b batch, h horizon, p planned actions, a action.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What is planned from the moment of the latest observation on.

    Attributes:
        planned: absolute actions, at least one.
        fixed: how many of them are carried out in any case, in [0, p].

    Raises ValueError if there is none, one is not finite, or `fixed` is out of range.
    """

    planned: Float32[np.ndarray, "p a"]
    fixed: int

    def __post_init__(self) -> None:
        """Check both."""
        if len(self.planned) == 0 or not np.isfinite(self.planned).all():
            raise ValueError("planned actions must be finite, and at least one")
        if not 0 <= self.fixed <= len(self.planned):
            raise ValueError(f"fixed is {self.fixed}; it must be in [0, {len(self.planned)}]")


def soft_mask(fixed: int, planned: int) -> Float[np.ndarray, " p"]:
    """How much each planned action counts: 1 for the fixed ones, then falling to 0 (equation 5 of the paper)."""
    weights = np.ones(planned)
    for place in range(fixed, planned):
        c = (planned - place) / (planned - fixed + 1)
        weights[place] = c * math.expm1(c) / math.expm1(1)
    return weights


class Towards:
    """Planned actions of several chunks in the units of the network, and how much each counts."""

    def __init__(self, wanted: Float[Tensor, "b h a"], weights: Float[Tensor, "b h 1"]) -> None:
        self._wanted, self._weights = wanted, weights

    def __call__(self, clean: Float[Tensor, "b h a"]) -> Float[Tensor, "b h a"]:
        """Clean actions drawn towards the planned ones."""
        return torch.lerp(clean, self._wanted, self._weights)
