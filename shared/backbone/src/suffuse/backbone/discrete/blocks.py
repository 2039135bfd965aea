"""Blocks of a sequence and who may attend to whom.

Dimension legend: b batch, n tokens of a sequence, p prefix (conditioning) tokens, s attended sequence length.

A sequence is cut into blocks; inside a block tokens see each other, across blocks only the past is seen. Training runs
all blocks at once on the concatenation `[prefix | noisy | clean]`, where the clean copy of the earlier blocks is the
context of each noisy block (Arriola et al. 2025, "Block Diffusion", arXiv:2503.09573: the block-diagonal, offset
block-causal and block-causal masks). All masks are boolean with True = may attend, the convention of
`torch.nn.functional.scaled_dot_product_attention`.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

__all__ = ["block_causal_mask", "block_index", "training_mask"]


def block_index(length: int, block_size: int, offset: int | Int[Tensor, " b"] = 0) -> Int[Tensor, "*rows n"]:
    """Index of the block of every position, `(position + offset) // block_size`, counted from 0.

    `offset` shifts the grid to the left: the first block holds `block_size - offset` tokens, so random offsets in
    training show the model every phase of the grid. A tensor of offsets, one a sample, gives shape `(b, length)` on its
    device; a plain number gives `(length,)` on the CPU. The last block holds what is left.

    Raises ValueError if `length < 0`, `block_size < 1` or an offset lies outside `[0, block_size)`.
    """
    if length < 0:
        raise ValueError(f"length is {length}, must be at least 0")
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}, must be at least 1")
    shift = torch.as_tensor(offset)
    if bool(((shift < 0) | (shift >= block_size)).any()):
        raise ValueError(f"offset is {offset}, must lie in [0, {block_size}) for block_size {block_size}")
    position = torch.arange(length, device=shift.device)
    return (position + shift.unsqueeze(-1)) // block_size


def training_mask(
    blocks: Int[Tensor, "b n"] | Int[Tensor, " n"], valid: Bool[Tensor, "b n"], prefix: int = 0
) -> Bool[Tensor, "b 1 s s"]:
    """Attention mask of one training pass over `[prefix | noisy | clean]`, s = p + 2n; the 1 is the axis of heads.

    - a prefix token sees the whole prefix;
    - a noisy token of block i sees the prefix, the noisy tokens of block i and the clean tokens of blocks < i;
    - a clean token of block i sees the prefix and the clean tokens of blocks <= i;
    - nothing sees padding (`valid` False), and a padded token sees itself alone, so that no row is empty and softmax
      stays finite.

    `blocks` comes from `block_index`, one for all samples or one each. Raises ValueError if `prefix < 0`.
    """
    same, earlier = _relations(blocks)
    none = torch.zeros_like(same)
    noisy_rows = torch.cat([same, earlier], dim=-1)
    clean_rows = torch.cat([none, same | earlier], dim=-1)
    return _assemble(torch.cat([noisy_rows, clean_rows], dim=-2), torch.cat([valid, valid], dim=-1), prefix)


def block_causal_mask(
    blocks: Int[Tensor, "b n"] | Int[Tensor, " n"], valid: Bool[Tensor, "b n"], prefix: int = 0
) -> Bool[Tensor, "b 1 s s"]:
    """Attention mask of one pass over `[prefix | tokens]`, s = p + n, as when decoding.

    Block i sees the prefix and the blocks <= i: the clean half of `training_mask`, padding treated in the same way.
    Raises ValueError if `prefix < 0`.
    """
    same, earlier = _relations(blocks)
    return _assemble(same | earlier, valid, prefix)


def _relations(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Whether query and key share a block, and whether the key's block is earlier: (b or 1, n, n), query first."""
    rows = blocks.unsqueeze(0) if blocks.ndim == 1 else blocks
    query, key = rows[:, :, None], rows[:, None, :]
    return query == key, key < query


def _assemble(tokens: Tensor, valid: Tensor, prefix: int) -> Tensor:
    """Add the prefix and the padding rules to the (b or 1, m, m) mask among tokens; `valid` is (b, m)."""
    if prefix < 0:
        raise ValueError(f"prefix is {prefix}, must be at least 0")
    batch, m = valid.shape
    mask = torch.zeros(batch, prefix + m, prefix + m, dtype=torch.bool, device=valid.device)
    mask[:, :, :prefix] = True
    mask[:, prefix:, prefix:] = tokens.to(valid.device)
    everyone = torch.nn.functional.pad(valid, (prefix, 0), value=True)
    mask &= everyone[:, :, None] & everyone[:, None, :]
    mask |= torch.eye(prefix + m, dtype=torch.bool, device=valid.device)
    return mask.unsqueeze(1)
