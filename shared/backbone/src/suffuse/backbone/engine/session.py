"""A session: shortcuts at work on the denoisers of one pipeline, in one thread."""

import warnings
from collections.abc import Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from torch import nn

from suffuse.backbone.engine.clock import Clock
from suffuse.backbone.engine.errors import SessionError
from suffuse.backbone.engine.ledger import Ledger
from suffuse.backbone.engine.report import Report, make_report
from suffuse.backbone.engine.shortcut import Shortcut
from suffuse.backbone.engine.track import Track
from suffuse.backbone.sites import Backbone, Interception
from suffuse.backbone.sites.interception import Original

_open: ContextVar[tuple["Session", ...]] = ContextVar("suffuse_sessions", default=())


class Session:
    """Holds shortcuts to one or several denoisers as a context manager; see `accelerate`.

    It is in force for calls made by the thread (or asyncio task) that entered it, so that pipelines in several threads
    may share a model. It may be entered again after it was left, and then goes on with the same report.

    Raises ShortcutError when made with shortcuts that do not fit, SessionError when entered twice, or on a denoiser
    that has a session in this thread already.
    """

    def __init__(self, backbones: Sequence[Backbone], shortcuts: Sequence[Shortcut], clock: Clock) -> None:
        self._clock, self._ledger = clock, Ledger()
        self.tracks = [Track(backbone, tuple(shortcuts), clock, self._ledger) for backbone in backbones]
        self._by_module: dict[int, Track] = {}
        self._interceptions: list[Interception] = []
        self._token: Token[tuple[Session, ...]] | None = None

    @property
    def shortcuts(self) -> tuple[Shortcut, ...]:
        """The shortcuts that are not idle, outermost first."""
        return tuple(dict.fromkeys(shortcut for track in self.tracks for shortcut in track.shortcuts))

    def step(self, index: int) -> None:
        """Say that the calls of the denoiser that follow belong to step `index`, for loops of your own.

        Without it, each call is a step (or every `calls_per_step` calls). Raises ShortcutError for a step that is not
        in the generation.
        """
        self._clock.tell(index)

    def report(self) -> Report:
        """What has been saved up to now."""
        saves = any(shortcut.saves for shortcut in self.shortcuts)
        return make_report(self._ledger, tuple(shortcut.name for shortcut in self.shortcuts), saves=saves)

    def __enter__(self) -> "Session":
        if self._token is not None:
            raise SessionError("this session is open already")
        taken = {id(track.backbone.model) for session in _open.get() for track in session.tracks}
        for track in self.tracks:
            if id(track.backbone.model) in taken:
                raise SessionError(
                    f"{type(track.backbone.model).__name__} has a session in this thread; leave it first"
                )
        for track in self.tracks:
            for module in (track.backbone.model, *(site.module for site in track.sites.values())):
                self._by_module[id(module)] = track
                self._interceptions.append(Interception(module, _dispatch))
        self._clock.open()
        self._token = _open.set((*_open.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        _open.reset(self._token)
        self._token = None
        for interception in self._interceptions:
            interception.remove()
        self._interceptions, self._by_module = [], {}
        self._clock.close()
        for track in self.tracks:
            track.forget()
        warning = self.report().warning
        if warning and kind is None:
            warnings.warn(f"{', '.join(self.report().shortcuts)}: {warning}", stacklevel=2)


def _dispatch(module: nn.Module, original: Original, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for session in _open.get():
        track = session._by_module.get(id(module))
        if track is not None:
            return track.enter(module, original, args, kwargs)
    return original(*args, **kwargs)
