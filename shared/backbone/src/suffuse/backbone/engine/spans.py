"""Leaving out a span of blocks: what it added to each stream in an earlier step is added again.

A span is a run of blocks that pass their streams on untouched. When it is left out, its first block adds what the whole
span added last time, and the others hand on what they are given, so that one tensor is kept for each stream and span.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from suffuse.backbone.engine.shortcut import SiteCall
from suffuse.backbone.sites.streams import Streams, unpack

Span = tuple[int, int]
"""First block and the one after the last, by their place in the order of calls."""


@dataclass
class _Added:
    """What a span added to each stream, and the extras that its blocks returned."""

    streams: dict[str, Tensor]
    extras: dict[int, dict[int, Any]]
    shapes: dict[str, Any]


class SpanCache:
    """What spans of blocks added when they last ran. Spans may overlap: each is kept by itself."""

    def __init__(self) -> None:
        self._added: dict[Span, _Added] = {}
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
                given = self._given.pop(span)
                added = {
                    stream.argument: values[stream.position] - given[stream.argument] for stream in streams.streams
                }
                shapes = {name: (value.shape, value.dtype, value.device) for name, value in given.items()}
                self._added[span] = _Added(added, self._extras.pop(span), shapes)

    def replay(self, span: Span, call: SiteCall) -> tuple[bool, Any]:
        """The output of a block of a span that is left out; False if the span has to run.

        It has to if it never ran, or with other shapes, or if its first block ran in this call.
        """
        assert call.seen is not None
        index, streams = call.seen.index, call.seen.streams
        if index == span[0]:
            self._replaying = span if self._fits(span, streams, call.arguments) else None
        if self._replaying != span:
            return False, None
        added = self._added[span]
        values: dict[int, Any] = dict(added.extras[index])
        for stream in streams.streams:
            value = call.arguments[stream.argument]
            if index == span[0] and stream.argument in added.streams:
                value = value + added.streams[stream.argument]
            values[stream.position] = value
        return True, streams.pack(values)

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
        return now == self._added[span].shapes
