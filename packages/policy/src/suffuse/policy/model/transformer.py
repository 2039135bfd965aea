"""The transformer denoiser of Diffusion Policy (Chi et al. 2023, arXiv:2303.04137, section III-A), written anew.

Every action of the horizon is a token. Tokens attend to themselves and earlier ones, and to a memory of a few more: one
for the time, one for each observation step. The memory's keys and values of all layers come from one linear map, so
that the constant ones cost one matrix product a chunk (`observe`, `embed_time`), however many denoising steps there
are.

Against the published code: an action sees all observation steps (there, only those up to its own moment; all of them
are past when a chunk is carried out), and keys and values of the memory have no layer norm of their own.

Dimensions: b batch, h horizon, a action, o observation steps, c channels of an observation step, k times, d width,
m memory tokens, e width of a head.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from suffuse.backbone.models import PretrainedModel, register_to_config
from suffuse.policy.model.denoiser import exactly, sinusoids


def attend(
    q: Float[Tensor, "b heads n e"],
    k: Float[Tensor, "b heads m e"],
    v: Float[Tensor, "b heads m e"],
    *,
    mask: Float[Tensor, "n m"] | None = None,
    drop: float = 0.0,
) -> Float[Tensor, "b n d"]:
    """Attention to so few tokens that plain products beat the fused kernel, whose backward is slow on a CPU.

    `mask` is added to the logits; `drop` is the share of weights set to zero.
    """
    logits = (q.contiguous() @ k.contiguous().transpose(-1, -2)) * q.shape[-1] ** -0.5
    if mask is not None:
        logits = logits + mask.to(logits.dtype)
    weights = dropout(logits.softmax(dim=-1), drop) if drop else logits.softmax(dim=-1)
    return (weights @ v.contiguous()).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Multi-head attention of action tokens to themselves and, by the mask, earlier ones only."""

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b h d"], mask: Float[Tensor, "h h"] | None) -> Float[Tensor, "b h d"]:
        """The residual branch: normalise, attend, project."""
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(attend(q, k, v, mask=mask, drop=self.dropout if self.training else 0.0))


class CrossAttention(nn.Module):
    """Multi-head attention of action tokens to the memory, whose keys and values come ready made."""

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.q = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b h d"], kv: Float[Tensor, "2 b heads m e"]) -> Float[Tensor, "b h d"]:
        """The residual branch: normalise, attend, project."""
        q = self.q(self.norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.out(attend(q, kv[0], kv[1], drop=self.dropout if self.training else 0.0))


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "b h d"]) -> Float[Tensor, "b h d"]:
        """The residual branch: normalise, widen, bend, narrow."""
        return self.down(gelu(self.up(self.norm(x))))


class Layer(nn.Module):
    """Three residual branches; each is a module of its own, so that a shortcut can keep what it gave."""

    def __init__(self, width: int, heads: int, hidden: int, *, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, dropout=dropout)
        self.cross = CrossAttention(width, heads, dropout=dropout)
        self.mlp = FeedForward(width, hidden)

    def forward(
        self,
        x: Float[Tensor, "b h d"],
        kv: Float[Tensor, "2 b heads m e"],
        mask: Float[Tensor, "h h"] | None,
    ) -> Float[Tensor, "b h d"]:
        """Self-attention, cross-attention, feed-forward."""
        x = x + self.attention(x, mask)
        x = x + self.cross(x, kv)
        return x + self.mlp(x)


class ActionTransformer(PretrainedModel):
    """A transformer decoder over action tokens with time and observation as memory.

    Args:
        action_size: channels a of an action.
        horizon: actions h of a chunk.
        observation_steps: observation steps o that are seen.
        observation_size: channels c of an observation step.
        width: channels d of a token; a multiple of `heads`, and even.
        depth: layers.
        heads: attention heads.
        mlp_ratio: hidden channels of the feed-forward part, as a multiple of `width`.
        dropout: of attention weights, in [0, 1).
        causal: whether an action sees earlier actions only.

    Raises ValueError if `width` is odd or no multiple of `heads`, or `dropout` is outside its range.
    """

    mask: Tensor | None

    @register_to_config
    def __init__(
        self,
        *,
        action_size: int,
        horizon: int,
        observation_steps: int,
        observation_size: int,
        width: int = 256,
        depth: int = 8,
        heads: int = 4,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        causal: bool = True,
    ) -> None:
        super().__init__()
        if width % heads or width % 2:
            raise ValueError(f"width is {width}; it must be even and a multiple of heads ({heads})")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be in [0, 1)")
        self.heads, self.depth = heads, depth
        self.action_in = nn.Linear(action_size, width)
        self.action_place = nn.Parameter(torch.empty(horizon, width))
        self.observation_in = nn.Sequential(nn.Linear(observation_size, width), nn.Mish(), nn.Linear(width, width))
        self.observation_place = nn.Parameter(torch.empty(observation_steps, width))
        self.time_in = nn.Sequential(nn.Linear(width, width), nn.Mish(), nn.Linear(width, width))
        self.memory_norm = nn.LayerNorm(width)
        self.memory = nn.Linear(width, depth * 2 * width)
        hidden = int(mlp_ratio * width)
        self.layers = nn.ModuleList(Layer(width, heads, hidden, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.action_out = nn.Linear(width, action_size)
        mask = torch.full((horizon, horizon), -torch.inf).triu(1) if causal else None
        self.register_buffer("mask", mask, persistent=False)
        self._start()

    def _start(self) -> None:
        """Weights of standard deviation 0.02, biases of 0; what ends a residual branch starts smaller still."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for embedder in (self.observation_in, self.time_in):  # few inputs: keep their size
            for module in embedder:
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=module.in_features**-0.5)
        nn.init.normal_(self.action_in.weight, std=self.action_in.in_features**-0.5)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            for last in (layer.attention.out, layer.cross.out, layer.mlp.down):
                nn.init.normal_(last.weight, std=0.02 / (3 * self.depth) ** 0.5)
        nn.init.normal_(self.action_place, std=0.02)
        nn.init.normal_(self.observation_place, std=0.02)

    def observe(self, observation: Float[Tensor, "b o c"]) -> Float[Tensor, "b o n"]:
        """Keys and values of the observation tokens, for all layers."""
        return self.memory(self.memory_norm(exactly(self.observation_in, observation) + self.observation_place))

    def embed_time(self, times: Num[Tensor, " k"]) -> Float[Tensor, "k n"]:
        """Keys and values of the time token at each time, for all layers."""
        return self.memory(self.memory_norm(self.time_in(sinusoids(times, self.config["width"]).to(self.dtype))))

    def denoise(
        self, actions: Float[Tensor, "b h a"], time: Float[Tensor, "#b n"], observed: Float[Tensor, "b o n"]
    ) -> Float[Tensor, "b h a"]:
        """One prediction, from rows of `embed_time` (one for all, or one each) and the result of `observe`."""
        memory = torch.cat([time[:, None].expand(len(observed), -1, -1), observed], dim=1)
        kv = memory.view(*memory.shape[:2], self.depth, 2, self.heads, -1).permute(2, 3, 0, 4, 1, 5)
        x = exactly(self.action_in, actions) + self.action_place
        for layer, own in zip(self.layers, kv, strict=True):
            x = layer(x, own, self.mask)
        return self.action_out(self.norm(x))

    def forward(
        self, actions: Float[Tensor, "b h a"], times: Num[Tensor, " b"], observation: Float[Tensor, "b o c"]
    ) -> Float[Tensor, "b h a"]:
        """The prediction for noisy actions at a time each."""
        return self.denoise(actions, self.embed_time(times), self.observe(observation))
