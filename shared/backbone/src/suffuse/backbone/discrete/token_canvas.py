"""A canvas over a plain vocabulary: the sequences of a batch, each drawing from its own stream of random numbers.

Dimensions: b sequences, n positions of a sequence, w positions of a window, v vocabulary, m condition tokens,
c channels of a condition.
"""

from collections.abc import Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from suffuse.backbone.discrete.decoding import window_of

Confidence = Literal["probability", "entropy", "margin"]
"""What makes a prediction sure: its largest probability, a low entropy, or the lead over the second best."""


@runtime_checkable
class TokenContext(Protocol):
    """Sequences whose first tokens are final and cached."""

    def extend(
        self, tokens: Int[Tensor, "b w"], *, valid: Bool[Tensor, "b w"], final: Int[Tensor, " b"]
    ) -> Float[Tensor, "b w v"]:
        """Logits of the tokens that follow the cached ones.

        They see what is cached and, where `valid`, each other; the first `final` of a sequence do not see the rest, and
        are cached.
        """

    def rewind(self) -> None:
        """Drop all tokens from the cache, but not the condition."""


@runtime_checkable
class TokenDenoiser(Protocol):
    """A network that fills in masked tokens, such as `suffuse.backbone.models.BlockLanguageModel`."""

    @property
    def mask_token(self) -> int:
        """What stands where a token is masked."""

    def begin(
        self, batch: int, capacity: int, condition: Float[Tensor, "b m c"] | None = None, *, dropped: bool = False
    ) -> TokenContext:
        """`batch` sequences with nothing cached; `capacity` tokens will fit. `dropped` hides the condition."""


def confidence_of(probability: Float[Tensor, "*s v"], measure: Confidence) -> Float[Tensor, "*s"]:
    """How sure a distribution is, in [0, 1]; 1 where all of it is on one token.

    - "probability": the largest probability;
    - "entropy": exp(-H), one over the perplexity. It orders as the negative entropy -H of the DCD paper does; a
      threshold of x here is one of log x nats there;
    - "margin": the largest probability minus the second largest, the paper's top-k margin.

    Raises ValueError for another `measure`.
    """
    _check_measure(measure)
    if measure == "probability":
        return probability.amax(dim=-1)
    if measure == "entropy":
        return torch.special.entr(probability).sum(dim=-1).neg().exp().clamp(max=1.0)
    best = probability.topk(min(2, probability.shape[-1]), dim=-1).values
    return best[..., 0] if best.shape[-1] == 1 else best[..., 0] - best[..., 1]


def draw_tokens(logits: Float[Tensor, "*s v"], uniform: Float[Tensor, "*s"], temperature: float) -> Int[Tensor, "*s"]:
    """One token a position from softmax(logits / temperature), by inversion of `uniform` in [0, 1).

    Temperature 0 takes the likeliest token, the first among equals.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits.double()
    total = ((logits - logits.amax(dim=-1, keepdim=True)) / temperature).softmax(dim=-1).cumsum(dim=-1)
    # the first token whose share reaches beyond the draw: one of positive probability, whatever the rounding
    return torch.searchsorted(total, uniform.double()[..., None] * total[..., -1:], right=True)[..., 0]


class TokenCanvas:
    """b sequences of tokens being filled in. See `suffuse.backbone.discrete.Canvas` for what a decoder asks of it.

    A sequence's tokens depend on its own generator, condition and given tokens, and, but for rounding, not on its batch
    mates. Final positions are cached in the call that denoises the next window, so that a call is one pass of the
    network (two with guidance). Confidence is that of the guided distribution at temperature 1.

    Args:
        denoiser: the network, in evaluation mode.
        tokens: what is given; the denoiser's mask token where something is to be written.
        generators: the stream of random numbers of each sequence, which yields one number a position in advance.
        lengths: positions of each sequence, n if None; nothing is written behind them, and none of it is seen.
        condition: passed to the denoiser.
        temperature: 1 samples what was learned, below it sharpens; 0 takes the likeliest.
        guidance: w of classifier-free guidance (Ho and Salimans 2022), logits = (1 + w) conditional - w unconditional;
            0 for none.
        measure: what confidence is, see `confidence_of`.
        end: a token that ends a sequence: where it is written, the sequence is cut. It fills what lies behind.

    Raises ValueError for a number of generators other than b, a length outside [0, n], a temperature or guidance below
    0, guidance without a condition, or an unknown measure.
    """

    def __init__(
        self,
        denoiser: TokenDenoiser,
        tokens: Int[Tensor, "b n"],
        generators: Sequence[Generator],
        *,
        lengths: Int[Tensor, " b"] | None = None,
        condition: Float[Tensor, "b m c"] | None = None,
        temperature: float = 1.0,
        guidance: float = 0.0,
        measure: Confidence = "probability",
        end: int | None = None,
    ) -> None:
        batch, length = tokens.shape
        if len(generators) != batch:
            raise ValueError(f"{len(generators)} generators are given, must be {batch}, one for each sequence")
        if lengths is None:
            lengths = torch.full((batch,), length, device=tokens.device)
        if batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= length:
            raise ValueError(f"lengths are {lengths.tolist()}, must lie in [0, {length}]")
        if temperature < 0 or guidance < 0:
            raise ValueError(f"temperature is {temperature} and guidance {guidance}, must not be negative")
        if guidance and condition is None:
            raise ValueError(f"guidance is {guidance}, but there is no condition to guide by")
        _check_measure(measure)
        self.tokens, self.lengths = tokens.clone(), lengths
        self.temperature, self.measure, self.end = temperature, measure, end
        self.mask_token = denoiser.mask_token
        self.position = torch.arange(length, device=tokens.device)
        self.uniform = torch.zeros(batch, length, dtype=torch.float64, device=tokens.device)
        for row, (generator, own) in enumerate(zip(generators, lengths.tolist(), strict=True)):
            draws = torch.rand(own, generator=generator, dtype=torch.float64, device=generator.device)
            self.uniform[row, :own] = draws.to(tokens.device)
        # a window starts at most n behind the first position and is at most n wide
        branches = [(False, 1 + guidance), (True, -guidance)] if guidance else [(False, 1.0)]
        self.contexts = [(denoiser.begin(batch, 2 * length, condition, dropped=d), weight) for d, weight in branches]
        self.cached = torch.zeros_like(lengths)
        self.settled = torch.zeros_like(lengths)
        self.start = torch.zeros_like(lengths)
        self.proposed = torch.zeros(batch, 0, dtype=torch.long, device=tokens.device)

    @property
    def masked(self) -> Bool[Tensor, "b n"]:
        """True where a token is still to be written."""
        return (self.tokens == self.mask_token) & (self.position < self.lengths[:, None])

    def propose(self, start: Int[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
        """One pass over the window and what is not cached before it; returns the confidence, 0 where not masked."""
        stop = torch.minimum(start + width, self.lengths)
        total = max(int((stop - self.cached).max()), 1)
        place = self.cached[:, None] + torch.arange(total, device=start.device)
        shown = self.tokens.gather(1, place.clamp(max=self.tokens.shape[1] - 1))
        valid, final = place < stop[:, None], self.settled - self.cached
        parts = [weight * context.extend(shown, valid=valid, final=final) for context, weight in self.contexts]
        place = start[:, None] + torch.arange(width, device=start.device)
        asked = (place - self.cached[:, None]).clamp(max=total - 1)
        logits = sum(parts[1:], start=parts[0]).take_along_dim(asked[..., None], dim=1)
        self.cached = self.settled
        uniform = self.uniform.gather(1, place.clamp(max=self.tokens.shape[1] - 1))
        self.start, self.proposed = start, draw_tokens(logits, uniform, self.temperature)
        sure = confidence_of(logits.float().softmax(dim=-1), self.measure)
        return torch.where(window_of(self.masked, start, width), sure, 0.0)

    def commit(self, chosen: Bool[Tensor, "b w"], *, all_of_them: bool) -> None:
        """Write the chosen tokens of the last proposal: always all of them, for any token may stand anywhere."""
        del all_of_them
        row, column = chosen.nonzero(as_tuple=True)
        place, token = self.start[row] + column, self.proposed[row, column]
        self.tokens[row, place] = token
        if self.end is not None:
            over = token == self.end
            self.lengths = self.lengths.scatter_reduce(0, row[over], place[over] + 1, "amin")
            self.tokens[self.position >= self.lengths[:, None]] = self.end

    def settle(self, stop: Int[Tensor, " b"]) -> None:
        """Positions before `stop` are final: the next call caches them."""
        self.settled = torch.maximum(self.settled, torch.minimum(stop, self.lengths))

    def forget(self) -> None:
        """Drop all tokens from the caches; the next call computes the settled ones anew, as one block."""
        for context, _ in self.contexts:
            context.rewind()
        self.cached = torch.zeros_like(self.cached)


def _check_measure(measure: str) -> None:
    if measure not in get_args(Confidence):
        raise ValueError(f"measure is {measure!r}, must be 'probability', 'entropy' or 'margin'")
