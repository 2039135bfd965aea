"""The transformer denoiser for inference on a CPU: the same function, in as few operations as it takes.

With some ten tokens a step is a few dozen small products, and what surrounds them costs as much as they do. So, once
for a network: weights are laid out as oneDNN wants them. Once for a list of times: the time token's keys and values.
Once for a chunk: those of the observation tokens. Of cross-attention to so few tokens little is left: its logits are

    (W_q n + b_q) . k = n . (W_q' k) + b_q . k

and its output is the sum of weights times W_o v, so the maps before and after it are folded into keys and values, and
neither is computed again at a step. All of this is exact but for rounding.

Between steps, each residual branch may be kept instead of computed (see `suffuse.policy.model.shortcuts`).

Dimensions: b batch, h horizon, a action, o observation steps, c channels of an observation step, d width, k steps,
l layers, n heads, m memory tokens, the time's first, e width of a head, r rows of a product.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

from suffuse.policy.model.transformer import ActionTransformer, Layer

PARTS = 3
"""Residual branches of a layer: self-attention, cross-attention, feed-forward, in this order."""

Due = Sequence[bool]
"""For each residual branch, whether it is computed in a step, or else what it gave last is taken again."""

ONEDNN: bool = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]
"""Whether this build of torch has oneDNN's products, which torch.compile uses too."""

_packed: WeakKeyDictionary[ActionTransformer, "PackedTransformer"] = WeakKeyDictionary()


def fits(network: object) -> bool:
    """Whether a network can be packed: a transformer that rests, in float32 on a CPU."""
    if not isinstance(network, ActionTransformer) or network.training:
        return False
    weight = network.action_out.weight
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def packed(network: ActionTransformer) -> "PackedTransformer":
    """The packed form of a network, made anew where its weights have changed since."""
    found = _packed.get(network)
    if found is None or found.stamp != _stamp(network):
        found = _packed[network] = PackedTransformer(network)
    return found


def _stamp(network: ActionTransformer) -> tuple[tuple[int, int], ...]:
    """Where the weights are, and how often each was written to."""
    return tuple(
        (weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in network.parameters()
    )


class PackedLinear:
    """An affine map for rows of float32, with a GELU after it if asked for; by oneDNN where torch has it."""

    def __init__(self, weight: Float[Tensor, "y x"], bias: Float[Tensor, " y"], *, bend: bool = False) -> None:
        self._weight, self._bias, self._bend = weight.detach(), bias.detach(), bend
        self._call: Any = None
        if ONEDNN:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight.contiguous(), None)
            self._call = torch.ops.mkldnn._linear_pointwise.default
        self._after: tuple[str, list[float], str] = ("gelu", [], "none") if bend else ("none", [], "")

    def __call__(self, x: Float[Tensor, "r x"]) -> Float[Tensor, "r y"]:
        """The map of every row."""
        if self._call is not None:
            return self._call(x, self._weight, self._bias, *self._after)
        y = linear(x, self._weight, self._bias)
        return gelu(y) if self._bend else y


class _PackedLayer:
    """The maps of one layer that are left, and its norms as (weight, bias, epsilon)."""

    def __init__(self, layer: Layer) -> None:
        self.norms = [
            (part.norm.weight.detach(), part.norm.bias.detach(), part.norm.eps)
            for part in (layer.attention, layer.cross, layer.mlp)
        ]
        self.qkv = PackedLinear(layer.attention.qkv.weight, layer.attention.qkv.bias)
        self.out = PackedLinear(layer.attention.out.weight, layer.attention.out.bias)
        self.up = PackedLinear(layer.mlp.up.weight, layer.mlp.up.bias, bend=True)
        self.down = PackedLinear(layer.mlp.down.weight, layer.mlp.down.bias)


class PackedTransformer:
    """An `ActionTransformer` as it is when this is made."""

    @torch.inference_mode()
    def __init__(self, network: ActionTransformer) -> None:
        self.stamp = _stamp(network)
        self.depth, self.heads = network.depth, network.heads
        self.causal = network.mask is not None
        layers = [layer for layer in network.layers if isinstance(layer, Layer)]
        self.layers = [_PackedLayer(layer) for layer in layers]
        scale = (network.action_out.in_features // self.heads) ** -0.5
        into = torch.stack([layer.cross.q.weight for layer in layers]) * scale  # l (n e) d
        self.into = into.view(self.depth, self.heads, -1, into.shape[-1])  # l n e d
        bias = torch.stack([layer.cross.q.bias for layer in layers]) * scale
        self.into_bias = bias.view(self.depth, self.heads, -1, 1)  # l n e 1
        out = torch.stack([layer.cross.out.weight.t() for layer in layers])  # l (n e) d
        self.out = out.view(self.depth, self.heads, -1, out.shape[-1])  # l n e d
        # The weights of a head add up to 1, so each head carries its share of the output's bias.
        self.out_bias = torch.stack([layer.cross.out.bias for layer in layers])[:, None, None] / self.heads
        self.start = (network.action_place + network.action_in.bias).detach()
        self.action_in = network.action_in.weight.detach().t().contiguous()
        self.norm = (network.norm.weight.detach(), network.norm.bias.detach(), network.norm.eps)
        self.action_out = network.action_out.weight.detach().t().contiguous()
        self.action_out_bias = network.action_out.bias.detach()
        self._times: tuple[tuple[float, ...], tuple[Tensor, Tensor]] | None = None

    def fold(self, memory: Float[Tensor, "t w"]) -> tuple[Float[Tensor, "l n t 1"], Float[Tensor, "2 l n t d"]]:
        """Of memory tokens t, as `observe` and `embed_time` give them: what they add to logits, and (W_q' k, W_o v)."""
        kv = memory.view(-1, self.depth, 2, self.heads, self.into.shape[2]).permute(2, 1, 3, 0, 4)  # 2 l n t e
        keys, values = kv[0].contiguous(), kv[1].contiguous()
        return keys @ self.into_bias, torch.stack([keys @ self.into, values @ self.out + self.out_bias])

    def begin(
        self, network: ActionTransformer, observation: Float[Tensor, "b o c"], times: Num[Tensor, " k"]
    ) -> "PackedChunk":
        """A chunk for each observation, before its first step. `network` must be the one that this was made of."""
        key = tuple(times.tolist())
        if self._times is None or self._times[0] != key:
            self._times = key, self.fold(network.embed_time(times))
        return PackedChunk(self, self._times[1], self.fold(network.observe(observation).flatten(0, 1)), observation)


class PackedChunk:
    """Chunks under way side by side: keys and values folded, and what residual branches gave last."""

    def __init__(
        self,
        model: PackedTransformer,
        times: tuple[Float[Tensor, "l n k 1"], Float[Tensor, "2 l n k d"]],
        seen: tuple[Float[Tensor, "l n t 1"], Float[Tensor, "2 l n t d"]],
        observation: Float[Tensor, "b o c"],
    ) -> None:
        self._model, self._times = model, times
        batch, steps = observation.shape[:2]
        depth, heads, width = model.depth, model.heads, model.start.shape[1]
        self._batch = batch
        # Tokens in the order that products want: m, the time's first, last but one.
        self._logit = torch.empty(depth, batch, 1, heads, steps + 1)
        self._kv = torch.empty(depth, 2, batch, heads, steps + 1, width)
        self._logit[:, :, 0, :, 1:] = seen[0].view(depth, heads, batch, steps).transpose(1, 2)
        self._kv[..., 1:, :] = seen[1].view(2, depth, heads, batch, steps, width).permute(1, 0, 3, 2, 4, 5)
        self._time_logit, self._time_kv = self._logit[:, :, 0, :, 0], self._kv[..., 0, :]
        size = heads * (steps + 1)
        self._cross = [
            (self._logit[i].view(batch, 1, size), kv[0].transpose(1, 2), kv[1])
            for i, kv in ((i, self._kv[i].view(2, batch, size, width)) for i in range(depth))
        ]
        self._start = model.start.repeat(batch, 1)
        self._kept: list[Tensor | None] = [None] * (PARTS * depth)
        self._all_kept: Tensor | None = None

    def denoise(self, x: Float[Tensor, "b h a"], number: int, due: Due | None = None) -> Float[Tensor, "b h a"]:
        """What the network finds in noisy actions at step `number`.

        Args:
            x: noisy actions.
            number: of the step, as the times were given.
            due: which residual branches are computed; None for all, of which nothing is kept then.
        """
        model = self._model
        y = torch.addmm(self._start, x.flatten(0, 1), model.action_in)
        if due is None or any(due):
            self._set_time(number)
            y = self._through(y, due)
        else:
            if self._all_kept is None:
                self._all_kept = torch.stack([kept for kept in self._kept if kept is not None]).sum(dim=0)
            y.add_(self._all_kept)
        weight, bias, epsilon = model.norm
        y = torch.layer_norm(y, weight.shape, weight, bias, epsilon)
        return torch.addmm(model.action_out_bias, y, model.action_out).view(x.shape)

    def _set_time(self, number: int) -> None:
        logit, kv = self._times
        self._time_logit.copy_(logit[:, None, :, number, 0])
        self._time_kv.copy_(kv[:, :, :, number].transpose(0, 1)[:, :, None])

    def _through(self, y: Float[Tensor, "r d"], due: Due | None) -> Float[Tensor, "r d"]:
        """All layers, each branch computed or as it was kept."""
        for place, layer in enumerate(self._model.layers):
            for part, branch in enumerate((self._attend, self._look, self._feed)):
                at = PARTS * place + part
                if due is None:
                    y = branch(y, layer, place).add_(y)
                    continue
                kept = self._kept[at]
                if due[at] or kept is None:
                    self._kept[at] = kept = branch(y, layer, place)
                    self._all_kept = None
                y = y + kept
        return y

    def _attend(self, y: Float[Tensor, "r d"], layer: _PackedLayer, place: int) -> Float[Tensor, "r d"]:
        """Self-attention."""
        del place
        weight, bias, epsilon = layer.norms[0]
        qkv = layer.qkv(torch.layer_norm(y, weight.shape, weight, bias, epsilon))
        q, k, v = qkv.view(self._batch, -1, 3, self._model.heads, weight.shape[0] // self._model.heads).permute(
            2, 0, 3, 1, 4
        )
        heads = scaled_dot_product_attention(q, k, v, is_causal=self._model.causal)
        return layer.out(heads.transpose(1, 2).reshape(y.shape))

    def _look(self, y: Float[Tensor, "r d"], layer: _PackedLayer, place: int) -> Float[Tensor, "r d"]:
        """Cross-attention."""
        weight, bias, epsilon = layer.norms[1]
        normal = torch.layer_norm(y, weight.shape, weight, bias, epsilon).view(self._batch, -1, weight.shape[0])
        offset, keys, values = self._cross[place]
        logits = torch.baddbmm(offset, normal, keys)
        weights = logits.view(*logits.shape[:2], self._model.heads, -1).softmax(dim=-1)
        return torch.bmm(weights.view(logits.shape), values).view(y.shape)

    def _feed(self, y: Float[Tensor, "r d"], layer: _PackedLayer, place: int) -> Float[Tensor, "r d"]:
        """Feed-forward."""
        del place
        weight, bias, epsilon = layer.norms[2]
        return layer.down(layer.up(torch.layer_norm(y, weight.shape, weight, bias, epsilon)))
