"""Decoders for block diffusion: which masked positions to commit, and where to look next.

A decoder is a loop over a `Canvas`: sequences that are being filled in. The canvas knows the denoiser, the vocabulary and
any constraint on what may stand where; the decoder only decides which of its proposals are committed and when. So the same
loops serve plain vocabularies (`token_canvas.py`) and segments of a road network.

Dimensions: b sequences, n positions of a sequence, w positions of a window.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CacheMode = Literal["none", "prefix"]


class Canvas(Protocol):
    """b sequences of n positions, some of them still masked."""

    @property
    def masked(self) -> Bool[Tensor, "b n"]:
        """True where nothing is committed yet. Positions beyond the end of a sequence are not masked."""

    def propose(self, start: Int[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
        """One call of the denoiser on positions `start` to `start + width` of each sequence.

        Returns how sure it is of each position: the largest probability there, in [0, 1]. What it would write is kept.
        """

    def commit(self, chosen: Bool[Tensor, "b w"], *, all_of_them: bool) -> None:
        """Write proposals of the last window. At least one a sequence is written; with `all_of_them`, all chosen are."""

    def settle(self, stop: Int[Tensor, " b"]) -> None:
        """Positions before `stop` are final: later calls may use what is cached of them."""

    def forget(self) -> None:
        """Drop everything cached, so that the next call computes all final positions anew."""


@dataclass(frozen=True, kw_only=True)
class ConfidenceDecoding:
    """Block by block, most confident first.

    Each step commits all positions whose confidence reaches `threshold` (Fast-dLLM, Wu et al. 2025) and at least as many
    as are needed to finish the block in `steps` steps; without a threshold just as many (the fixed schedule).
    """

    block: int = 8
    steps: int = 8
    threshold: float | None = 0.9

    def __post_init__(self) -> None:
        if self.block < 1 or self.steps < 1:
            raise ValueError(f"block and steps must be at least 1, got {self.block} and {self.steps}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class DeferredCommitmentDecoding:
    """Deferred Commitment Decoding (Shu et al. 2026, arXiv 2601.02076): a window that slides with what is undecided.

    The window starts at the first masked position and reaches as far as it holds `masks` masked positions, but at most
    `width` positions. Each step commits what reaches `threshold`, at least the most confident one; what stays unsure keeps
    its place in the window until its future is known.

    `cache`: "prefix" keeps what is left of the window (delayed by `delay` positions, which are computed again with the
    window), "none" computes it anew in every step. Caches of what is right of the window, as in models that attend there,
    have no use in a model that is causal across blocks. `refresh` drops the cache after that many commits; 0 for never.
    """

    masks: int = 8
    width: int = 16
    threshold: float = 0.9
    cache: CacheMode = "prefix"
    delay: int = 0
    refresh: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.masks <= self.width:
            raise ValueError(f"masks must be in [1, width = {self.width}], got {self.masks}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {self.threshold}")
        if self.cache not in ("none", "prefix"):
            raise ValueError(f"cache must be 'none' or 'prefix', got {self.cache!r}")
        if self.delay < 0 or self.refresh < 0:
            raise ValueError(f"delay and refresh must not be negative, got {self.delay} and {self.refresh}")


Decoding = ConfidenceDecoding | DeferredCommitmentDecoding


def most_confident(
    confidence: Float[Tensor, "b w"], candidates: Bool[Tensor, "b w"], count: Int[Tensor, " b"]
) -> Bool[Tensor, "b w"]:
    """The `count` most confident candidates of each row, leftmost first among equals; all if there are fewer."""
    order = confidence.masked_fill(~candidates, -1.0).argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
    return candidates & (rank < count[:, None])


def choose(
    confidence: Float[Tensor, "b w"],
    candidates: Bool[Tensor, "b w"],
    *,
    threshold: float | None,
    at_least: Int[Tensor, " b"],
) -> Bool[Tensor, "b w"]:
    """Positions to commit now: the `at_least` most confident ones, and all that reach the threshold."""
    chosen = most_confident(confidence, candidates, at_least)
    return chosen if threshold is None else chosen | (candidates & (confidence >= threshold))


def window_of(values: Bool[Tensor, "b n"], start: Int[Tensor, " b"], width: int) -> Bool[Tensor, "b w"]:
    """`values` at positions `start` to `start + width` of each row; False beyond the last position."""
    position = start[:, None] + torch.arange(width)
    inside = position < values.shape[1]
    return values.gather(1, position.clamp(max=values.shape[1] - 1)) & inside


def decode_blocks(canvas: Canvas, config: ConfidenceDecoding) -> int:
    """Fill the canvas block by block; returns the number of denoiser calls."""
    calls, length = 0, canvas.masked.shape[1]
    for first in range(0, length, config.block):
        width = min(config.block, length - first)
        start = torch.full((len(canvas.masked),), first)
        for step in range(config.steps):
            candidates = window_of(canvas.masked, start, width)
            if not candidates.any():
                break
            confidence = canvas.propose(start, width)
            calls += 1
            left = config.steps - step
            at_least = -(-candidates.sum(dim=1) // left)
            chosen = choose(confidence, candidates, threshold=config.threshold, at_least=at_least)
            canvas.commit(chosen, all_of_them=left <= int(candidates.sum(dim=1).max()))
        canvas.settle(start + width)
        if not canvas.masked.any():
            break
    return calls


def slide(
    masked: Bool[Tensor, "b n"], end: Int[Tensor, " b"], config: DeferredCommitmentDecoding
) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """The next window [start, end) of each row: section 3 of the paper, with the window's end never moving back."""
    length = masked.shape[1]
    position = torch.arange(length)
    done = ~masked.any(dim=1)
    start = torch.where(done, length, masked.int().argmax(dim=1))
    inside = masked & (position >= start[:, None]) & (position < end[:, None])
    grown = torch.minimum(end + config.masks - inside.sum(dim=1), start + config.width)
    return start, torch.maximum(end, grown).clamp(max=length).maximum(start)


def decode_deferred(canvas: Canvas, config: DeferredCommitmentDecoding) -> int:
    """Fill the canvas with a sliding window; returns the number of denoiser calls."""
    calls, committed = 0, 0
    end = torch.zeros(len(canvas.masked), dtype=torch.long)
    while canvas.masked.any():
        masked = canvas.masked
        start, end = slide(masked, end, config)
        settled = torch.zeros_like(start) if config.cache == "none" else (start - config.delay).clamp(min=0)
        canvas.settle(settled)
        width = int((end - start).max())
        candidates = window_of(masked, start, width) & (torch.arange(width) < (end - start)[:, None])
        confidence = canvas.propose(start, width)
        calls += 1
        at_least = candidates.any(dim=1).long()
        canvas.commit(choose(confidence, candidates, threshold=config.threshold, at_least=at_least), all_of_them=False)
        committed += int((masked & ~canvas.masked).sum(dim=1).max())
        if config.refresh and committed >= config.refresh:
            canvas.forget()
            committed = 0
    return calls


def decode(canvas: Canvas, config: Decoding) -> int:
    """Fill the canvas as `config` says; returns the number of denoiser calls."""
    if isinstance(config, DeferredCommitmentDecoding):
        return decode_deferred(canvas, config)
    return decode_blocks(canvas, config)
