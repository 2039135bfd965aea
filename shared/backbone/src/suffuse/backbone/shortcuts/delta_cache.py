"""Delta-Cache (Delta-DiT, Chen et al. 2024, arXiv 2406.01125): what blocks add changes little from step to step.

What a span of blocks added to the residual streams in one step is added again in the next ones, without running them.
Early in sampling, when outlines form, it is blocks at the rear that are left out, later, when details do, blocks at the
front. The paper keeps the difference of the features behind and before the span, for all streams of a model (image and
text), and so does this; it fixes the number of blocks, while here that number follows from the budget.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

from suffuse.backbone.engine.budget import Spread, check_budget, spread
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, Scope, Shortcut, SiteCall
from suffuse.backbone.engine.spans import Span, SpanCache
from suffuse.backbone.sites import Backbone, Profile, Seen, Site


@dataclass(frozen=True, kw_only=True)
class DeltaCache(Shortcut):
    """Reuse what spans of blocks add to their streams.

    Attributes:
        budget: Share of the full work that a generation may take, in (0, 1].
        turn: Share of the steps after which the front is left out and no longer the rear, in [0, 1].
        interval: Steps from one in which everything runs to the next, at least 2; by default the fewest with which the
            budget can be kept.

    Raises ShortcutError for values outside these ranges, and, once the number of steps is known, for a budget that
    cannot be kept in so few.
    """

    name: ClassVar[str] = "delta-cache"
    scope: ClassVar[Scope] = "block"

    budget: float = 0.6
    turn: float = 0.6
    interval: int | None = None

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if not 0 <= self.turn <= 1:
            raise ShortcutError(f"turn must be in [0, 1], got {self.turn}")
        if self.interval is not None and self.interval < 2:
            raise ShortcutError(f"interval must be at least 2, got {self.interval}")

    @property
    def idle(self) -> bool:
        """Whether everything runs."""
        return self.budget == 1

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """All blocks."""
        sites = backbone.of_kind("block")
        if not sites:
            raise ShortcutError(
                f"{self.name} needs blocks that pass on streams, and a {type(backbone.model).__name__} has none"
                + ("; for a UNet there is feature-inheritance" if backbone.of_kind("stage") else "")
            )
        return sites

    def player(self, backbone: Backbone) -> Player:
        """A player that makes its plan in the second step, when it is known what the blocks cost."""
        return _DeltaPlayer(self)


@dataclass(frozen=True)
class DeltaPlan:
    """What is left out and what is kept, by step.

    Attributes:
        spread: Options by step; option n leaves out n + 1 blocks.
        skipped: The spans left out.
        kept: The spans whose additions are remembered, if they run.
    """

    spread: Spread
    skipped: tuple[tuple[Span, ...], ...]
    kept: tuple[tuple[Span, ...], ...]


def plan_deltas(
    blocks: tuple[Seen, ...], full: float, steps: int, budget: float, *, turn: float, interval: int | None = None
) -> DeltaPlan:
    """Choose how many blocks to leave out in which step: from the rear before `turn` of the steps, then from the front.

    `full` is the work of a whole step. Where a block does not take its streams as the one before gave them, spans end.
    """
    costs = [block.flops if _can_be_left_out(block) else 0.0 for block in blocks]
    turning = turn * steps
    front, rear = list(accumulate(costs)), list(accumulate(costs[::-1]))
    saving = [front if step >= turning else rear for step in range(steps)]
    chosen = spread(saving, full, budget, interval=interval)
    skipped: list[tuple[Span, ...]] = []
    for step, option in enumerate(chosen.options):
        low, high = (0, option + 1) if step >= turning else (len(blocks) - option - 1, len(blocks))
        skipped.append(tuple(spans_between(blocks, low, high)) if option >= 0 else ())
    kept = [set[Span]() for _ in range(steps)]
    wanted: set[Span] = set()
    for step in reversed(range(steps)):
        if chosen.options[step] >= 0:
            wanted |= set(skipped[step])
        else:
            kept[step], wanted = wanted, set()
    return DeltaPlan(chosen, tuple(skipped), tuple(tuple(sorted(spans)) for spans in kept))


def spans_between(blocks: tuple[Seen, ...], low: int, high: int) -> list[Span]:
    """The runs of blocks in [low, high) that pass their streams on untouched. Blocks without streams, and
    such as write into what they are given, are in none."""
    spans: list[Span] = []
    for index in range(low, high):
        if not _can_be_left_out(blocks[index]):
            continue
        if spans and spans[-1][1] == index and blocks[index].chained:
            spans[-1] = (spans[-1][0], index + 1)
        else:
            spans.append((index, index + 1))
    return spans


def _can_be_left_out(block: Seen) -> bool:
    return bool(block.streams.streams) and not block.writes


class _DeltaPlayer(Player):
    def __init__(self, settings: DeltaCache) -> None:
        self._settings = settings
        self._plan: DeltaPlan | None = None
        self._cache = SpanCache()
        self._skipped: dict[int, Span] = {}
        self._kept: dict[int, list[Span]] = {}

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        self._skipped, self._kept = {}, {}
        if profile is None or moment.step == 0:
            return
        if self._plan is None or len(self._plan.skipped) != moment.steps:
            settings = self._settings
            self._plan = plan_deltas(
                profile.of_kind("block"),
                profile.flops,
                moment.steps,
                settings.budget,
                turn=settings.turn,
                interval=settings.interval,
            )
        self._skipped = {index: span for span in self._plan.skipped[moment.step] for index in range(*span)}
        for span in self._plan.kept[moment.step]:
            for index in range(*span):
                self._kept.setdefault(index, []).append(span)
        if self._kept:
            self._cache.forget()

    def around(self, call: SiteCall) -> Any:
        span = self._skipped.get(call.seen.index) if call.seen else None
        if span is not None:
            done, output = self._cache.replay(span, call)
            if done:
                return output
        return call.run()

    def watch(self, call: SiteCall, output: Any) -> None:
        if call.seen is not None and (spans := self._kept.get(call.seen.index)):
            self._cache.keep(spans, call, output)
