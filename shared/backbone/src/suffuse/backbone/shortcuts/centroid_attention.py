"""Centroid attention (SVG-EAR, arXiv 2603.08982) inside the attention modules of any transformer.

Where a module attends from many tokens to the same tokens, `clustered_attention` takes the place of torch's attention
kernel: after projections, norms and rotary positions, which stay the model's own. Cross-attention, masked attention and
short sequences stay as they are, and so does text that attends jointly with the image: its queries meet all keys, and
all queries meet its keys. Clusters are renewed every few steps, starting from those there are.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from suffuse.backbone.engine.budget import check_budget
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, Scope, Shortcut, SiteCall
from suffuse.backbone.shortcuts.clustered_attention import Centroids, Routing, clustered_attention
from suffuse.backbone.sites import Backbone, Profile, Site


@dataclass(frozen=True, kw_only=True)
class CentroidAttention(Shortcut):
    """Attend to most tokens through the centroids of their clusters.

    Attributes:
        budget: Share of the full work that a generation may take, in (0, 1]; the density follows from it.
        density: Share of the pairs of tokens that are exact, in [0, 1]; instead of a budget, which then must be None.
        query_tokens: Tokens to a cluster of queries, on average.
        key_tokens: Tokens to a cluster of keys.
        iterations: Rounds of clustering at a time.
        refresh: Steps from one clustering to the next; in between tokens stay in their clusters.
        least_tokens: Shorter sequences are left alone.
        routing: Whether pairs of clusters are chosen by the error of the centroid or by the score.
        text: Where text stands in sequences that image and text form together: "first" as in Flux, "last" as in SD3.

    Raises ShortcutError for values outside these ranges.
    """

    name: ClassVar[str] = "centroid-attention"
    scope: ClassVar[Scope] = "attention"

    budget: float | None = None
    density: float | None = None
    query_tokens: int = 256
    key_tokens: int = 64
    iterations: int = 2
    refresh: int = 3
    least_tokens: int = 1024
    routing: Routing = "error"
    text: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        if (self.budget is None) == (self.density is None):
            raise ShortcutError("centroid-attention needs either a budget or a density")
        if self.budget is not None:
            check_budget(self.budget)
        if self.density is not None and not 0 <= self.density <= 1:
            raise ShortcutError(f"density must be in [0, 1], got {self.density}")
        for name in ("query_tokens", "key_tokens", "iterations", "refresh", "least_tokens"):
            if getattr(self, name) < 1:
                raise ShortcutError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def idle(self) -> bool:
        """Whether all attention is exact."""
        return self.budget == 1 or self.density == 1

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """The attention modules."""
        sites = backbone.of_kind("attention")
        if not sites:
            raise ShortcutError(f"no attention module is known in a {type(backbone.model).__name__}")
        return sites

    def player(self, backbone: Backbone) -> Player:
        """A player with no clusters; if it has a budget, it measures the dense attention in the second step."""
        return _CentroidPlayer(self)


class _CentroidPlayer(Player):
    def __init__(self, settings: CentroidAttention) -> None:
        self._settings = settings
        self._centroids: dict[tuple[str, int], tuple[int, Centroids]] = {}  # and the step they are of
        self._work = 0.0  # of a whole call of the denoiser
        self._dense = 0.0  # of it, in attention that can be sparse
        self._asked = False
        self._share: float | None = None if settings.density is None else -1.0

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        settings = self._settings
        if settings.budget is None or profile is None or moment.step == 0:
            return
        self._work = profile.flops * moment.samples
        if self._share is None and self._asked and moment.step > 1:
            # What the sparse steps may spend on attention: the first two and the last step are dense.
            light = moment.steps - 3
            saving = (1 - settings.budget) * self._work * moment.steps
            self._share = 1 - saving / (light * self._dense) if light > 0 and self._dense else -1.0
            if not 0 < self._share < 1:
                least = 1 - max(light, 0) * self._dense / (moment.steps * self._work)
                if not self._dense:
                    raise ShortcutError(
                        f"budget {settings.budget} cannot be reached: no attention is among at least"
                        f" {settings.least_tokens} tokens without a mask, so that none can be left out"
                    )
                raise ShortcutError(
                    f"budget {settings.budget} cannot be reached: attention among many tokens is"
                    f" {self._dense / self._work:.0%} of the work; the least is above {least:.2f}"
                )

    def around(self, call: SiteCall) -> Any:
        self._asked = True
        with _Replacement(self, call):
            return call.run()

    def attend(self, call: SiteCall, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor | None:
        """Attention of all heads, or None if it has to be dense."""
        settings = self._settings
        samples, heads, tokens, features = query.shape
        dense = 4.0 * samples * heads * tokens**2 * features
        if self._share is None:
            self._dense += dense
            return None
        text = _text_tokens(call, tokens)
        image = slice(text, tokens) if settings.text == "first" else slice(0, tokens - text)
        count = tokens - text
        clusters = (max(1, count // settings.query_tokens), max(1, count // settings.key_tokens))
        density = settings.density
        if density is None:
            fixed = self._fixed_share(count, clusters)
            density = (self._share - fixed) / (1 - clusters[1] / count)
            if not 0 <= density <= 1:
                raise ShortcutError(f"budget {settings.budget} leaves {density:.3f} of the pairs, must be in [0, 1]")
        query, key, value = (part.flatten(0, 1) for part in (query, key, value))
        step = call.moment.step
        since, start = self._centroids.get((call.site.name, call.repeat), (step, None))
        if start is not None and start.query.shape != (len(query), clusters[0], features):
            since, start = step, None
        keep = start is not None and step - since < settings.refresh
        output, centroids, work = clustered_attention(
            query, key, value, density=density, clusters=clusters, scale=scale, iterations=settings.iterations,
            routing=settings.routing, start=start, keep=keep, image=image,
        )  # fmt: skip
        self._centroids[call.site.name, call.repeat] = (since if keep else step, centroids)
        call.save(dense - work.attention)
        call.spend(work.overhead)
        return output.view(samples, heads, tokens, features)

    def _fixed_share(self, tokens: int, clusters: tuple[int, int]) -> float:
        """Operations that do not depend on the density, as a share of dense attention."""
        sampled = len(range(0, tokens, 4))
        clustering = 2.0 * (tokens + self._settings.iterations * sampled) * sum(clusters) / self._settings.refresh
        routing = 2.0 * clusters[0] * (clusters[1] + (2 * tokens if self._settings.routing == "error" else 0))
        return (clustering + routing) / (4.0 * tokens**2) + clusters[1] / tokens


class _Replacement(TorchFunctionMode):
    """While it is entered, torch's attention kernel is `player.attend` where that is willing."""

    def __init__(self, player: _CentroidPlayer, call: SiteCall) -> None:
        super().__init__()
        self._player, self._call = player, call

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            output = self._sparse(*args, **(kwargs or {}))
            if output is not None:
                return output
        return func(*args, **(kwargs or {}))

    def _sparse(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **_: Any,
    ) -> Tensor | None:
        tokens = query.shape[-2]
        if attn_mask is not None or is_causal or dropout_p or query.ndim != 4 or query.shape != key.shape:
            return None
        if value.shape != key.shape or tokens < self._player._settings.least_tokens:
            return None
        with torch._C.DisableTorchFunction():
            return self._player.attend(
                self._call, query, key, value, scale if scale is not None else query.shape[-1] ** -0.5
            )


def _text_tokens(call: SiteCall, tokens: int) -> int:
    """How many of the tokens are text that came in as a stream of its own."""
    text, image = call.arguments.get("encoder_hidden_states"), call.arguments.get("hidden_states")
    if isinstance(text, Tensor) and isinstance(image, Tensor) and text.ndim == image.ndim == 3:
        return text.shape[1] if text.shape[1] + image.shape[1] == tokens else 0
    return 0
