"""Decoders for block diffusion: which masked positions to commit, and where to look next.

A decoder is a loop over a `Canvas`: sequences that are being filled in. The canvas knows the denoiser, the vocabulary
and any constraint on what may stand where; the decoder only decides which of its proposals are committed and when. So
the same loops serve plain vocabularies (`token_canvas.py`) and segments of a road network.

What is decided for a sequence depends on that sequence alone, never on the others of its batch.

Dimensions: b sequences, n positions of a sequence, w positions of a window.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CacheMode = Literal["none", "prefix"]


@runtime_checkable
class Canvas(Protocol):
    """b sequences of n positions, some of them still masked."""

    @property
    def masked(self) -> Bool[Tensor, "b n"]:
        """True where nothing is committed yet. Positions beyond the end of a sequence are not masked.

        It may be a view that changes with the next commit.
        """

    def propose(self, start: Int[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
        """One call of the denoiser on positions `start` to `start + width` of each sequence.

        A sequence is shown nothing beyond its own `start + width`; windows may reach beyond the last position.
        Returns how sure the denoiser is of each position, in [0, 1]. What it would write is kept.
        """

    def commit(self, chosen: Bool[Tensor, "b w"], *, all_of_them: bool) -> None:
        """Write proposals of the last window, which may take several calls for different sequences.

        Of the chosen positions of a sequence at least one is written; with `all_of_them`, all are.
        """

    def settle(self, stop: Int[Tensor, " b"]) -> None:
        """Positions before `stop` are final: later calls may use what is cached of them. `stop` never moves back.

        It may lie beyond the end of a sequence.
        """

    def forget(self) -> None:
        """Drop everything cached, so that the next call computes all final positions anew."""


@dataclass(frozen=True, kw_only=True)
class ConfidenceDecoding:
    """Block by block, most confident first.

    Each step commits all positions whose confidence reaches `threshold` (Fast-dLLM, Wu et al. 2025) and at least as
    many as are needed to finish the block in `steps` steps; without a threshold just as many (the fixed schedule). With
    `steps` equal to `block` a step need not commit more than one.

    Raises ValueError for a `block` or `steps` below 1, or a `threshold` outside (0, 1].
    """

    block: int = 8
    steps: int = 8
    threshold: float | None = 0.9

    def __post_init__(self) -> None:
        if self.block < 1 or self.steps < 1:
            raise ValueError(f"block and steps must be at least 1, got {self.block} and {self.steps}")
        _check_threshold(self.threshold)


@dataclass(frozen=True, kw_only=True)
class DeferredCommitmentDecoding:
    """Deferred Commitment Decoding (Shu et al. 2026, arXiv 2601.02076): a window that slides with what is undecided.

    The denoiser is shown `width` positions from the first masked one on; of these the first `masks` masked ones are
    candidates. Each step commits the candidates whose confidence reaches `threshold`, but at least the `at_least` most
    confident ones (without a threshold just these: the fixed schedule). What stays unsure keeps its place in the window
    until more of its future is known.

    `cache`: "prefix" keeps what is left of the window, but for the last `delay` positions, which are computed again
    with the window; "none" computes all of it in every step. Caches of what is right of the window, for models that
    attend there ("dual" in the paper), have no use in a model that is causal across blocks. `refresh` drops the cache
    after that many calls; 0 for never.

    The released code has one window for a whole batch and counts commits, averaged over the batch, until a refresh;
    here each sequence has its own window, and calls are counted, so that batch mates have no say.

    Raises ValueError unless 1 <= `at_least` <= `masks` <= `width`, for a `threshold` outside (0, 1], and for a `delay`
    or `refresh` that is negative or has no cache to work on.
    """

    masks: int = 8
    width: int = 16
    threshold: float | None = 0.9
    at_least: int = 1
    cache: CacheMode = "prefix"
    delay: int = 0
    refresh: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.masks <= self.width:
            raise ValueError(f"masks must be in [1, width = {self.width}], got {self.masks}")
        if not 1 <= self.at_least <= self.masks:
            raise ValueError(f"at_least must be in [1, masks = {self.masks}], got {self.at_least}")
        _check_threshold(self.threshold)
        if self.cache not in ("none", "prefix"):
            raise ValueError(f"cache must be 'none' or 'prefix', got {self.cache!r}")
        if self.delay < 0 or self.refresh < 0:
            raise ValueError(f"delay and refresh must not be negative, got {self.delay} and {self.refresh}")
        if self.cache == "none" and (self.delay or self.refresh):
            raise ValueError(f"delay and refresh need cache 'prefix', got {self.delay} and {self.refresh} with 'none'")


Decoding = ConfidenceDecoding | DeferredCommitmentDecoding


def most_confident(
    confidence: Float[Tensor, "b w"], candidates: Bool[Tensor, "b w"], count: Int[Tensor, " b"]
) -> Bool[Tensor, "b w"]:
    """The `count` most confident candidates of each row, leftmost first among equals; all if there are fewer."""
    order = confidence.masked_fill(~candidates, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
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
    position = start[:, None] + torch.arange(width, device=values.device)
    inside = position < values.shape[1]
    return values.gather(1, position.clamp(max=values.shape[1] - 1)) & inside


def decode_blocks(canvas: Canvas, config: ConfidenceDecoding) -> int:
    """Fill the canvas block by block; returns the number of denoiser calls, at most `steps` a block.

    A sequence with fewer masked positions than calls left in the block is in no hurry: there the canvas may write less
    than what was chosen.
    """
    calls, (batch, length) = 0, canvas.masked.shape
    for first in range(0, length, config.block):
        width = min(config.block, length - first)
        start = torch.full((batch,), first, device=canvas.masked.device)
        for left in range(config.steps, 0, -1):
            candidates = window_of(canvas.masked, start, width)
            if not candidates.any():
                break
            confidence = canvas.propose(start, width)
            calls += 1
            count = candidates.sum(dim=1)
            chosen = choose(confidence, candidates, threshold=config.threshold, at_least=-(-count // left))
            hurry = (count >= left)[:, None]
            for part, all_of_them in ((chosen & hurry, True), (chosen & ~hurry, False)):
                if part.any():
                    canvas.commit(part, all_of_them=all_of_them)
        canvas.settle(start + width)
        if not canvas.masked.any():
            break
    return calls


def slide(
    masked: Bool[Tensor, "b n"], config: DeferredCommitmentDecoding
) -> tuple[Int[Tensor, " b"], Bool[Tensor, "b w"]]:
    """Where the window of each row starts, and which of its positions are candidates.

    With L the first masked position, the candidates are the masked positions in [L, R): the paper's R, which grows by
    as many positions as were committed and stays within L + `width`, is that of the `masks`-th masked position. A row
    with nothing masked has its window behind the last position.
    """
    length = masked.shape[1]
    start = torch.where(masked.any(dim=1), masked.int().argmax(dim=1), length)
    inside = window_of(masked, start, min(config.width, length))
    return start, inside & (inside.cumsum(dim=1) <= config.masks)


def decode_deferred(canvas: Canvas, config: DeferredCommitmentDecoding) -> int:
    """Fill the canvas with a sliding window; returns the number of denoiser calls, at most one a position."""
    calls, (batch, length) = 0, canvas.masked.shape
    everywhere = torch.full((batch,), length, device=canvas.masked.device)
    at_least = torch.full_like(everywhere, config.at_least)
    while left := int(canvas.masked.sum()):
        start, candidates = slide(canvas.masked, config)
        if config.refresh and calls and calls % config.refresh == 0:
            canvas.forget()
        if config.cache == "prefix":
            canvas.settle((start - config.delay).clamp(min=0))
        confidence = canvas.propose(start, candidates.shape[1])
        calls += 1
        chosen = choose(confidence, candidates, threshold=config.threshold, at_least=at_least)
        canvas.commit(chosen, all_of_them=config.at_least > 1)
        assert int(canvas.masked.sum()) < left, "the canvas wrote nothing"
    canvas.settle(everywhere)
    return calls


def decode(canvas: Canvas, config: Decoding) -> int:
    """Fill the canvas as `config` says; returns the number of denoiser calls."""
    if isinstance(config, DeferredCommitmentDecoding):
        return decode_deferred(canvas, config)
    return decode_blocks(canvas, config)


def _check_threshold(threshold: float | None) -> None:
    if threshold is not None and not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
