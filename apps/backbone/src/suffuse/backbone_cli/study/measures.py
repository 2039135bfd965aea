"""How good samples are: nearness to the same samples of a fine sampler, and likeness to real images as a set.

Dimensions: b images, f features.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

PEAK = 2.0
"""Images lie in [-1, 1]."""


def psnr(images: Float[Tensor, "b 1 32 32"], truth: Float[Tensor, "b 1 32 32"]) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio of each image to its counterpart, in dB, both clipped to [-1, 1]."""
    difference = images.clamp(-1, 1).double() - truth.clamp(-1, 1).double()
    error = difference.square().flatten(1).mean(dim=1).clamp(min=1e-12)
    return (10 * torch.log10(PEAK**2 / error)).float()


def moments(features: Float[Tensor, "b f"]) -> tuple[Float64[Tensor, " f"], Float64[Tensor, "f f"]]:
    """Mean and covariance."""
    rows = features.double()
    centred = rows - rows.mean(dim=0)
    return rows.mean(dim=0), centred.T @ centred / (len(rows) - 1)


def frechet_distance(
    mean: Float64[Tensor, " f"],
    covariance: Float64[Tensor, "f f"],
    other_mean: Float64[Tensor, " f"],
    other_covariance: Float64[Tensor, "f f"],
) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)): Fréchet distance of two Gaussians (Dowson and Landau 1982, eq. 4)."""
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=0).sqrt().sum()
    apart = (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2 * cross
    return float(apart)


def interval(values: Float[Tensor, " b"]) -> tuple[float, float]:
    """The mean and the half-width of its 95 % confidence interval (normal)."""
    return float(values.mean()), float(1.96 * values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")


def jackknife(
    difference: Callable[[Tensor, Tensor], float], rows: Float[Tensor, "b f"], others: Float[Tensor, "b f"]
) -> tuple[float, float]:
    """What two sets differ by, and half the width of its 95 % confidence interval, for sets whose rows belong together.

    Each pair is left out once (Efron and Stein 1981); what both have in common, chance included, falls out. With fewer
    than three pairs the half-width is not a number.
    """
    count = len(rows)
    if count < 3:
        return difference(rows, others), float("nan")
    keep = ~torch.eye(count, dtype=torch.bool)
    left = torch.tensor([difference(rows[kept], others[kept]) for kept in keep], dtype=torch.float64)
    spread = ((count - 1) / count * (left - left.mean()).square().sum()).sqrt()
    return difference(rows, others), float(1.96 * spread)
