"""Watching all blocks of a model and keeping what its longest spans add, from the first step on."""

from typing import Any

from torch import Tensor

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, SiteCall
from suffuse.backbone.engine.spans import Span, SpanCache
from suffuse.backbone.shortcuts.delta_cache import spans_between
from suffuse.backbone.sites import Backbone, Profile, Site
from suffuse.backbone.sites.streams import unpack


def blocks_of(backbone: Backbone, name: str) -> tuple[Site, ...]:
    """The blocks of a model. Raises ShortcutError if it has none."""
    sites = backbone.of_kind("block")
    if not sites:
        hint = "; for a UNet there is feature-inheritance" if backbone.of_kind("stage") else ""
        raise ShortcutError(
            f"{name} needs blocks that pass on streams, and a {type(backbone.model).__name__} has none{hint}"
        )
    return sites


class _FirstStep:
    """What went in and came out at the ends of runs of blocks in the first step, of which no profile is known yet.

    A block goes on with a run if it is given a tensor that the block before returned.
    """

    def __init__(self) -> None:
        self.step = -1
        self._count = 0
        self._ends: list[tuple[int, dict[str, Any], int, Any]] = []

    def step_is_over(self, step: int) -> bool:
        """Whether `step`, which begins, is not the first."""
        if self.step == -1:
            self.step = step
        return step != self.step

    def note(self, call: SiteCall, output: Any) -> None:
        """A block has run."""
        index, self._count = self._count, self._count + 1
        if self._ends:
            low, given, _, returned = self._ends[-1]
            passed = {id(value) for value in unpack(returned) if isinstance(value, Tensor)}
            if any(id(value) in passed for value in call.arguments.values()):
                self._ends[-1] = (low, given, index, output)
                return
        self._ends.append((index, call.arguments, index, output))

    def ends(self, span: Span) -> tuple[dict[str, Any], Any] | None:
        """What the first block of a span was given and the last returned, if a run was just that."""
        return next(((given, out) for low, given, high, out in self._ends if (low, high + 1) == span), None)


class SpanPlayer(Player):
    """Keeps what each of the longest spans of blocks added in the last steps in which it ran, the first included.

    Attributes:
        cache: Where it is kept.
        spans: The span that a block is part of, by the block's place in the order; empty before the second step.
        kept: The spans of each block that are remembered.
    """

    def __init__(self, memory: int) -> None:
        self.cache = SpanCache(memory)
        self.spans: dict[int, Span] = {}
        self.kept: dict[int, list[Span]] = {}
        self._first: _FirstStep | None = _FirstStep()

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        """In the second step: find the spans of the model, and take over what was seen in the first."""
        if self._first is None or not self._first.step_is_over(moment.step) or profile is None:
            return
        blocks = profile.of_kind("block")
        for span in spans_between(blocks, 0, len(blocks)):
            self.spans |= dict.fromkeys(range(*span), span)
            ends = self._first.ends(span)
            first, last = (blocks[index].streams for index in (span[0], span[1] - 1))
            if ends is not None and not any(blocks[index].streams.extras for index in range(*span)):
                self.cache.keep_whole(span, self._first.step, ends[0], first, last, ends[1])
        self.kept = {index: [span] for index, span in self.spans.items()}
        self._first = None

    def watch(self, call: SiteCall, output: Any) -> None:
        """A block has run."""
        if self._first is not None:
            self._first.note(call, output)
        elif call.seen is not None and (spans := self.kept.get(call.seen.index)):
            self.cache.keep(spans, call, output)
