"""Watching what attention and feed-forward parts give in every step of a generation, without changing anything."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, Scope, Shortcut, SiteCall
from suffuse.backbone.shortcuts.block_adaptive_cache import PartStatistics
from suffuse.backbone.sites import Backbone, Profile, Site


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorder(Shortcut):
    """Collects outputs by generation, branch, part and step, thinned to `features` entries of each output."""

    name: ClassVar[str] = "recorder"
    scope: ClassVar[Scope] = "branch"
    saves: ClassVar[bool] = False

    features: int = 4096
    players: list["RecordingPlayer"] = field(default_factory=list)

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """All attention and feed-forward parts."""
        sites = backbone.of_kind("attention", "feed_forward")
        if not sites:
            raise ShortcutError(f"no attention or feed-forward part is known in a {type(backbone.model).__name__}")
        return sites

    def player(self, backbone: Backbone) -> Player:
        """A player that is remembered in `players`."""
        self.players.append(RecordingPlayer(self.features))
        return self.players[-1]

    def statistics(self) -> tuple[dict[str, PartStatistics], float]:
        """What the parts did, in the order in which they ran, and the operations of a whole call for one sample.

        Raises ShortcutError if nothing was recorded, or generations differ in their number of steps.
        """
        recordings = [player for player in self.players if player.profile is not None and player.outputs]
        if not recordings:
            raise ShortcutError("nothing was recorded: the denoiser was not called twice or more")
        profile = recordings[0].profile
        assert profile is not None
        lengths = {len(outputs) for player in recordings for outputs in player.outputs.values()}
        if len(lengths) > 1:
            raise ShortcutError(f"generations must have one number of steps, got {sorted(lengths)}")
        parts = {}
        for seen in profile.of_kind("attention", "feed_forward"):
            if seen.repeat or seen.site.name in parts:
                continue
            tables = [_tables(player.outputs[seen.site.name]) for player in recordings]
            similarities = np.stack([table for table, _ in tables])
            parts[seen.site.name] = PartStatistics(
                seen.flops,
                similarities.mean(axis=0),
                float(similarities.std(axis=0, ddof=1).mean()) if len(tables) > 1 else 0.0,
                float(np.mean([change for _, change in tables])),
                seen.site.kind == "feed_forward",
            )
        return parts, profile.flops


class RecordingPlayer(Player):
    """The outputs of one branch of one generation, by part, one row for each step."""

    def __init__(self, features: int) -> None:
        self._features = features
        self.profile: Profile | None = None
        self.outputs: dict[str, list[Tensor]] = {}

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        """Remember what is known of the model."""
        self.profile = profile or self.profile

    def watch(self, call: SiteCall, output: Any) -> None:
        """Keep entries at even distances."""
        if not call.repeat:
            flat = torch.cat([tensor.detach().flatten().float() for tensor in _tensors(output)])
            stride = max(1, flat.numel() // self._features)
            self.outputs.setdefault(call.site.name, []).append(flat[::stride].cpu())


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _tables(outputs: list[Tensor]) -> tuple[Float[np.ndarray, "k k"], float]:
    """Cosines of all pairs of rows, and the mean absolute difference over all pairs of different rows."""
    rows = torch.stack(outputs).double()
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    steps, features = rows.shape
    change = torch.cdist(rows, rows, p=1).sum() / max(steps * (steps - 1), 1) / features
    return (unit @ unit.T).numpy(), float(change)
