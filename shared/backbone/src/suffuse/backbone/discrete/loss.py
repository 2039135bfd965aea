"""The training loss of absorbing block diffusion: weights of the masked tokens, and the weighted mean of their nll.

Dimension legend: b batch, n tokens of a sequence, v vocabulary.

For a block of L tokens let S(m) be the sum of the nll of the tokens masked in m, and A_k the mean of S over all masks
of k tokens. The ideal bound of the block under the log-linear schedule is (Sahoo et al. 2024, MDLM, arXiv:2406.07524;
Arriola et al. 2025, BD3-LM, arXiv:2503.09573)

    NELBO = integral over t in (0, 1] of (1 / t) E[S(m) | t] = A_1 / 1 + A_2 / 2 + ... + A_L / L,

because the integral of t^(k-1) (1-t)^(L-k) is 1 / (k C(L, k)). The three scalings of a masked token differ in what they
put for 1 / t. With t uniform on (0, 1] and k the number really masked in the token's block:

- `"nominal"`: 1 / t. Its expectation is the NELBO; its second moment diverges logarithmically at t -> 0, hence a
  `t_min`.
- `"effective"`: L / k, the effective mask ratio scaling of SDAR-VL (Cheng et al. 2025, arXiv:2512.14068). As k is
  uniform on 0 .. L and a draw with k = 0 contributes nothing, the expectation is exactly L / (L + 1) times the NELBO:
  it is unbiased only *given* that something is masked. For blocks of one length that is a constant factor (1/2 at
  L = 1); among blocks of different lengths the short ones count for less.
- `"posterior"`: (L + 1) / k = E[1 / t | k], as t given k is Beta(k + 1, L - k + 1). This is the nominal weight
  averaged over the ratios that could have given this mask (Rao-Blackwell): its expectation is the NELBO and, with one
  ratio a block, its variance is never larger than the nominal one's.

If t has another density that covers (0, 1), the three expectations hold for weights divided by it
(`importance_weight`); undivided, the losses are reweighted bounds.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["MaskScaling", "block_diffusion_loss", "block_diffusion_weights", "substitution_nll"]

MaskScaling = Literal["nominal", "effective", "posterior"]


def block_diffusion_weights(
    masked: Bool[Tensor, "b n"],
    t: Float[Tensor, "b n"],
    blocks: Int[Tensor, "b n"],
    valid: Bool[Tensor, "b n"],
    scaling: MaskScaling = "posterior",
) -> Float[Tensor, "b n"]:
    """Weight of the nll of every token: 0 where it is not masked, else the stand-in for 1 / t that `scaling` names.

    L is the number of `valid` tokens of the token's block and k the number of its masked ones. `masked` must lie within
    `valid`, and `valid` here means maskable: a token that is given as a condition would count in L.
    Raises ValueError for an unknown `scaling`.
    """
    if scaling == "nominal":
        return torch.where(masked, t.reciprocal(), 0.0)
    count = _per_block(masked, blocks).clamp_min(1)
    size = _per_block(valid, blocks)
    if scaling == "effective":
        return torch.where(masked, size / count, 0.0)
    if scaling == "posterior":
        return torch.where(masked, (size + 1) / count, 0.0)
    raise ValueError(f"scaling is {scaling!r}, must be 'nominal', 'effective' or 'posterior'")


def substitution_nll(
    logits: Float[Tensor, "b n v"],
    tokens: Int[Tensor, "b n"],
    masked: Bool[Tensor, "b n"],
    mask_token: int | None = None,
) -> Float[Tensor, "b n"]:
    """Negative log-likelihood in nats of the clean `tokens` under the SUBS parametrisation (MDLM), in float32.

    A masked position predicts any token but `mask_token` (its logit counts as -inf; None if the vocabulary has none);
    an unmasked one is copied, so its nll is 0. Only the logits of masked positions are read.
    """
    chosen = logits[masked].float()
    if mask_token is not None:
        forbidden = torch.arange(chosen.shape[-1], device=chosen.device) == mask_token
        chosen = chosen.masked_fill(forbidden, -torch.inf)
    nll = torch.nn.functional.cross_entropy(chosen, tokens[masked], reduction="none")
    return torch.zeros(masked.shape, device=logits.device).masked_scatter(masked, nll)


def block_diffusion_loss(
    nll: Float[Tensor, "b n"], weights: Float[Tensor, "b n"], valid: Bool[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """Weighted nll summed over the batch, divided by the number of `valid` tokens: nats a token; 0 for an empty batch.

    With nominal or posterior weights its expectation is the NELBO of the batch a token (see the module). Where the
    weight is 0 the nll is not read, so it may be anything there.
    """
    total = torch.where(weights > 0, weights * nll, 0.0).sum()
    return total / valid.sum().clamp_min(1)


def _per_block(flags: Tensor, blocks: Tensor) -> Tensor:
    """Number of True flags in the block of every position, (b, n) int64; blocks are numbered below n."""
    counts = torch.zeros_like(blocks).scatter_add_(1, blocks, flags.to(blocks.dtype))
    return counts.gather(1, blocks)
