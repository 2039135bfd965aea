"""A transformer for block diffusion: bidirectional inside a block, causal across blocks, finished blocks cached.

Block diffusion (Arriola et al. 2025, "BD3-LM") factorises a sequence over blocks and denoises each block given the
clean blocks before it. This module is the network alone, from hidden states to hidden states: what a token is, and how
it is scored, belongs to the model around it (`block_language_model.py` for plain vocabularies).

Dimensions: b batch, n tokens of a call, c slots of the cache, f slots in use, m condition tokens, h heads, d width,
e width of a head.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from suffuse.backbone.models.pretrained import PretrainedModel, register_to_config

Conditioning = Literal["prefix", "cross"]
"""How a condition reaches the tokens: as leading tokens of the sequence, or through cross-attention in every layer."""


@dataclass
class KeyValueCache:
    """Keys and values of the tokens that are final, with room for the window being denoised.

    `length` says how many slots of each sample are final; a window writes behind them and is overwritten by the next
    one until `advance` declares some of its tokens final.
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


@dataclass
class Window:
    """Where the tokens of a call go in the cache of one layer: the slot of each, and how many slots are in use then."""

    keys: Float[Tensor, "b h c e"]
    values: Float[Tensor, "b h c e"]
    slots: Int[Tensor, "b n"] | slice
    filled: int

    def write(
        self, keys: Float[Tensor, "b h n e"], values: Float[Tensor, "b h n e"]
    ) -> tuple[Float[Tensor, "b h f e"], Float[Tensor, "b h f e"]]:
        """Store keys and values of the call; returns those of all slots in use."""
        if isinstance(self.slots, slice):
            self.keys[:, :, self.slots], self.values[:, :, self.slots] = keys, values
        else:
            index = self.slots[:, None, :, None].expand_as(keys)
            self.keys.scatter_(2, index, keys.to(self.keys.dtype))
            self.values.scatter_(2, index, values.to(self.values.dtype))
        return self.keys[:, :, : self.filled], self.values[:, :, : self.filled]


def rotate(
    x: Float[Tensor, "... b h n e"], cos: Float[Tensor, "b 1 n half"], sin: Float[Tensor, "b 1 n half"]
) -> Float[Tensor, "... b h n e"]:
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

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        cos: Float[Tensor, "b 1 n half"],
        sin: Float[Tensor, "b 1 n half"],
        mask: Bool[Tensor, "b 1 n f"] | None,
        window: Window | None,
    ) -> Float[Tensor, "b n d"]:
        """Attend where `mask` is True, among the tokens themselves or, with a `window`, the slots of the cache."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        (q, k), v = rotate(qkv[:2], cos, sin), qkv[2]
        if window is not None:
            k, v = window.write(k, v)
        return self.out(scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Multi-head attention from tokens to condition tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Float[Tensor, "b n d"], condition: Float[Tensor, "b m d"]) -> Float[Tensor, "b n d"]:
        """Attend from every token to all condition tokens."""
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(condition).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


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

    def forward(
        self,
        hidden: Float[Tensor, "b n d"],
        cos: Float[Tensor, "b 1 n half"],
        sin: Float[Tensor, "b 1 n half"],
        mask: Bool[Tensor, "b 1 n f"] | None,
        condition: Float[Tensor, "b m d"] | None,
        window: Window | None = None,
    ) -> Float[Tensor, "b n d"]:
        """One layer; without a `condition` the cross-attention is left out."""
        hidden = hidden + self.attention(self.attention_norm(hidden), cos, sin, mask, window)
        if self.cross is not None and self.cross_norm is not None and condition is not None:
            hidden = hidden + self.cross(self.cross_norm(hidden), condition)
        gate, up = self.gate_up(self.mlp_norm(hidden)).chunk(2, dim=-1)
        return hidden + self.down(silu(gate) * up)


class BlockTransformer(PretrainedModel):
    """Hidden states in, hidden states out; who sees whom is said by a mask (training) or a cache (sampling).

    Args:
        width: channels of a token; a multiple of twice `heads`.
        depth: layers.
        heads: attention heads.
        mlp_width: hidden channels of the gated MLP; 0 for 8/3 of `width`, rounded up to a multiple of 32.
        conditioning: "prefix" if conditions are leading tokens of the sequence (the caller puts them there), "cross" if
            they come as `condition` through cross-attention.
        rotary_base: wavelength base of the rotary position embedding.

    Raises ValueError if `width` is no multiple of twice `heads`, or for an unknown `conditioning`.
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

    def angles(self, positions: Int[Tensor, "b n"]) -> tuple[Float[Tensor, "b 1 n half"], Float[Tensor, "b 1 n half"]]:
        """Cosine and sine of the rotary angle of every position, the angle in float32 whatever the model is."""
        half = self.config["width"] // self.config["heads"] // 2
        frequency = self.config["rotary_base"] ** (-torch.arange(half, device=positions.device) / half)
        angle = positions[:, None, :, None] * frequency
        dtype = self.norm.weight.dtype  # `self.dtype` looks through all modules
        return angle.cos().to(dtype), angle.sin().to(dtype)

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
            hidden = layer(hidden, cos, sin, mask, condition)
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
        final: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """A window of tokens behind the cached ones: each sees all cached tokens of its sample and the whole window.

        `valid` is False for tokens of the window that no other may see (samples with less left than it is wide).
        The first `final` tokens of each sample do not see the rest of the window, so that they may be kept (`advance`)
        whatever becomes of it: finished tokens can be cached in the call that denoises the next ones.
        Raises ValueError when the window does not fit behind the cached tokens.
        """
        window, start = hidden.shape[1], cache.length
        first, last = int(start.min()), int(start.max())
        filled = last + window
        if filled > cache.keys[0].shape[2]:
            raise ValueError(f"the cache holds {cache.keys[0].shape[2]} tokens, but {filled} are needed")
        offset = torch.arange(window, device=hidden.device)
        own = start[:, None] + offset  # the slot of each token of the window
        slots: Tensor | slice = slice(first, filled) if first == last else own
        mask = None
        if first != last or valid is not None or final is not None:
            slot = torch.arange(filled, device=hidden.device)
            seen = slot < (start + window)[:, None]
            if valid is not None:
                seen = seen & torch.ones_like(seen).scatter_(1, own, valid)
            mask = seen[:, None].expand(-1, window, -1)
            if final is not None:
                early, late = offset < final[:, None], slot >= (start + final)[:, None]
                mask = mask & ~(early[:, :, None] & late[:, None])
            if valid is not None:
                mask = mask | (slot == own[..., None])  # a hidden token still sees itself: no empty rows
            mask = mask[:, None]
        cos, sin = self.angles(positions)
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            hidden = layer(hidden, cos, sin, mask, condition, Window(keys, values, slots, filled))
        return self.norm(hidden)
