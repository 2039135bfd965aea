"""The trained part of elastic routing: for each block a small router that looks at the tokens and decides.

Dimensions: r rows (samples, or a multiple of them), n tokens, d features of a token, w widths.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.shortcuts.elastic_width import FeedForwardShape, Neurons, feed_forward_shape
from suffuse.backbone.sites import Backbone, Site

WIDTHS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the hidden neurons of a feed-forward part that a router chooses between."""

WAVES = 4
CONDITIONS = 2 * WAVES + 3
"""Numbers that tell a router of the circumstances, see `conditions`."""

SLACK = 1e-6
"""Shares of work are sums in an order of their own."""

OPEN_AT_FIRST = 0.7
FULL_AT_FIRST = 2.0
HIDDEN = 128


@dataclass(frozen=True)
class Decision:
    """What a router says of each row, before anything is cut off.

    Attributes:
        run: Above 0 the block runs.
        width: The largest is the width of its feed-forward part.
    """

    run: Float[Tensor, " r"]
    width: Float[Tensor, "r w"]


class Router(nn.Module):
    """The router of one block (E-DiT's RouteGate).

    Tokens are normed, shifted and scaled as the circumstances say, go through a linear layer and a ReLU, and are
    averaged; from that and the circumstances a linear layer reads the decision.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.circumstances = nn.Linear(CONDITIONS, hidden)
        self.modulation = nn.Linear(hidden, 2 * width)
        self.inner = nn.Linear(width, hidden)
        self.heads = nn.Linear(2 * hidden, len(WIDTHS) + 1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.normal_(self.heads.weight, std=1e-3)
        with torch.no_grad():
            bias = [math.log(OPEN_AT_FIRST / (1 - OPEN_AT_FIRST)), *[0.0] * (len(WIDTHS) - 1), FULL_AT_FIRST]
            self.heads.bias.copy_(torch.tensor(bias))

    def forward(self, tokens: Float[Tensor, "r n d"], conditions: Float[Tensor, "r c"]) -> Decision:
        """The decision for each row."""
        known = F.silu(self.circumstances(conditions))
        shift, scale = self.modulation(known)[:, None].chunk(2, dim=-1)
        normed = F.layer_norm(tokens.to(scale.dtype), tokens.shape[-1:]) * (1 + scale) + shift
        seen = F.relu(self.inner(normed)).mean(dim=1)
        out = self.heads(torch.cat([seen, known], dim=-1))
        return Decision(out[:, 0], out[:, 1:])

    def flops(self, rows: int, tokens: int) -> float:
        """The work of a call."""
        layers = (self.circumstances, self.modulation, self.heads)
        a_row = sum(layer.in_features * layer.out_features for layer in layers)
        return 2.0 * rows * (a_row + tokens * self.inner.in_features * self.inner.out_features)


def conditions(
    step: int, steps: int, since: Float[Tensor, " r"], change: Float[Tensor, " r"], price: Float[Tensor, " r"]
) -> Float[Tensor, "r c"]:
    """What a router is told beside the tokens.

    Args:
        step: Step of the sampler.
        steps: Their number.
        since: Steps since the block last ran.
        change: By how much the mean token has changed since, as a share of it.
        price: What a full step is worth, see `ElasticRouting`.
    """
    way = torch.arange(1, WAVES + 1, device=since.device) * (math.pi * step / max(steps - 1, 1))
    waves = torch.cat([way.sin(), way.cos()]).expand(len(since), -1)
    said = [torch.log(32 * since / steps), torch.log(change + 1e-4) / 2, torch.log(price) / 2]
    return torch.cat([waves, torch.stack(said, dim=1)], dim=1)


class Routers(nn.Module):
    """The routers of a denoiser, with what is known of the neurons of its feed-forward parts.

    Blocks whose tokens have a width that cannot be told beforehand have none and always run.

    Args:
        model: The denoiser; it is looked at, not kept.
        hidden: Width of the routers, at least 1.
        neurons: From `sort_neurons`, for the parts of `elastic_parts`; without them feed-forward parts are not sorted.

    Raises ShortcutError for a model without blocks, and for a width outside its range.
    """

    def __init__(self, model: nn.Module, hidden: int = HIDDEN, neurons: dict[str, Neurons] | None = None) -> None:
        super().__init__()
        if hidden < 1:
            raise ShortcutError(f"hidden must be at least 1, got {hidden}")
        backbone = Backbone(model)
        self.hidden = hidden
        self.prices: dict[int, tuple[tuple[float, float], ...]] = {}
        """By `reuse`: prices that were tried, rising, and the share of a light step's work that was then spent."""
        self.names = tuple(site.name for site in backbone.of_kind("block"))
        widths = [_token_width(backbone, name) for name in self.names]
        if not any(widths):
            raise ShortcutError(f"routers need blocks of tokens, and a {type(model).__name__} has none")
        self.routers = nn.ModuleDict(
            {_key(name): Router(width, hidden) for name, width in zip(self.names, widths, strict=True) if width}
        )
        for name, (_, shape) in elastic_parts(backbone).items():
            order, mean = torch.arange(shape.hidden), torch.zeros(shape.hidden)
            if neurons is not None:
                order, mean = neurons[name].order, neurons[name].mean
            self.register_buffer(f"{_key(name)}_order", order)
            self.register_buffer(f"{_key(name)}_mean", mean)

    def router(self, block: str) -> Router | None:
        """The router of a block."""
        found = dict(self.routers.items()).get(_key(block))
        assert found is None or isinstance(found, Router)
        return found

    def neurons(self, part: str) -> Neurons:
        """What is known of the neurons of a feed-forward part."""
        return Neurons(self.get_buffer(f"{_key(part)}_order"), self.get_buffer(f"{_key(part)}_mean"))

    def price_for(self, share: float, reuse: int | None = None) -> tuple[float, int]:
        """The price at which light steps take that share of a step's work, between the prices that were tried.

        With it the least `reuse` for which there is one, if none is given: the less a block is skipped in a row, the
        fresher is what is foretold. Raises ShortcutError if nothing was calibrated, or only for others.
        """
        if not self.prices:
            raise ShortcutError(
                "these routers know of no budget; calibrate them by suffuse.backbone.shortcuts.set_prices"
            )
        if reuse is not None and reuse not in self.prices:
            raise ShortcutError(f"reuse must be one of {sorted(self.prices)} with a budget, got {reuse}")
        least, most = 1.0, 0.0
        for one in sorted(self.prices) if reuse is None else [reuse]:
            prices, shares = np.array(self.prices[one]).T
            falling = np.minimum.accumulate(shares)
            if falling[-1] - SLACK <= share <= falling[0] + SLACK:
                return float(np.exp(np.interp(-share, -falling, np.log(prices)))), one
            least, most = min(least, falling[-1]), max(most, falling[0])
        raise ShortcutError(f"light steps can take from {least:.2f} to {most:.2f} of a step's work, got {share:.2f}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as safetensors, weights in half precision."""
        tensors = {
            name: (tensor.half() if tensor.is_floating_point() else tensor.int()).detach().cpu().contiguous()
            for name, tensor in self.state_dict().items()
        }
        about = {"hidden": json.dumps(self.hidden), "prices": json.dumps(self.prices)}
        Path(path).write_bytes(save(tensors, metadata=about))

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: nn.Module) -> "Routers":
        """Read what `save` wrote, for the denoiser that it was trained for.

        Raises ShortcutError, naming the file, for anything else.
        """
        try:
            with safe_open(Path(path), framework="pt") as file:
                told = {name: json.loads(text) for name, text in file.metadata().items()}
                routers = cls(model, int(told["hidden"]))
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                routers.load_state_dict(
                    {name: one.float() if one.is_floating_point() else one.long() for name, one in found.items()}
                )
                routers.prices = {
                    int(reuse): tuple((float(price), float(share)) for price, share in tried)
                    for reuse, tried in told["prices"].items()
                }
        except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ShortcutError(f"{path} holds no routers for a {type(model).__name__}: {error}") from None
        return routers.eval().requires_grad_(False)


def elastic_parts(backbone: Backbone) -> dict[str, tuple[nn.Module, FeedForwardShape]]:
    """The feed-forward part of each block whose neurons can be taken out: the first, where it has several.

    In blocks of two streams that is the part for images; the text's always runs in full, as in E-DiT.
    """
    found: dict[str, tuple[Site, FeedForwardShape]] = {}
    for site in backbone.of_kind("feed_forward"):
        if site.owner not in found and (shape := feed_forward_shape(site.module)) is not None:
            found[site.owner] = (site, shape)
    return {site.name: (site.module, shape) for site, shape in found.values()}


def _token_width(backbone: Backbone, block: str) -> int:
    """Features of a token of a block: what the first linear layer of its attention or feed-forward part takes."""
    for site in backbone.of_kind("attention", "feed_forward"):
        if site.owner == block:
            for part in site.module.modules():
                if isinstance(part, nn.Linear):
                    return part.in_features
    return 0


def _key(name: str) -> str:
    return name.replace(".", "-")
