"""A transformer for block diffusion: bidirectional inside a block, causal across blocks, finished blocks cached.

Block diffusion (Arriola et al. 2025, "BD3-LM") factorises a sequence over blocks and denoises each block given the clean
blocks before it. This module is the network alone, from hidden states to hidden states: what a token is, and how it is
scored, belongs to the model around it (`block_language_model.py` for plain vocabularies).

Dimensions: b batch, n tokens of a call, c slots of the cache, m condition tokens, h heads, d width, e width of a head.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

Conditioning = Literal["prefix", "cross"]
"""How a condition reaches the tokens: as leading tokens of the sequence, or through cross-attention in every layer."""


@dataclass
class KeyValueCache:
    """Keys and values of the tokens that are final, with room for the window being denoised.

    `length` says how many slots of each sample are final; a window writes behind them and is overwritten by the next one
    until `advance` declares some of its tokens final.
    """

    keys: list[Float[Tensor, "b h c e"]]
    values: list[Float[Tensor, "b h c e"]]
    length: Int[Tensor, " b"]

    def advance(self, count: Int[Tensor, " b"]) -> None:
        """Keep the first `count` tokens of the last window of each sample for good."""
        self.length = self.length + count

    def select(self, rows: Int[Tensor, " r"]) -> "KeyValueCache":
        """The cache of some of the samples, in the given order."""
        return KeyValueCache(
            keys=[k[rows] for k in self.keys], values=[v[rows] for v in self.values], length=self.length[rows]
        )


def rotate(
    x: Float[Tensor, "b h n e"], cos: Float[Tensor, "b 1 n half"], sin: Float[Tensor, "b 1 n half"]
) -> Float[Tensor, "b h n e"]:
    """Rotary position embedding (Su et al. 2021): each pair of channels turns by an angle that grows with position."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class SelfAttention(nn.Module):
    """Multi-head attention over the tokens of a call and, with a cache, all final tokens before them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def project(
        self, x: Float[Tensor, "b n d"], cos: Tensor, sin: Tensor
    ) -> tuple[Float[Tensor, "b h n e"], Float[Tensor, "b h n e"], Float[Tensor, "b h n e"]]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def forward(
        self, x: Float[Tensor, "b n d"], cos: Tensor, sin: Tensor, mask: Bool[Tensor, "b 1 n n"] | None
    ) -> Float[Tensor, "b n d"]:
        q, k, v = self.project(x, cos, sin)
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))

    def extend(
        self,
        x: Float[Tensor, "b n d"],
        cos: Tensor,
        sin: Tensor,
        keys: Float[Tensor, "b h c e"],
        values: Float[Tensor, "b h c e"],
        slots: Int[Tensor, "b n"] | slice,
        mask: Bool[Tensor, "b 1 n f"] | None,
        filled: int,
    ) -> Float[Tensor, "b n d"]:
        q, k, v = self.project(x, cos, sin)
        if isinstance(slots, slice):
            keys[:, :, slots], values[:, :, slots] = k, v
        else:
            index = slots[:, None, :, None].expand_as(k)
            keys.scatter_(2, index, k)
            values.scatter_(2, index, v)
        seen = F.scaled_dot_product_attention(q, keys[:, :, :filled], values[:, :, :filled], attn_mask=mask)
        return self.out(seen.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Multi-head attention from tokens to condition tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Float[Tensor, "b n d"], condition: Float[Tensor, "b m d"]) -> Float[Tensor, "b n d"]:
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(condition).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Pre-norm residual layer: self-attention, cross-attention if the model has a condition that way, gated MLP."""

    def __init__(self, width: int, heads: int, mlp_width: int, *, cross: bool, depth: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width)
        self.attention = SelfAttention(width, heads)
        self.cross_norm = nn.RMSNorm(width) if cross else None
        self.cross = CrossAttention(width, heads) if cross else None
        self.mlp_norm = nn.RMSNorm(width)
        self.gate_up = nn.Linear(width, 2 * mlp_width, bias=False)
        self.down = nn.Linear(mlp_width, width, bias=False)
        for last in (self.attention.out, self.down):  # residual branches start small, so that depth does not add up
            nn.init.normal_(last.weight, std=0.02 / (2 * depth) ** 0.5)

    def feed_forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)

    def attend_condition(self, x: Float[Tensor, "b n d"], condition: Tensor | None) -> Float[Tensor, "b n d"]:
        if self.cross is None or self.cross_norm is None or condition is None:
            return x
        return x + self.cross(self.cross_norm(x), condition)


class BlockTransformer(ModelMixin, ConfigMixin):
    """Hidden states in, hidden states out; who sees whom is said by a mask (training) or a cache (sampling).

    Args:
        width: channels of a token; a multiple of twice `heads`.
        depth: layers.
        heads: attention heads.
        mlp_width: hidden channels of the gated MLP; 0 for 8/3 of `width`, rounded up to a multiple of 32.
        conditioning: "prefix" if conditions are leading tokens of the sequence (the caller puts them there), "cross" if
            they come as `condition` through cross-attention.
        rotary_base: wavelength base of the rotary position embedding.
    """

    @register_to_config
    def __init__(
        self,
        *,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        mlp_width: int = 0,
        conditioning: Conditioning = "prefix",
        rotary_base: float = 1000.0,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width ({width}) must be a multiple of twice heads ({heads})")
        if conditioning not in ("prefix", "cross"):
            raise ValueError(f"conditioning must be 'prefix' or 'cross', got {conditioning!r}")
        mlp_width = mlp_width or -(-8 * width // 3 // 32) * 32
        cross = conditioning == "cross"
        self.layers = nn.ModuleList(Layer(width, heads, mlp_width, cross=cross, depth=depth) for _ in range(depth))
        self.norm = nn.RMSNorm(width)
        half = width // heads // 2
        self.register_buffer("frequency", rotary_base ** (-torch.arange(half) / half), persistent=False)

    def angles(self, positions: Int[Tensor, "b n"]) -> tuple[Float[Tensor, "b 1 n half"], Float[Tensor, "b 1 n half"]]:
        """Cosine and sine of the rotary angle of every position."""
        angle = positions[:, None, :, None] * self.frequency
        return angle.cos(), angle.sin()

    def forward(
        self,
        hidden: Float[Tensor, "b n d"],
        positions: Int[Tensor, "b n"],
        mask: Bool[Tensor, "b 1 n n"] | None = None,
        condition: Float[Tensor, "b m d"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """All tokens at once; `mask` is True where a query (row) may see a key (column), None for full attention."""
        cos, sin = self.angles(positions)
        for layer in self.layers:
            hidden = hidden + layer.attention(layer.attention_norm(hidden), cos, sin, mask)
            hidden = layer.attend_condition(hidden, condition)
            hidden = hidden + layer.feed_forward(hidden)
        return self.norm(hidden)

    def new_cache(self, batch: int, capacity: int) -> KeyValueCache:
        """An empty cache for `batch` samples of at most `capacity` tokens, window included."""
        heads, width = self.config["heads"], self.config["width"]
        shape = (batch, heads, capacity, width // heads)
        return KeyValueCache(
            keys=[torch.zeros(shape, device=self.device, dtype=self.dtype) for _ in self.layers],
            values=[torch.zeros(shape, device=self.device, dtype=self.dtype) for _ in self.layers],
            length=torch.zeros(batch, dtype=torch.long, device=self.device),
        )

    def extend(
        self,
        hidden: Float[Tensor, "b n d"],
        positions: Int[Tensor, "b n"],
        cache: KeyValueCache,
        condition: Float[Tensor, "b m d"] | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """A window of tokens behind the cached ones: each sees all cached tokens of its sample and the whole window.

        `valid` is False for tokens of the window that no other may see (samples with less left than the window is wide).
        Raises ValueError when the window does not fit behind the cached tokens.
        """
        window, start = hidden.shape[1], cache.length
        first, last = int(start.min()), int(start.max())
        filled = last + window
        if filled > cache.keys[0].shape[2]:
            raise ValueError(f"the cache holds {cache.keys[0].shape[2]} tokens, but {filled} are needed")
        slots: Tensor | slice = slice(first, filled) if first == last else start[:, None] + torch.arange(window)
        mask = None
        if first != last or valid is not None:
            slot = torch.arange(filled, device=hidden.device)
            visible = slot < (start + window)[:, None]
            if valid is not None:
                inside = torch.ones_like(visible)
                inside.scatter_(1, start[:, None] + torch.arange(window, device=hidden.device), valid)
                own = (slot == start[:, None, None] + torch.arange(window, device=hidden.device)[:, None])[:, None]
                mask = (visible & inside)[:, None, None] | own  # a hidden token still sees itself: no empty rows
            else:
                mask = visible[:, None, None].expand(-1, 1, window, -1)
        cos, sin = self.angles(positions)
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            normed = layer.attention_norm(hidden)
            hidden = hidden + layer.attention.extend(normed, cos, sin, keys, values, slots, mask, filled)
            hidden = layer.attend_condition(hidden, condition)
            hidden = hidden + layer.feed_forward(hidden)
        return self.norm(hidden)
