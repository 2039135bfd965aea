"""The plug-in interface: what a shortcut is, and what it meets at a site.

A `Shortcut` is a description: frozen, without state, good for any number of sessions. For each generation and each
branch of guidance (conditional, unconditional) the session asks it for a fresh `Player`, which holds all state. The
player stands around the calls of its sites like a decorator: it may run the call, for all rows or some, or give an
output of its own. Where several shortcuts act on one site, the scope orders them, and an inner one does not see a call
that an outer one has skipped.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from jaxtyping import Bool
from torch import Tensor

from suffuse.backbone.sites import Backbone, Profile, Seen, Site
from suffuse.backbone.sites.streams import bind

Scope = Literal["token", "block", "width", "branch", "attention"]
"""What a shortcut saves on, outermost first: tokens, whole blocks or stages, width, residual branches, attention."""

SCOPES: tuple[str, ...] = get_args(Scope)


@dataclass(frozen=True)
class Moment:
    """One call of the denoiser in one generation.

    Attributes:
        step: Step of the sampler, from 0.
        steps: Number of steps of the generation.
        branch: Which of several calls of a step: 0, 1, ... The same number means the same condition.
        samples: Samples in the call.
        must_run: True in the first and the last step and wherever nothing is known yet: everything runs, whatever the
            players say, and they only watch.
    """

    step: int
    steps: int
    branch: int
    samples: int
    must_run: bool


@dataclass
class SiteCall:
    """One call of one site, as a player meets it.

    Attributes:
        site: The site.
        repeat: 0 for the first call of the site in this pass of the denoiser, ...
        moment: When.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        seen: What the first pass showed of this call; None during that pass.
    """

    site: Site
    repeat: int
    moment: Moment
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    seen: Seen | None
    _inner: Callable[[tuple[Any, ...], dict[str, Any]], Any]
    _watchers: Callable[["SiteCall", Any], None]
    saved: float = 0.0
    overhead: float = 0.0
    _arguments: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name."""
        if self._arguments is None:
            self._arguments = bind(type(self.site.module), self.args, self.kwargs)
        return self._arguments

    @property
    def rows(self) -> int:
        """Size of the first dimension of the first tensor among the arguments: samples, or a multiple of them."""
        return next(int(value.shape[0]) for value in self.arguments.values() if isinstance(value, Tensor))

    def run(self) -> Any:
        """What the site itself (or the next shortcut inside) gives for all rows."""
        output = self._inner(self.args, self.kwargs)
        self._watchers(self, output)
        return output

    def run_rows(self, chosen: Bool[Tensor, " rows"]) -> Any:
        """The same for the chosen rows only; the output holds just these, in order.

        Arguments whose first dimension is `rows` are cut, others are passed on whole. Players inside and after see a
        smaller batch. The player's own `watch` is not called.
        """
        size, index = self.rows, chosen.nonzero().squeeze(1)
        args, kwargs = _cut((self.args, self.kwargs), size, index)
        return self._inner(args, kwargs)

    def spend(self, flops: float) -> None:
        """Count work that the shortcut itself does at this call, for all rows together."""
        self.overhead += flops

    def save(self, flops: float) -> None:
        """Count work that was left out inside a call that did run, for all rows together."""
        self.saved += flops


class Player:
    """One shortcut in one branch of one generation: the base class runs everything and remembers nothing."""

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        """The denoiser is about to be called. The profile is None in the very first call of a session."""

    def around(self, call: SiteCall) -> Any:
        """The output of a site: `call.run()`, or something cheaper. Not asked where everything must run."""
        return call.run()

    def watch(self, call: SiteCall, output: Any) -> None:
        """A site has run for all rows and gave this."""

    def end(self) -> None:
        """The denoiser's call is over."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shortcut(ABC):
    """A way to save work at some sites of a denoiser."""

    name: ClassVar[str]
    scope: ClassVar[Scope]
    saves: ClassVar[bool] = True
    """False for one that only looks on."""

    @property
    def idle(self) -> bool:
        """Whether it is set so that everything runs. An idle shortcut is not attached at all."""
        return False

    @abstractmethod
    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """The sites it acts on, never none. Raises ShortcutError if the model has none of the kind."""

    @abstractmethod
    def player(self, backbone: Backbone) -> Player:
        """A player with no memory."""


def _cut(value: Any, size: int, index: Tensor) -> Any:
    if isinstance(value, Tensor):
        fits = value.ndim > 0 and value.shape[0] == size
        return value.index_select(0, index.to(value.device)) if fits else value
    if isinstance(value, dict):
        return {key: _cut(item, size, index) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_cut(item, size, index) for item in value)
    return value


def join_rows(chosen: Bool[Tensor, " rows"], where: Any, elsewhere: Any) -> Any:
    """Outputs for some rows put together with an output for all: `where` for the chosen rows, `elsewhere` for the rest.

    Both have the same structure of tensors, tuples, lists and None.
    """
    if isinstance(where, Tensor):
        joined = elsewhere.clone()
        joined[chosen.to(joined.device)] = where.to(joined.dtype)
        return joined
    if isinstance(where, tuple | list):
        return type(where)(join_rows(chosen, one, other) for one, other in zip(where, elsewhere, strict=True))
    return elsewhere


def each_row(call: SiteCall, chosen: Bool[Tensor, " rows"], otherwise: Callable[[], Any]) -> Any:
    """Run a call for the chosen rows and take `otherwise()`, an output for all rows, for the rest.

    What a row becomes does not depend on what is chosen for the others.
    """
    if bool(chosen.all()):
        return call.run()
    if not bool(chosen.any()):
        return otherwise()
    return join_rows(chosen, call.run_rows(chosen), otherwise())


__all__ = ["SCOPES", "Moment", "Player", "Scope", "Shortcut", "SiteCall", "each_row", "join_rows"]
