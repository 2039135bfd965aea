"""One denoiser in one session: who is asked at which site, and what it came to."""

import functools
from collections.abc import Hashable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from suffuse.backbone.engine.clock import Clock
from suffuse.backbone.engine.compose import compose
from suffuse.backbone.engine.errors import SessionError
from suffuse.backbone.engine.ledger import Ledger, Stopwatch
from suffuse.backbone.engine.shortcut import Moment, Player, Shortcut, SiteCall
from suffuse.backbone.sites import Backbone, FlopCounter, Probe, Profile, Seen, Site
from suffuse.backbone.sites.interception import Original
from suffuse.backbone.sites.probe import samples_in
from suffuse.backbone.sites.streams import bind

Signature = tuple[Any, ...]
_Given = dict[tuple[str, int, tuple[int, ...]], StorageWeakRef]


# What was measured of a model, for the sites that were watched, outlives sessions: it costs a few per cent of a step.
_measured: WeakKeyDictionary[nn.Module, dict[Hashable, dict[Signature, Profile]]] = WeakKeyDictionary()


class _Call:
    """A call of the denoiser under way."""

    def __init__(self, moment: Moment, players: list[Player], profile: Profile | None) -> None:
        self.moment, self.players, self.profile = moment, players, profile
        self.counter = FlopCounter()
        self.probe = Probe(self.counter) if profile is None else None
        self.repeats: dict[int, int] = {}
        self.saved = self.overhead = 0.0
        self.skipped_any = False
        self.share = 1.0
        """Of the samples, how many go into the sites that are under way: an outer one may have been run for some."""


class Track:
    """What a session knows of one denoiser. All state of its shortcuts hangs here."""

    def __init__(self, backbone: Backbone, shortcuts: tuple[Shortcut, ...], clock: Clock, ledger: Ledger) -> None:
        self.backbone, self.shortcuts = backbone, compose(backbone, shortcuts)
        self._clock, self._ledger = clock, ledger
        self.sites: dict[int, Site] = {}
        self._asked: dict[int, list[int]] = {}
        for number, shortcut in enumerate(self.shortcuts):
            for site in shortcut.sites(backbone):
                self.sites[id(site.module)] = site
                self._asked.setdefault(id(site.module), []).append(number)
        self._profiles = _profiles_of(backbone.model, tuple(self.sites.values()))
        self._current: dict[tuple[int, int], Seen] = {}
        self._seen = {signature: _by_call(profile) for signature, profile in self._profiles.items()}
        self._players: dict[int, list[Player]] = {}
        self._given: dict[int, _Given] = {}
        self._faithful: set[int] = set()
        self._generation = -1
        self._step, self._free = -1, set[int]()
        self._call: _Call | None = None

    def enter(self, module: nn.Module, original: Original, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Stand in for a call of the denoiser or of one of its sites."""
        if module is self.backbone.model:
            return self._model_called(original, args, kwargs)
        if self._call is None:  # somebody calls a block by itself
            return original(*args, **kwargs)
        return self._site_called(self._call, self.sites[id(module)], original, args, kwargs)

    def forget(self) -> None:
        """Drop what players remember; the next call begins a generation."""
        self._players, self._given, self._faithful, self._generation = {}, {}, set(), -1

    # --------------------------------------------------------------------------------------- the denoiser

    def _model_called(self, original: Original, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._call is not None:
            raise SessionError("a session serves one thread at a time; open one for each thread")
        arguments = bind(type(self.backbone.model), args, kwargs)
        samples = samples_in(arguments)
        signature = _signature(arguments, samples)
        moment = self._moment(arguments, samples, signature)
        call = _Call(moment, self._players[moment.branch], self._profiles.get(signature))
        self._call, stopwatch = call, Stopwatch()
        try:
            for player in call.players:
                player.begin(moment, call.profile)
            if call.probe is None:
                output = original(*args, **kwargs)
            else:
                with call.counter:
                    output = original(*args, **kwargs)
                self._learn(signature, call.probe.profile(samples), moment)
            for player in call.players:
                player.end()
        except BaseException:
            self.forget()  # a half-run step must leave nothing behind
            raise
        finally:
            self._call = None
        stopwatch.stop()
        full = self._profiles[signature].flops * samples
        plain = call.probe is None and not call.skipped_any and not call.overhead
        self._ledger.generations.add(self._generation)
        self._ledger.call(
            moment.step, full=full, run=full - call.saved, overhead=call.overhead, clock=stopwatch, plain=plain
        )
        return output

    def _learn(self, signature: Signature, profile: Profile, moment: Moment) -> None:
        for seen in profile.seen:
            full = seen.flops * moment.samples
            self._ledger.site(seen.site.name, full=full, run=full, overhead=0.0, ran=1.0)
        self._profiles[signature] = profile
        self._current = self._seen[signature] = _by_call(profile)

    def _moment(self, arguments: Mapping[str, Any], samples: int, signature: Signature) -> Moment:
        step = self._clock.tick()
        if self._clock.generation != self._generation:
            self._players, self._given, self._faithful = {}, {}, set()
            self._generation, self._step = self._clock.generation, -1
        if step != self._step:
            self._step, self._free = step, set(self._players)
        branch = self._branch(_tensors_given(arguments))
        first = branch not in self._players
        if first:
            self._players[branch] = [shortcut.player(self.backbone) for shortcut in self.shortcuts]
        known = signature in self._profiles
        if known:
            self._current = self._seen.setdefault(signature, _by_call(self._profiles[signature]))
        must_run = first or not known or step in (0, self._clock.steps - 1)
        return Moment(step, self._clock.steps, branch, samples, must_run)

    def _branch(self, given: _Given) -> int:
        """Which branch a call is: of those not yet called in this step the one that was last given the same tensors.

        So branches stay apart even when one is left out in some steps, or comes in late. A branch that used to get
        some tensors again is not taken for one that gets none of them. Where nothing is given twice, it is the order.
        """
        overlap = {branch: _in_common(self._given[branch], given) for branch in self._free}
        fitting = [branch for branch in self._free if overlap[branch] or branch not in self._faithful]
        branch = min(fitting, key=lambda one: (-overlap[one], one), default=len(self._players))
        if overlap.get(branch):
            self._faithful.add(branch)
        self._free.discard(branch)
        self._given[branch] = given
        return branch

    # ------------------------------------------------------------------------------------------- its sites

    def _site_called(
        self, call: _Call, site: Site, original: Original, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        key = id(site.module)
        repeat = call.repeats.get(key, 0)
        call.repeats[key] = repeat + 1
        players = [call.players[number] for number in self._asked[key]]
        if call.probe is not None:
            output = call.probe.around(site, original, args, kwargs)
            watched = SiteCall(site, repeat, call.moment, args, kwargs, None, original, _nobody)
            for player in players:
                player.watch(watched, output)
            return output
        seen = self._current.get((key, repeat))
        meeting = _Meeting(players, original, site, repeat, call, seen)
        output = meeting.hold(0, args, kwargs)
        if seen is not None:
            self._account(call, seen, meeting)
        return output

    def _account(self, call: _Call, seen: Seen, meeting: "_Meeting") -> None:
        full = seen.flops * call.moment.samples * call.share
        saved = full * (1 - meeting.ran) + meeting.saved
        call.saved += saved
        call.overhead += meeting.overhead
        call.skipped_any |= saved > 0
        self._ledger.site(seen.site.name, full=full, run=full - saved, overhead=meeting.overhead, ran=meeting.ran)


class _Meeting:
    """The players of one call of a site, outermost first, and the module itself innermost."""

    def __init__(
        self, players: list[Player], original: Original, site: Site, repeat: int, under: _Call, seen: Seen | None
    ) -> None:
        self._players, self._original, self._under = players, original, under
        self._site, self._repeat, self._moment, self._seen = site, repeat, under.moment, seen
        self._whole: SiteCall | None = None
        self.ran = self.saved = self.overhead = 0.0

    def hold(self, level: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What comes out of the players from `level` inwards."""
        if level == len(self._players):
            share, outer = self._share(args, kwargs), self._under.share
            self.ran += share
            self._under.share = outer * share
            try:
                return self._original(*args, **kwargs)
            finally:
                self._under.share = outer
        call = SiteCall(
            self._site,
            self._repeat,
            self._moment,
            args,
            kwargs,
            self._seen,
            functools.partial(self.hold, level + 1),
            self._players[level].watch,
        )
        self._whole = self._whole or call
        output = call.run() if self._moment.must_run else self._players[level].around(call)
        self.saved += call.saved
        self.overhead += call.overhead
        return output

    def _share(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
        if self._whole is None or (args is self._whole.args and kwargs is self._whole.kwargs):
            return 1.0
        return SiteCall(
            self._site, self._repeat, self._moment, args, kwargs, self._seen, self._original, _nobody
        ).rows / max(self._whole.rows, 1)


def _profiles_of(model: nn.Module, sites: tuple[Site, ...]) -> dict[Signature, Profile]:
    """Profiles by the shapes of the arguments, as long as the model has the same modules."""
    key = (sum(1 for _ in model.modules()), *((site.name, id(site.module)) for site in sites))
    return _measured.setdefault(model, {}).setdefault(key, {})


def _by_call(profile: Profile) -> dict[tuple[int, int], Seen]:
    return {(id(seen.site.module), seen.repeat): seen for seen in profile.seen}


def _nobody(call: SiteCall, output: Any) -> None:
    pass


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, tuple | list) else []


def _tensors_given(arguments: Mapping[str, Any]) -> _Given:
    return {
        (name, tensor.data_ptr(), tuple(tensor.shape)): StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        for name, value in arguments.items()
        for tensor in _tensors(value)
    }


def _in_common(before: _Given, now: _Given) -> int:
    """How many tensors were given both times; memory that was freed in between and used again does not count."""
    return sum(key in now and not storage.expired() for key, storage in before.items())  # type: ignore[no-untyped-call]


def _signature(arguments: Mapping[str, Any], samples: int) -> Signature:
    """Shapes and types of the arguments, the number of samples left open, and what is None, True or a word."""

    def of(value: Any) -> Any:
        if isinstance(value, Tensor):
            shape = tuple(value.shape)
            return (("samples", *shape[1:]) if shape and shape[0] == samples else shape, value.dtype, value.device.type)
        if isinstance(value, dict):
            return tuple((key, of(item)) for key, item in value.items())
        if isinstance(value, tuple | list):
            return tuple(of(item) for item in value[:1]) if len(value) == samples else tuple(of(item) for item in value)
        return value if isinstance(value, bool | str | None) else type(value)

    return tuple((name, of(value)) for name, value in arguments.items())
