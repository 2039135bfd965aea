"""How much of each block to mask, and which tokens: the absorbing noise of block diffusion.

Dimension legend: b batch, n tokens of a sequence.

Time is measured by the mask ratio itself: under the log-linear schedule a token is masked at time t with probability t,
and the negative ELBO of one block is the integral over t in (0, 1] of (1 / t) E[sum of the masked tokens' nll]
(Sahoo et al. 2024, MDLM, arXiv:2406.07524; Arriola et al. 2025, BD3-LM, arXiv:2503.09573). Any other schedule is a
change of variable in that integral, so what remains to choose is the *distribution* from which training draws t:

- uniform on `[t_min, t_max]`; a narrow interval is the clipped schedule of BD3-LM;
- Beta with a mean and a concentration that move over the training, the progressive Beta noise curriculum of SDAR-VL
  (Cheng et al. 2025, arXiv:2512.14068);
- one t a sequence, or one a block (SDAR-VL's asynchronous block-wise noise): the loss keeps its expectation and loses
  variance.

All randomness comes from the generator that the caller hands in.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

__all__ = ["BetaCurriculum", "LogLinearNoise", "NoiseConfig", "apply_mask", "importance_weight", "sample_mask_ratio"]

_ULP = 2.0**-24  # resolution of float32 below 1
_GRID = 8193  # nodes of the tabulated Beta distribution function: error below 1e-6


@dataclass(frozen=True, kw_only=True)
class LogLinearNoise:
    """Mask ratio uniform on `[t_min, t_max]`.

    `t_min` above 0 keeps the weight 1 / t bounded, at the price of the part of the bound below it: a share of about
    `t_min` of what the tokens cost when all others are known. A narrow interval trains on a part of the bound only.
    Raises ValueError unless `0 <= t_min < t_max <= 1`.
    """

    t_min: float = 1e-3
    t_max: float = 1.0

    def __post_init__(self) -> None:
        """Check the interval."""
        if not 0.0 <= self.t_min < self.t_max <= 1.0:
            raise ValueError(f"t_min is {self.t_min} and t_max is {self.t_max}, must hold 0 <= t_min < t_max <= 1")

    def quantile(self, u: Float[Tensor, "*s"], progress: float = 0.0) -> Float[Tensor, "*s"]:
        """Mask ratio below which a share `u` of the draws lies; `progress` changes nothing."""
        return self.t_min + (self.t_max - self.t_min) * u

    def density(self, t: Float[Tensor, "*s"], progress: float = 0.0) -> Float[Tensor, "*s"]:
        """Probability density at `t`; `progress` changes nothing."""
        inside = (t >= self.t_min) & (t <= self.t_max)
        return inside.to(t.dtype) / (self.t_max - self.t_min)


@dataclass(frozen=True, kw_only=True)
class BetaCurriculum:
    """Mask ratio ~ Beta(mean * c, (1 - mean) * c), mean and concentration c linear in the training's progress.

    The defaults are SDAR-VL's for reasoning and text-rich data (50 for `concentration_end` on general data): from a
    broad bell around one half to a narrow one around 0.7. Both shape parameters stay at least 1, so the density is
    bounded.

    Raises ValueError for a mean outside (0, 1) or a concentration for which a shape parameter would be below 1.
    """

    mean_start: float = 0.5
    mean_end: float = 0.7
    concentration_start: float = 4.0
    concentration_end: float = 25.0

    def __post_init__(self) -> None:
        """Check both ends: a product of two positive linear functions is smallest at one of them."""
        for mean, concentration in (
            (self.mean_start, self.concentration_start),
            (self.mean_end, self.concentration_end),
        ):
            if not 0.0 < mean < 1.0:
                raise ValueError(f"mean is {mean}, must lie in (0, 1)")
            if min(mean, 1.0 - mean) * concentration < 1.0:
                limit = 1.0 / min(mean, 1.0 - mean)
                raise ValueError(f"concentration is {concentration}, must be at least {limit:.4g} for mean {mean}")

    def shape(self, progress: float) -> tuple[float, float]:
        """Shape parameters (alpha, beta) at `progress` in [0, 1]; raises ValueError outside."""
        if not 0.0 <= progress <= 1.0:
            raise ValueError(f"progress is {progress}, must lie in [0, 1]")
        mean = self.mean_start + (self.mean_end - self.mean_start) * progress
        concentration = self.concentration_start + (self.concentration_end - self.concentration_start) * progress
        return mean * concentration, (1.0 - mean) * concentration

    def quantile(self, u: Float[Tensor, "*s"], progress: float) -> Float[Tensor, "*s"]:
        """Mask ratio below which a share `u` of the draws lies at `progress`, by a table of the distribution function.

        With t = sin(phi)^2 the density in phi is smooth for shapes >= 1, so the trapezoidal rule on an even grid of phi
        is accurate.
        """
        alpha, beta = self.shape(progress)
        phi = torch.linspace(0.0, math.pi / 2, _GRID, dtype=torch.float64, device=u.device)
        density = phi.sin().pow(2 * alpha - 1) * phi.cos().clamp_min(0.0).pow(2 * beta - 1)
        cdf = torch.nn.functional.pad(torch.cumsum(density[1:] + density[:-1], dim=0), (1, 0))
        cdf = cdf / cdf[-1]
        share = u.double().contiguous()
        right = torch.searchsorted(cdf, share, right=True).clamp(1, _GRID - 1)
        low, high = cdf[right - 1], cdf[right]
        step = ((share - low) / (high - low).clamp_min(1e-300)).clamp(0.0, 1.0)
        return (phi[right - 1] + step * (phi[right] - phi[right - 1])).sin().square().to(u.dtype)

    def density(self, t: Float[Tensor, "*s"], progress: float) -> Float[Tensor, "*s"]:
        """Probability density at `t` and `progress`."""
        alpha, beta = self.shape(progress)
        log_norm = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
        return (torch.xlogy(t.new_tensor(alpha - 1), t) + torch.xlogy(t.new_tensor(beta - 1), 1 - t) + log_norm).exp()


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """How training draws mask ratios.

    - `per_block`: every block draws its own ratio (asynchronous block-wise noise); else one ratio a sequence.
    - `distribution`: `LogLinearNoise` (uniform) or `BetaCurriculum`.
    - `stratified`: the draws of a batch fall one into each of as many equal-probability strata, in random order (the
      low-discrepancy sampler of MDLM): each draw keeps its distribution, their mean loses variance.
    - `importance_correct`: divide by the density of t, so that the loss estimates the ELBO's integral over t whatever
      the distribution. SDAR-VL does not: under its curriculum the loss is the ELBO reweighted by that density. Off by
      default. For the uniform distribution it is the constant factor `t_max - t_min`; for a Beta it is unbiased, but
      has no finite variance once a shape parameter reaches 2, as rare ratios get unbounded weights: measure a bound
      with the uniform distribution.
    """

    per_block: bool = True
    distribution: LogLinearNoise | BetaCurriculum = LogLinearNoise()
    stratified: bool = True
    importance_correct: bool = False


def sample_mask_ratio(
    config: NoiseConfig, blocks: Int[Tensor, "b n"], progress: float, generator: Generator
) -> Float[Tensor, "b n"]:
    """Mask ratio t in [0, 1] of every position: one a block, or one a sequence unless `config.per_block`.

    `blocks` holds block indices from 0 as given by `block_index`; `progress` in [0, 1] is the share of the training
    done. Numbers are drawn on the generator's device, then moved to that of `blocks`.
    Raises ValueError if `progress` lies outside [0, 1].
    """
    if not 0.0 <= progress <= 1.0:
        raise ValueError(f"progress is {progress}, must lie in [0, 1]")
    batch, length = blocks.shape
    if batch * length == 0:
        return torch.zeros(batch, length, device=blocks.device)
    draws = int(blocks.max()) + 1 if config.per_block else 1
    u = _uniform(batch * draws, config.stratified, generator).view(batch, draws).to(blocks.device)
    t = config.distribution.quantile(u, progress)
    return t.gather(1, blocks) if config.per_block else t.expand(batch, length)


def apply_mask(t: Float[Tensor, "b n"], maskable: Bool[Tensor, "b n"], generator: Generator) -> Bool[Tensor, "b n"]:
    """Positions to replace by the mask token: each of `maskable` independently with probability `t`, no other ever.

    `maskable` is False on padding and on anything given as a condition.
    """
    u = torch.rand(t.shape, generator=generator, device=generator.device).to(t.device)
    return (u < t) & maskable


def importance_weight(config: NoiseConfig, t: Float[Tensor, "b n"], progress: float) -> Float[Tensor, "b n"]:
    """Factor on the loss weights: 1 / density of t if `config.importance_correct`, else 1."""
    if not config.importance_correct:
        return torch.ones_like(t)
    return config.distribution.density(t, progress).reciprocal()


def _uniform(count: int, stratified: bool, generator: Generator) -> Tensor:
    """Numbers uniform on the open (0, 1), (count,); if `stratified`, one in each of `count` intervals, shuffled."""
    u = torch.rand(count, generator=generator, device=generator.device)
    if stratified:
        strata = torch.randperm(count, generator=generator, device=generator.device)
        u = (strata + u) / count
    return u.clamp(_ULP, 1.0 - _ULP)  # an end of the interval has no finite weight
