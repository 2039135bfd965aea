"""Leaving out a span of blocks: what it added to each stream in an earlier step is added again.

A span is a run of blocks that pass their streams on untouched. When it is left out, its first block adds what the whole
span added last time, and the others hand on what they are given, so that one tensor is kept for each stream and span.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from suffuse.backbone.engine.shortcut import SiteCall
from suffuse.backbone.sites.streams import Streams, unpack

Span = tuple[int, int]
"""First block and the one after the last, by their place in the order of calls."""


@dataclass
class _Added:
    """What a span added to each stream in a step, and the extras that its blocks returned."""

    step: int
    streams: dict[str, Tensor]
    extras: dict[int, dict[int, Any]]
    shapes: dict[str, Any]


class SpanCache:
    """What spans of blocks added the last `memory` times they ran. Spans may overlap: each is kept by itself."""

    def __init__(self, memory: int = 1) -> None:
        self._memory = memory
        self._added: dict[Span, deque[_Added]] = {}
        self._given: dict[Span, dict[str, Tensor]] = {}
        self._extras: dict[Span, dict[int, dict[int, Any]]] = {}
        self._replaying: Span | None = None

    def keep(self, spans: list[Span], call: SiteCall, output: Any) -> None:
        """A block has run: remember of it what is needed for these spans, those it is part of."""
        assert call.seen is not None
        index, streams = call.seen.index, call.seen.streams
        for span in spans:
            if span[0] == index:
                self._given[span] = {stream.argument: call.arguments[stream.argument] for stream in streams.streams}
                self._extras[span] = {}
            if span not in self._given:
                continue
            values = unpack(output)
            self._extras[span][index] = {place: values[place] for place in streams.extras}
            if span[1] - 1 == index:
                self._append(span, call.moment.step, self._given.pop(span), streams, values, self._extras.pop(span))

    def keep_whole(
        self, span: Span, step: int, given: dict[str, Any], first: Streams, last: Streams, output: Any
    ) -> None:
        """A span without extras has run in a step: what its first block was given and its last block returned, and the
        streams of both, of which some may have ended in between."""
        taken = {stream.argument: given[stream.argument] for stream in first.streams}
        self._append(span, step, taken, last, unpack(output), {index: {} for index in range(*span)})

    def _append(
        self,
        span: Span,
        step: int,
        given: dict[str, Tensor],
        streams: Streams,
        values: list[Any],
        extras: dict[int, dict[int, Any]],
    ) -> None:
        added = {stream.argument: values[stream.position] - given[stream.argument] for stream in streams.streams}
        shapes = {name: (value.shape, value.dtype, value.device) for name, value in given.items()}
        if span in self._added and self._added[span][-1].shapes != shapes:
            del self._added[span]
        self._added.setdefault(span, deque(maxlen=self._memory)).append(_Added(step, added, extras, shapes))

    def steps(self, span: Span) -> tuple[int, ...]:
        """The steps in which what is kept of a span was added, the last one first."""
        return tuple(added.step for added in reversed(self._added.get(span, ())))

    def newest(self, span: Span) -> list[Tensor]:
        """What a span added to its streams when it last ran."""
        return list(self._added[span][-1].streams.values())

    def replay(self, span: Span, call: SiteCall, weights: Sequence[float] | None = None) -> tuple[bool, Any]:
        """The output of a block of a span that is left out; False if the span has to run.

        It has to if it never ran, or with other shapes, or if its first block ran in this call. What is added is the
        sum of what was kept with `weights`, in the order of `steps`; without them what was kept last.
        """
        assert call.seen is not None
        index, streams = call.seen.index, call.seen.streams
        if index == span[0]:
            self._replaying = span if self._fits(span, streams, call.arguments) else None
        if self._replaying != span:
            return False, None
        newest = self._added[span][-1]
        values: dict[int, Any] = dict(newest.extras[index])
        for stream in streams.streams:
            value = call.arguments[stream.argument]
            if index == span[0] and stream.argument in newest.streams:
                value = value + self._sum(span, stream.argument, weights)
            values[stream.position] = value
        return True, streams.pack(values)

    def _sum(self, span: Span, stream: str, weights: Sequence[float] | None) -> Tensor:
        kept = [added.streams[stream] for added in reversed(self._added[span])]
        if weights is None:
            return kept[0]
        total = weights[0] * kept[0]
        for weight, tensor in zip(weights[1:], kept[1:], strict=False):
            total = total.add(tensor, alpha=weight)
        return total

    def forget(self) -> None:
        """Drop all spans."""
        self._added = {}

    def _fits(self, span: Span, streams: Streams, arguments: dict[str, Any]) -> bool:
        if span not in self._added:
            return False
        now = {
            stream.argument: (value.shape, value.dtype, value.device)
            for stream in streams.streams
            if isinstance(value := arguments[stream.argument], Tensor)
        }
        return now == self._added[span][-1].shapes
