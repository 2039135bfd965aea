"""Block diffusion over a plain vocabulary: a network that fills in masked tokens, block by block.

The tokens of a block are denoised together, given the clean blocks before it (Arriola et al. 2025, "BD3-LM",
arXiv:2503.09573). One block as long as the sequence makes it plain masked diffusion (Sahoo et al. 2024, "MDLM"), blocks
of one token make it an autoregressive model: the same network serves all block sizes, and is best trained on several.

Every sequence begins behind a start token: positions are relative, so without it the tokens of a first block that is
all masked could not tell their places.

Dimensions: b batch, n tokens of a sequence, w tokens of a call, v vocabulary, m condition tokens, c channels of a
condition, p leading tokens (start and, with "prefix", condition), d width.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from suffuse.backbone.discrete.blocks import training_mask
from suffuse.backbone.discrete.loss import (
    MaskScaling,
    block_diffusion_loss,
    block_diffusion_weights,
    substitution_nll,
)
from suffuse.backbone.discrete.noise import NoiseConfig, apply_mask, importance_weight, sample_mask_ratio
from suffuse.backbone.models.block_transformer import BlockTransformer, Conditioning, KeyValueCache
from suffuse.backbone.models.pretrained import PretrainedModel, register_to_config


class BlockLanguageModel(PretrainedModel):
    """Logits of masked tokens. The mask token is `vocabulary`, one past the tokens, and is never predicted.

    Args:
        vocabulary: number of tokens, from 0.
        width, depth, heads, mlp_width, rotary_base: of the block transformer.
        condition_width: channels c of a condition's tokens; 0 for a model without condition.
        conditioning: "prefix" puts the condition's tokens before the sequence, "cross" lets every layer attend to them
            (without positions: what a condition token is about must be in its channels).

    Raises ValueError for a vocabulary below 1, "cross" without a condition, and what `BlockTransformer` refuses.
    """

    @register_to_config
    def __init__(
        self,
        *,
        vocabulary: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        mlp_width: int = 0,
        rotary_base: float = 1000.0,
        condition_width: int = 0,
        conditioning: Conditioning = "prefix",
    ) -> None:
        super().__init__()
        if vocabulary < 1:
            raise ValueError(f"vocabulary must be at least 1, got {vocabulary}")
        if condition_width < 0 or (conditioning == "cross" and not condition_width):
            raise ValueError(f"condition_width must be at least {int(conditioning == 'cross')}, got {condition_width}")
        self.embedding = nn.Embedding(vocabulary + 1, width)
        self.start = nn.Parameter(torch.randn(width))
        if condition_width:
            self.condition = nn.Linear(condition_width, width)
            self.no_condition = nn.Parameter(torch.randn(width))
        self.transformer = BlockTransformer(
            width=width,
            depth=depth,
            heads=heads,
            mlp_width=mlp_width,
            conditioning=conditioning,
            rotary_base=rotary_base,
        )
        self.head = nn.Linear(width, vocabulary, bias=False)

    @property
    def mask_token(self) -> int:
        """What stands where a token is masked."""
        return self.config["vocabulary"]

    def lead(
        self, batch: int, condition: Float[Tensor, "b m c"] | None, dropped: Bool[Tensor, " b"] | None
    ) -> tuple[Float[Tensor, "b p d"], Float[Tensor, "b m d"] | None]:
        """The tokens before a sequence, and those that go to cross-attention; `dropped` hides a sample's condition.

        Raises ValueError if a condition is missing, has too few or many channels, or is given to a model without one.
        """
        given = 0 if condition is None else condition.shape[-1]
        if given != self.config["condition_width"]:
            takes = self.config["condition_width"]
            raise ValueError(f"the condition has {given} channels (0 for none), the model takes {takes}")
        start = self.start.expand(batch, 1, -1)
        if condition is None:
            return start, None
        hidden = self.condition(condition)
        if dropped is not None:
            hidden = torch.where(dropped[:, None, None], self.no_condition, hidden)
        if self.config["conditioning"] == "cross":
            return start, hidden
        return torch.cat([hidden, start], dim=1), None

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        masked: Bool[Tensor, "b n"],
        blocks: Int[Tensor, "b n"] | Int[Tensor, " n"],
        valid: Bool[Tensor, "b n"] | None = None,
        condition: Float[Tensor, "b m c"] | None = None,
        dropped: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b n v"]:
        """Training: logits of all positions, of which those of `masked` tokens mean something, in one pass.

        The pass is over [leading | noisy | clean]: each block sees itself with its masks, and the clean blocks before
        it. `blocks` comes from `block_index`; `valid` is False on padding; `dropped` hides the condition of a sample.
        """
        batch, length = tokens.shape
        if valid is None:
            valid = torch.ones_like(masked)
        leading, crossing = self.lead(batch, condition, dropped)
        prefix = leading.shape[1]
        noisy = torch.where(masked, self.mask_token, tokens)
        hidden = torch.cat([leading, self.embedding(torch.cat([noisy, tokens], dim=1))], dim=1)
        place = torch.arange(prefix + length, device=tokens.device)
        positions = torch.cat([place, place[prefix:]]).expand(batch, -1)
        hidden = self.transformer(hidden, positions, training_mask(blocks, valid, prefix), crossing)
        return self.head(hidden[:, prefix : prefix + length])

    @torch.no_grad()
    def begin(
        self, batch: int, capacity: int, condition: Float[Tensor, "b m c"] | None = None, *, dropped: bool = False
    ) -> "CachedTokens":
        """Sampling: `batch` sequences with nothing cached yet but the condition; `capacity` tokens will fit in a cache.

        `dropped` hides the condition of all of them.
        """
        leading, crossing = self.lead(batch, condition, torch.full((batch,), dropped, device=self.device))
        prefix = leading.shape[1]
        cache = self.transformer.new_cache(batch, prefix + capacity)
        self.transformer.extend(leading, torch.arange(prefix, device=self.device).expand(batch, -1), cache, crossing)
        cache.advance(torch.full((batch,), prefix, device=self.device))
        return CachedTokens(model=self, cache=cache, prefix=prefix, condition=crossing)


@dataclass
class CachedTokens:
    """Sequences whose first tokens are final and cached."""

    model: BlockLanguageModel
    cache: KeyValueCache
    prefix: int
    """Leading tokens, which stay in the cache."""
    condition: Float[Tensor, "b m d"] | None

    @torch.no_grad()
    def extend(
        self, tokens: Int[Tensor, "b w"], *, valid: Bool[Tensor, "b w"], final: Int[Tensor, " b"]
    ) -> Float[Tensor, "b w v"]:
        """Logits of the tokens that follow the cached ones.

        They see what is cached and, where `valid`, each other; the first `final` of a sequence do not see the rest, and
        are cached. Raises ValueError when the capacity is exceeded.
        """
        positions = self.cache.length[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.model.transformer.extend(
            self.model.embedding(tokens), positions, self.cache, self.condition,
            valid=None if bool(valid.all()) else valid, final=final if bool(final.any()) else None,
        )  # fmt: skip
        self.cache.advance(final)
        return self.model.head(hidden)

    def rewind(self) -> None:
        """Drop all tokens from the cache but the leading ones."""
        self.cache.length = torch.full_like(self.cache.length, self.prefix)


def language_loss(
    model: nn.Module,
    tokens: Int[Tensor, "b n"],
    blocks: Int[Tensor, "b n"],
    generator: Generator,
    *,
    valid: Bool[Tensor, "b n"] | None = None,
    given: Bool[Tensor, "b n"] | None = None,
    noise: NoiseConfig | None = None,
    progress: float = 0.0,
    scaling: MaskScaling = "posterior",
    condition: Float[Tensor, "b m c"] | None = None,
    drop_condition: float = 0.1,
) -> Float[Tensor, ""]:
    """One draw of the training loss of a `BlockLanguageModel`, or of one wrapped for distributed training.

    In nats a token that can be masked; with the default noise (up to its `t_min`) and scaling its expectation is the
    negative ELBO of the tokens, given their condition for all but a share `drop_condition` of the samples, where the
    condition is hidden: what classifier-free guidance needs. `given` tokens, such as a prompt, are seen and never
    masked. All randomness comes from `generator`.
    """
    noise = noise or NoiseConfig()
    maskable = torch.ones_like(tokens, dtype=torch.bool) if valid is None else valid
    if given is not None:
        maskable = maskable & ~given
    t = sample_mask_ratio(noise, blocks, progress, generator)
    masked = apply_mask(t, maskable, generator)
    dropped = None
    if condition is not None:
        draw = torch.rand(len(tokens), generator=generator, device=generator.device)
        dropped = (draw < drop_condition).to(tokens.device)
    logits = model(tokens, masked, blocks, valid, condition, dropped)
    weights = block_diffusion_weights(masked, t, blocks, maskable, scaling) * importance_weight(noise, t, progress)
    return block_diffusion_loss(substitution_nll(logits, tokens, masked), weights, maskable)
