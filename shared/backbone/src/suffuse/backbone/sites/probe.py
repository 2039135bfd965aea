"""What one forward pass shows of a denoiser: order of its sites, their streams and what they cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn

from suffuse.backbone.sites.backbone import Backbone, Site
from suffuse.backbone.sites.flops import FlopCounter
from suffuse.backbone.sites.interception import Interception, Original
from suffuse.backbone.sites.streams import Streams, bind, streams_of, unpack

PASSING = ("block", "stage")
"""Kinds of sites that hand their outputs on, and between which skip connections lead."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One call of a site in a forward pass.

    Attributes:
        site: The site.
        index: Place in the order of calls among all sites of its kind.
        repeat: 0 for the first call of this module in the pass, 1 for the second, ...
        flops: Floating-point operations of this call for one sample, everything inside included.
        streams: For a block, its streams; none if nothing it takes comes back in the same shape.
        chained: For a block, whether it took its streams just as the block before gave them.
        writes: For a block, whether it writes into the tensors it is given.
    """

    site: Site
    index: int
    repeat: int
    flops: float
    streams: Streams = field(default_factory=lambda: Streams((), 0))
    chained: bool = False
    writes: bool = False


@dataclass(frozen=True, eq=False)
class Skip:
    """A skip connection: a tensor that a block or stage takes from a site that is not just before it.

    Attributes:
        source: The innermost site that returned the tensor: a layer of a UNet's stage, the stage itself, a block.
        target: The block or stage that takes it.
        argument: As which argument, or in which list of tensors.
    """

    source: Site
    target: Site
    argument: str


@dataclass(frozen=True, eq=False)
class Profile:
    """A denoiser as one forward pass showed it, for one shape of its inputs.

    Attributes:
        seen: All calls of sites, in the order in which they began.
        flops: Floating-point operations of the whole pass for one sample.
        skips: The skip connections, in the order in which they end.
    """

    seen: tuple[Seen, ...]
    flops: float
    skips: tuple[Skip, ...] = ()

    def of_kind(self, *kinds: str) -> tuple[Seen, ...]:
        """The calls of sites of these kinds, in order."""
        return tuple(seen for seen in self.seen if seen.site.kind in kinds)


@dataclass
class _Draft:
    site: Site
    repeat: int
    flops: int = 0
    streams: Streams | None = None
    links: dict[str, int] = field(default_factory=dict)
    before: "_Draft | None" = None
    writes: bool = False
    retry: tuple[dict[str, Any], Any] | None = None


class Probe:
    """Watches one forward pass. `around` stands in for each call of a site, `profile` is for afterwards."""

    def __init__(self, flops: FlopCounter) -> None:
        self._flops = flops
        self._drafts: list[_Draft] = []
        self._last: tuple[_Draft, dict[str, Any], Any] | None = None
        self._skips: list[Skip] = []
        self._before: Site | None = None  # the last block or stage that ran
        self._returned: dict[int, tuple[ReferenceType[Tensor], Site, Site]] = {}  # by whom, and in which outer site

    def around(self, site: Site, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the original, and look at what goes in and comes out."""
        repeat = sum(draft.site is site for draft in self._drafts)
        draft = _Draft(site, repeat)
        self._drafts.append(draft)
        arguments = bind(type(site.module), args, kwargs) if site.kind in PASSING else {}
        if site.kind in PASSING:
            self._follow(site, arguments)
        if site.kind == "block":
            self._link(draft, arguments)
        versions = dict(_versions(arguments))
        before = self._flops.total
        output = original(*args, **kwargs)
        draft.flops = self._flops.total - before
        if site.kind == "block":
            draft.writes = versions != dict(_versions(arguments))
            draft.streams = streams_of(site.module, arguments, output, {})
            self._last = (draft, arguments, output)
        for tensor in _tensors(output):
            known = self._returned.get(id(tensor))
            inner = known[1] if known is not None and known[0]() is tensor else site
            self._returned[id(tensor)] = (ref(tensor), inner, site)
        if site.kind in PASSING:
            self._before = site
        return output

    def profile(self, samples: int) -> Profile:
        """What was seen, by the sample."""
        self._last = None
        seen, counts = [], dict.fromkeys((draft.site.kind for draft in self._drafts), 0)
        for draft in self._drafts:
            chained = draft.before is not None and _continues(draft.before, draft)
            streams = draft.streams or Streams((), 0)
            index = counts[draft.site.kind]
            counts[draft.site.kind] += 1
            flops = draft.flops / samples
            seen.append(Seen(draft.site, index, draft.repeat, flops, streams, chained, draft.writes))
        return Profile(tuple(seen), self._flops.total / samples, tuple(self._skips))

    def _follow(self, target: Site, arguments: dict[str, Any]) -> None:
        """Which arguments are the very tensors that a site returned that is not just before `target`."""
        for name, value in arguments.items():
            for tensor in _tensors(value):
                known = self._returned.get(id(tensor))
                if known is not None and known[0]() is tensor and known[2] is not self._before:
                    self._skips.append(Skip(known[1], target, name))

    def _link(self, draft: _Draft, arguments: dict[str, Any]) -> None:
        """Which arguments are the very tensors that the block before returned, and where it returned them."""
        if self._last is None:
            return
        before, its_arguments, its_output = self._last
        places = {id(value): place for place, value in enumerate(unpack(its_output)) if isinstance(value, Tensor)}
        draft.links = {name: places[id(value)] for name, value in arguments.items() if id(value) in places}
        draft.before = before
        if draft.links and set(draft.links) <= set(its_arguments):
            again = streams_of(before.site.module, its_arguments, its_output, draft.links)
            if len(again.streams) >= len(before.streams.streams if before.streams else ()):
                before.streams = again


def _continues(before: _Draft, draft: _Draft) -> bool:
    if before.streams is None or draft.streams is None or not draft.streams.streams:
        return False
    given = {stream.argument: stream.position for stream in before.streams.streams}
    taken = {stream.argument for stream in draft.streams.streams}
    ended = bool(draft.streams.ended)
    same = set(given) == taken or (ended and taken < set(given))
    return same and all(draft.links.get(name) == place for name, place in given.items())


def _versions(arguments: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in arguments.items():
        if isinstance(value, Tensor) and not value.is_inference():
            yield name, value._version


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def probe(backbone: Backbone, *args: Any, **kwargs: Any) -> Profile:
    """Run the denoiser once on these arguments and say what was seen of all its sites. The model is left as it was.

    Numbers per sample are those of one of the first dimension of the first tensor among the arguments.
    """
    watcher = Probe(counter := FlopCounter())
    sites = {id(site.module): site for site in backbone.sites}

    def handler(module: nn.Module, original: Original, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return watcher.around(sites[id(module)], original, args, kwargs)

    interceptions = [Interception(site.module, handler) for site in backbone.sites]
    try:
        with torch.no_grad(), counter:
            backbone.model(*args, **kwargs)
    finally:
        for interception in interceptions:
            interception.remove()
    return watcher.profile(samples_in(bind(type(backbone.model), args, kwargs)))


def samples_in(arguments: Mapping[str, Any]) -> int:
    """How many samples the arguments of a denoiser hold: the first dimension of the first tensor or list of tensors."""
    for value in arguments.values():
        if isinstance(value, Tensor) and value.ndim:
            return int(value.shape[0])
        if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor):
            return len(value)
    return 1
