"""The block transformer while trips are drawn: windows of tokens behind a cache, on a CPU.

The same function as `BlockTransformer.extend` with less to carry about. Trips keep their place in one cache, and a
window is written where it belongs; between the dense layers one loop does what takes several operations of torch
(`block_kernels`). Dense layers always multiply `TOKENS` rows at once: equal shapes give equal rounding, so a trip is
the same whoever else was asked for.

Dimensions: b trips of a cache, r trips of a call, w tokens of a window, c slots, d width.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from torch import Tensor, nn

from suffuse.backbone.models.block_transformer import BlockTransformer, Layer
from suffuse.trajectory.model.block_kernels import add_and_norm, attend, gated

TOKENS = 256
"""Tokens that a dense layer sees together, the last ones padding where there are fewer."""

SLOTS = 64
"""Slots a trip that a new cache has memory for: most trips need no more. It doubles for those that do."""


def dense_type() -> torch.dtype:
    """bfloat16 where this processor multiplies it natively, four times as fast as float32; float32 elsewhere."""
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32


def halves_apart(width: int, heads: int) -> Int[Tensor, " d"]:
    """Channels of all heads in an order that has those a rotary embedding turns together half the width apart."""
    return torch.arange(width).view(heads, 2, -1).transpose(0, 1).flatten()


class _Workspace:
    """What a call computes on the way, for torch and (with an underscore) in the same memory for compiled functions."""

    def __init__(self, room: int, width: int, inner: int, dtype: torch.dtype) -> None:
        self.state = np.zeros((room, width), np.float32)
        self.normed, self.qkv, self.update, self.gate_up, self.inner = made = [
            torch.zeros(room, size, dtype=dtype) for size in (width, 3 * width, width, 2 * inner, inner)
        ]
        self.normed_, self.qkv_, self.update_, self.gate_up_, self.inner_ = (
            (tensor.view(torch.uint16) if dtype == torch.bfloat16 else tensor).numpy() for tensor in made
        )


class WindowCache:
    """Keys and values of trips, layer by layer; how many slots of a trip are in use is for the caller to know.

    Args:
        batch: trips.
        capacity: the most slots that a trip may come to use.
        depth, width, heads: of the transformer.
        base: of its rotary positions.

    """

    def __init__(self, batch: int, capacity: int, *, depth: int, width: int, heads: int, base: float) -> None:
        self.capacity = capacity
        half = width // heads // 2
        angle = (torch.arange(capacity)[:, None] * base ** (-torch.arange(half) / half)).repeat(1, heads)
        self.cos, self.sin = angle.cos().numpy(), angle.sin().numpy()  # of every slot, one head after the other
        shape = (batch, min(capacity, SLOTS), width)
        self.keys: list[Float32[ndarray, "b c d"]] = [np.empty(shape, np.float32) for _ in range(depth)]
        self.values: list[Float32[ndarray, "b c d"]] = [np.empty(shape, np.float32) for _ in range(depth)]

    def make_room(self, slots: int) -> None:
        """Have memory for so many slots a trip. Raises ValueError beyond the capacity."""
        if slots > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} tokens, but {slots} are needed")
        batch, there, width = self.keys[0].shape
        if slots <= there:
            return
        for kept in (self.keys, self.values):
            for layer, old in enumerate(kept):
                kept[layer] = np.empty((batch, min(max(slots, 2 * there), self.capacity), width), np.float32)
                kept[layer][:, :there] = old


@dataclass(frozen=True, kw_only=True, eq=False)
class _Weights:
    """Of one layer, transposed as a product with rows from the left wants them."""

    qkv: Float[Tensor, "d d3"]
    out: Float[Tensor, "d d"]
    gate_up: Float[Tensor, "d g2"]
    down: Float[Tensor, "g d"]
    attention_norm: Float32[ndarray, " d"]
    mlp_norm: Float32[ndarray, " d"]

    @staticmethod
    def of(layer: Layer, order: Int[Tensor, " d"], dtype: torch.dtype) -> "_Weights":
        width = len(order)
        rows = torch.cat([order, width + order, torch.arange(2 * width, 3 * width)])
        attention = layer.attention
        return _Weights(
            qkv=attention.qkv.weight.detach()[rows].to(dtype).T,
            out=attention.out.weight.detach().to(dtype).T,
            gate_up=layer.gate_up.weight.detach().to(dtype).T,
            down=layer.down.weight.detach().to(dtype).T,
            attention_norm=plain(layer.attention_norm.weight),
            mlp_norm=plain(layer.mlp_norm.weight),
        )


def plain(weight: Tensor) -> Float32[ndarray, "..."]:
    """A parameter as an array."""
    return weight.detach().float().numpy()


class CachedBlocks:
    """A `BlockTransformer` without cross-attention, as it is run to draw trips. It does not follow later training.

    Args:
        transformer: the network.
        dtype: of the dense layers, bfloat16 or float32; hidden states and attention are float32 always.

    """

    def __init__(self, transformer: BlockTransformer, dtype: torch.dtype) -> None:
        self.width, self.heads = int(transformer.config["width"]), int(transformer.config["heads"])
        self.base, self.dtype = float(transformer.config["rotary_base"]), dtype
        order = halves_apart(self.width, self.heads)
        self.layers: list[_Weights] = []
        for layer in transformer.layers:
            assert isinstance(layer, Layer)
            self.layers.append(_Weights.of(layer, order, dtype))
        self.norm = plain(transformer.norm.weight)
        self.epsilon = epsilon_of(transformer.norm)
        self._work: dict[int, _Workspace] = {}

    def new_cache(self, batch: int, capacity: int) -> WindowCache:
        """An empty cache for trips of at most `capacity` tokens, window included."""
        return WindowCache(
            batch, capacity, depth=len(self.layers), width=self.width, heads=self.heads, base=self.base
        )  # fmt: skip

    def _workspace(self, room: int) -> _Workspace:
        if room not in self._work:
            self._work[room] = _Workspace(room, self.width, self.layers[0].down.shape[0], self.dtype)
        return self._work[room]

    def trips_at_once(self, window: int) -> int:
        """How many trips a call should have, for no time to be lost on padding."""
        return max(TOKENS // window, 1)

    def extend(
        self,
        hidden: Float32[ndarray, "r w d"],
        cache: WindowCache,
        trips: Int[ndarray, " r"],
        start: Int[ndarray, " r"],
        *,
        seen: Int[ndarray, " r"] | None = None,
        final: Int[ndarray, " r"] | None = None,
    ) -> Float32[ndarray, "r w d"]:
        """A window of tokens behind the first `start` slots of some trips of a cache; each sees those and the window.

        Of the window no token but itself sees one beyond the first `seen`, and the first `final` ones do not see the
        rest. Position 0 is the first slot. Raises ValueError if the window does not fit in the cache.
        """
        count, window, width = hidden.shape
        tokens = count * window
        room = -(-tokens // TOKENS) * TOKENS
        cache.make_room(int(start.max()) + window)
        work = self._workspace(room)
        state = work.state
        state[:tokens] = hidden.reshape(tokens, width)
        work.update_[:] = 0
        ends = np.full(count, window) if seen is None else seen, np.zeros(count, np.int64) if final is None else final
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            add_and_norm(state, work.update_, layer.attention_norm, self.epsilon, work.normed_)
            multiply(work.normed, layer.qkv, work.qkv)
            attend(
                work.qkv_[:tokens], cache.cos, cache.sin, trips, start, *ends, keys, values, self.heads, work.normed_
            )  # fmt: skip
            multiply(work.normed, layer.out, work.update)
            add_and_norm(state, work.update_, layer.mlp_norm, self.epsilon, work.normed_)
            multiply(work.normed, layer.gate_up, work.gate_up)
            gated(work.gate_up_, work.inner_)
            multiply(work.inner, layer.down, work.update)
        out = np.empty_like(state)
        add_and_norm(state, work.update_, self.norm, self.epsilon, out)
        return out[:tokens].reshape(count, window, width)


def epsilon_of(norm: nn.RMSNorm) -> float:
    """What a norm adds to the mean square."""
    return torch.finfo(torch.float32).eps if norm.eps is None else norm.eps


def multiply(rows: Float[Tensor, "t i"], weight: Float[Tensor, "i o"], out: Float[Tensor, "t o"]) -> None:
    """A dense layer, `TOKENS` rows at a time."""
    for first in range(0, len(rows), TOKENS):
        part = slice(first, first + TOKENS)
        torch.mm(rows[part], weight, out=out[part])
