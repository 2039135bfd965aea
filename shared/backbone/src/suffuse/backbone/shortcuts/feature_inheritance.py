"""Feature inheritance (A-SDM, Zhu et al. 2024, arXiv 2406.00210): a UNet's inner features outlast a step.

In a step that is not run in full, inner parts of the UNet hand on what they gave last time; only the outer ones, which
see the noisy sample itself, run. The paper inherits at the level of blocks, layers and units; here `level` chooses
between stages (blocks), the residual and attention layers inside them, and single convolutions, attention and
feed-forward parts (units). The parts left out lie around the middle of the network; how many there are in which step
follows from the budget. In which steps of a generation is the mode: steps run in full lie even, crowd early or late
(`early`), and outside a stretch of the generation all are (`within`). Beyond the paper, what is handed on may be
foretold from the last two or three values (`memory`), as in `forecast_cache.py`.

Norms, activations and sums between units always run: they count no operations, but take time. The finer the level, the
more of that time stays.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor, nn

from suffuse.backbone.engine.budget import Spread, check_budget, spread
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, Scope, Shortcut, SiteCall
from suffuse.backbone.engine.values import ValueCache
from suffuse.backbone.shortcuts.forecast_cache import MOST_MEMORY, polynomial_weights
from suffuse.backbone.sites import Backbone, Profile, Seen, Site

Level = Literal["stage", "layer", "unit"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, kw_only=True)
class FeatureInheritance(Shortcut):
    """Reuse what the inner parts of a UNet gave.

    Attributes:
        budget: Share of the full work that a generation may take, in (0, 1].
        level: Whether whole stages, single layers or single units inherit.
        keep: How many of the outermost parts run in every step, on the way down and on the way up each.
        interval: Steps from one that is run in full to the next, at least 2; by default the fewest with which the
            budget can be kept.
        memory: From how many values is foretold what is handed on, in [1, 3]: by a polynomial of one degree less.
        early: Above 1, steps run in full crowd early in sampling, below 1 late; at 1 they lie even. Above 0.
        within: The stretch of a generation in which parts may inherit, as shares of its steps: two rising numbers in
            [0, 1]. Outside it all steps are run in full.

    Raises ShortcutError for values outside these ranges, and, once the number of steps is known, for a budget that
    cannot be kept in so few.
    """

    name: ClassVar[str] = "feature-inheritance"
    scope: ClassVar[Scope] = "block"

    budget: float = 0.6
    level: Level = "stage"
    keep: int = 1
    interval: int | None = None
    early: float = 1.0
    within: Sequence[float] = (0.0, 1.0)
    memory: int = 1

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if self.level not in get_args(Level):
            raise ShortcutError(f"level must be one of {', '.join(get_args(Level))}, got {self.level!r}")
        if self.keep < 0:
            raise ShortcutError(f"keep must not be negative, got {self.keep}")
        if self.interval is not None and self.interval < 2:
            raise ShortcutError(f"interval must be at least 2, got {self.interval}")
        if not 1 <= self.memory <= MOST_MEMORY:
            raise ShortcutError(f"memory must be in [1, {MOST_MEMORY}], got {self.memory}")
        if self.early <= 0:
            raise ShortcutError(f"early must be above 0, got {self.early}")
        object.__setattr__(self, "within", tuple(self.within))  # JSON has lists only
        if not (len(self.within) == 2 and 0 <= self.within[0] < self.within[1] <= 1):
            raise ShortcutError(f"within must be two rising numbers in [0, 1], got {self.within}")

    @property
    def idle(self) -> bool:
        """Whether everything runs."""
        return self.budget == 1

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """The stages, layers or units of a UNet."""
        sites = units(backbone) if self.level == "unit" else backbone.of_kind(self.level)
        if not sites:
            hint = "; for a transformer there is delta-cache" if backbone.of_kind("block") else ""
            raise ShortcutError(
                f"{self.name} needs the {self.level}s of a UNet, and a {type(backbone.model).__name__} has none{hint}"
            )
        return sites

    def player(self, backbone: Backbone) -> Player:
        """A player that makes its plan in the second step, when it is known what the parts cost."""
        return _InheritancePlayer(self)


def units(backbone: Backbone) -> tuple[Site, ...]:
    """Convolutions, attention and feed-forward parts in the stages of a UNet, only the outermost where they nest."""
    parts = {id(site.module) for site in backbone.of_kind("attention", "feed_forward")}
    found: list[Site] = []
    for stage in backbone.of_kind("stage"):
        taken: list[str] = []
        for name, module in stage.module.named_modules():
            inside = any(name.startswith(f"{outer}.") for outer in taken)
            if not inside and (id(module) in parts or isinstance(module, CONVOLUTIONS)):
                taken.append(name)
                found.append(Site(f"{stage.name}.{name}".rstrip("."), "unit", module, stage.name))
    return tuple(found)


def plan_inheritance(
    parts: tuple[Seen, ...],
    full: float,
    steps: int,
    budget: float,
    *,
    keep: int = 1,
    interval: int | None = None,
    early: float = 1.0,
    within: Sequence[float] = (0.0, 1.0),
) -> tuple[Spread, tuple[range, ...]]:
    """Choose which parts inherit in which step: those with places in a range around the middle, in order of calls.

    `full` is the work of a whole step.
    """
    middle = [
        range(low, len(parts) - low) for low in reversed(range(keep, (len(parts) + 1) // 2)) if low < len(parts) - low
    ]
    if not middle:
        raise ShortcutError(f"keep must be below {(len(parts) + 1) // 2} with {len(parts)} parts, got {keep}")
    costs = [sum(parts[index].flops for index in inner) for inner in middle]
    nothing = [0.0] * len(costs)
    inheriting = range(round(within[0] * steps), round(within[1] * steps))
    chosen = spread(
        [costs if step in inheriting else nothing for step in range(steps)],
        full,
        budget,
        interval=interval,
        early=early,
    )
    return chosen, tuple(middle[option] if option >= 0 else range(0) for option in chosen.options)


class _InheritancePlayer(Player):
    def __init__(self, settings: FeatureInheritance) -> None:
        self._settings = settings
        self._plan: tuple[range, ...] | None = None
        self._history = _History(settings.memory)
        self._inheriting = range(0)

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        self._inheriting = range(0)
        if profile is None or moment.step == 0:
            return
        if self._plan is None or len(self._plan) != moment.steps:
            settings = self._settings
            _, self._plan = plan_inheritance(
                profile.of_kind(settings.level),
                profile.flops,
                moment.steps,
                settings.budget,
                keep=settings.keep,
                interval=settings.interval,
                early=settings.early,
                within=settings.within,
            )
        self._inheriting = self._plan[moment.step]

    def around(self, call: SiteCall) -> Any:
        if call.seen is not None and call.seen.index in self._inheriting:
            known, output = self._history.at(_key(call), call.moment.step)
            if known:
                return output
        return call.run()

    def watch(self, call: SiteCall, output: Any) -> None:
        if call.moment.step > 0:
            self._history.add(_key(call), call.moment.step, output)


class _History:
    """The last outputs of each call, with their steps."""

    def __init__(self, memory: int) -> None:
        self._memory, self._cache = memory, ValueCache()
        self._steps: dict[Hashable, deque[int]] = {}

    def add(self, key: Hashable, step: int, output: Any) -> None:
        """Keep an output, and let go of the oldest."""
        steps = self._steps.setdefault(key, deque())
        if len(steps) == self._memory:
            self._cache.drop((key, steps.pop()))
        steps.appendleft(step)
        self._cache.put((key, step), output)

    def at(self, key: Hashable, step: int) -> tuple[bool, Any]:
        """The output foretold for a step, and whether there is any."""
        found = [(one, *self._cache.get((key, one))) for one in self._steps.get(key, ())]
        known = [(one, output) for one, there, output in found if there]
        if len(known) <= 1:
            return (True, known[0][1]) if known else (False, None)
        weights = polynomial_weights(tuple(one for one, _ in known), step)
        return True, _weighted([output for _, output in known], weights)


def _weighted(outputs: Sequence[Any], weights: Sequence[float]) -> Any:
    """The sum of tensors, or of tuples, lists and dictionaries of them; of anything else the last one."""
    newest = outputs[0]
    if isinstance(newest, Tensor) and newest.is_floating_point():
        total = weights[0] * newest
        for weight, tensor in zip(weights[1:], outputs[1:], strict=True):
            total = total.add(tensor, alpha=weight)
        return total
    if isinstance(newest, dict):
        return {name: _weighted([output[name] for output in outputs], weights) for name in newest}
    if isinstance(newest, tuple | list):
        return type(newest)(_weighted(some, weights) for some in zip(*outputs, strict=True))
    return newest


def _key(call: SiteCall) -> Hashable:
    """A call of a site on inputs of one shape."""
    shape = next((tuple(value.shape) for value in call.arguments.values() if isinstance(value, Tensor)), ())
    return call.site.name, call.repeat, shape
