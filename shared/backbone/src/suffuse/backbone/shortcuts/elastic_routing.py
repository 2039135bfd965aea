"""Elastic routing (E-DiT, Wang et al. 2026, arXiv 2602.13993): trained routers skip blocks and narrow them, by sample.

At each block a router (`elastic_routers.py`) looks at a sample's tokens and decides whether the block runs for it, and
if so with how many of the hidden neurons of its feed-forward part (`elastic_width.py`). As in E-DiT: one router for
each block, decisions by straight-through estimates in training, four widths, a cache of what blocks added.

Different from it:

- The backbone is frozen. A skipped block is therefore not the identity but adds what the sample's cache foretells, by
  a line through what it added the last two times (`memory=2`), or what it added last (`memory=1`). The paper's identity
  is `memory=0`; its code uses the cache only for blocks that narrowly stay open, late in sampling.
- The published code takes the mean decision of the batch and never empties its caches. Here each sample decides for
  itself, and state ends with the generation.
- The paper's routers see the timestep as the model embeds it. These are told the step, how long ago the block last ran,
  by how much the mean token has changed since, and a price: what a unit of work is worth. One set of routers therefore
  serves all budgets: a budget is turned into a price by a table from calibration (`set_prices`).
- The feed-forward part keeps the activation of the model; the published code swaps it for another.

The first and the last step run in full. The work of the routers is counted.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from suffuse.backbone.engine.budget import check_budget
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Moment, Player, Scope, Shortcut, SiteCall, join_rows
from suffuse.backbone.shortcuts.elastic_routers import WIDTHS, Decision, Routers, conditions, elastic_parts
from suffuse.backbone.shortcuts.elastic_width import FeedForwardShape, narrowed
from suffuse.backbone.sites import Backbone, Profile, Site
from suffuse.backbone.sites.streams import Streams, streams_of, unpack

MOST_MEMORY = 2
REUSE = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class ElasticRouting(Shortcut):
    """Let trained routers decide, for each sample and step, which blocks run and how wide.

    Attributes:
        routers: The trained routers.
        budget: Share of the full work that a generation may take, in (0, 1]; kept by what calibration found.
        price: What a full step's work is worth, as the relative squared error of the model's output that is put up with
            to spare it; above 0. By default the one that keeps the budget.
        memory: From how many of the times it ran is foretold what a skipped block adds, in [0, 2]; 0 adds nothing.
        reuse: How many steps in a row a block may be skipped for a sample, at least 1; with a budget one of those that
            were calibrated. By default, the fewest with which the budget can be kept; 4 if a price is given.
        widths: Whether feed-forward parts may be narrowed.

    Raises ShortcutError for values outside these ranges, and, once the number of steps is known, for a budget that the
    routers cannot keep.
    """

    name: ClassVar[str] = "elastic-routing"
    scope: ClassVar[Scope] = "block"

    routers: Routers
    budget: float = 0.6
    price: float | None = None
    memory: int = 2
    reuse: int | None = None
    widths: bool = True
    store: "NarrowParts" = field(default_factory=lambda: NarrowParts(), init=False, repr=False)

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if self.price is not None and not 0 < self.price < float("inf"):
            raise ShortcutError(f"price must be above 0 and finite, got {self.price}")
        if not 0 <= self.memory <= MOST_MEMORY:
            raise ShortcutError(f"memory must be in [0, {MOST_MEMORY}], got {self.memory}")
        if self.reuse is not None and self.reuse < 1:
            raise ShortcutError(f"reuse must be at least 1, got {self.reuse}")

    @property
    def idle(self) -> bool:
        """Whether everything runs."""
        return self.budget == 1 and self.price is None

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """The blocks that have routers, and those of their feed-forward parts that can be narrowed."""
        if tuple(site.name for site in backbone.of_kind("block")) != self.routers.names:
            raise ShortcutError(f"these routers are not for this {type(backbone.model).__name__}: other blocks")
        blocks = [site for site in backbone.of_kind("block") if self.routers.router(site.name) is not None]
        narrow = elastic_parts(backbone) if self.widths else {}
        return (*blocks, *(site for site in backbone.of_kind("feed_forward") if site.name in narrow))

    def player(self, backbone: Backbone) -> Player:
        """A player that remembers nothing yet."""
        return ElasticPlayer(self, backbone)


class NarrowParts:
    """Feed-forward parts with fewer neurons, made when they are first needed, and anew when weights have changed."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[Hashable, nn.Module]] = {}

    def get(self, name: str, module: nn.Module, shape: FeedForwardShape, kept: int, routers: Routers) -> nn.Module:
        """The part `name` with the `kept` most important of its neurons."""
        weights = tuple((id(one), one._version, one.data_ptr(), one.dtype) for one in module.parameters())
        made = self._made.get((name, kept))
        if made is None or made[0] != weights:
            known = routers.neurons(name)
            device = shape.outer_of(module).weight.device
            part = narrowed(module, shape, known.order[:kept].to(device), known.mean.to(device))
            made = self._made[name, kept] = (weights, part.eval())
        return made[1]


# ------------------------------------------------------------------------------------------------- what is remembered


class BlockHistory:
    """What one block added, by row, the last time that it ran for the row, and by how much more than the time before.

    Rows are remembered by themselves: each has the step of its own last run.
    """

    def __init__(self, streams: Streams, given: dict[str, Any], output: Any, step: int) -> None:
        self.names = tuple(stream.argument for stream in streams.streams)
        self._shapes = _shapes(self.names, given)
        self._added = _differences(streams, given, output)
        self._slope: dict[str, Tensor] = {}
        self._mean = _mean_token(given[self.names[0]])
        rows, device = len(self._mean), self._mean.device
        self._step = torch.full((rows,), step, device=device)
        self._lines = torch.zeros(rows, dtype=torch.bool, device=device)

    def fits(self, streams: Streams, given: dict[str, Any]) -> bool:
        """Whether streams of these shapes were remembered."""
        names = tuple(stream.argument for stream in streams.streams)
        return names == self.names and _shapes(names, given) == self._shapes

    def add(
        self, rows: Int64[Tensor, " some"], streams: Streams, given: dict[str, Any], output: Any, step: int
    ) -> None:
        """The block has run for these rows; `given` and `output` hold them alone."""
        since = step - self._step[rows]
        for name, value in _differences(streams, given, output).items():
            slope = (value - self._added[name][rows]) / _beside(since, value)
            before = self._slope.get(name, torch.zeros_like(self._added[name]))
            self._slope[name] = before.index_copy(0, rows, slope)  # not in place: gradients may need what was there
            self._added[name] = self._added[name].index_copy(0, rows, value)
        self._mean = self._mean.index_copy(0, rows, _mean_token(given[self.names[0]]))
        self._step = self._step.index_fill(0, rows, step)
        self._lines = self._lines.index_fill(0, rows, True)

    def since(self, step: int) -> Int64[Tensor, " r"]:
        """Steps since the block last ran, by row."""
        return step - self._step

    def change(self, tokens: Tensor) -> Float[Tensor, " r"]:
        """By how much the mean token has changed since then, as a share of it."""
        moved = _mean_token(tokens) - self._mean
        return (moved.norm(dim=1) / self._mean.norm(dim=1).clamp(min=1e-12)).float()

    def foretold(self, streams: Streams, given: dict[str, Any], step: int, memory: int) -> dict[int, Tensor]:
        """The streams behind the block, by their places, had it added what is foretold."""
        values = {}
        for stream in streams.streams:
            value: Tensor = given[stream.argument]
            if memory > 0:
                value = value + self._added[stream.argument]
            if memory > 1 and stream.argument in self._slope:
                ahead = self.since(step) * self._lines
                value = value + _beside(ahead, value) * self._slope[stream.argument]
            values[stream.position] = value
        return values


def _shapes(names: Sequence[str], given: dict[str, Any]) -> tuple[Hashable, ...]:
    return tuple((given[name].shape, given[name].dtype, given[name].device) for name in names)


def _differences(streams: Streams, given: dict[str, Any], output: Any) -> dict[str, Tensor]:
    values = unpack(output)
    return {one.argument: (values[one.position] - given[one.argument]).detach() for one in streams.streams}


def _mean_token(tokens: Tensor) -> Float[Tensor, "r d"]:
    return tokens.detach().float().flatten(1, -2).mean(dim=1)


def _beside(row: Tensor, value: Tensor) -> Tensor:
    """A number for each row, to be multiplied with `value`."""
    return row.to(value).view(-1, *[1] * (value.ndim - 1))


# ----------------------------------------------------------------------------------------------------------- player


class ElasticPlayer(Player):
    """Asks the routers, and remembers what blocks added."""

    def __init__(self, settings: ElasticRouting, backbone: Backbone) -> None:
        self.settings = settings
        self.parts = elastic_parts(backbone) if settings.widths else {}
        self.owners = {site.name: site.owner for site in backbone.of_kind("feed_forward") if site.name in self.parts}
        self.histories: dict[Hashable, BlockHistory] = {}
        self.chosen: dict[str, tuple[Int64[Tensor, " r"], float]] = {}
        """Widths for the rows that a block runs for, and their share of all rows."""
        self._price = settings.price
        self.reuse = settings.reuse or REUSE

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        """Turn the budget into a price, once it is known how many steps there are."""
        self.chosen = {}
        if self._price is None:
            light = moment.steps - min(2, moment.steps)
            share = (self.settings.budget * moment.steps - (moment.steps - light)) / max(light, 1)
            if light == 0 or share <= 0:
                raise ShortcutError(
                    f"budget {self.settings.budget} cannot be reached in {moment.steps} steps: the first and the last"
                    " run in full"
                )
            self._price, self.reuse = self.settings.routers.price_for(share, self.settings.reuse)

    def prices(self, rows: int, device: torch.device) -> Float[Tensor, " r"]:
        """The price for each row."""
        assert self._price is not None
        return torch.full((rows,), self._price, device=device)

    def around(self, call: SiteCall) -> Any:
        """Run a block for the rows that its router chooses, a feed-forward part as wide as the block's router chose."""
        if call.site.kind == "feed_forward":
            return self.feed_forward(call)
        decided = self.decide(call)
        return call.run() if decided is None else self.block(call, *decided)

    def watch(self, call: SiteCall, output: Any) -> None:
        """A block has run for all rows."""
        if call.site.kind == "block":
            self.remember(call, None, output)

    def decide(self, call: SiteCall) -> tuple[Decision, BlockHistory] | None:
        """What the router says of a block; None if the block has to run."""
        self.chosen.pop(call.site.name, None)
        router, history = self.settings.routers.router(call.site.name), self.histories.get(_key(call))
        if router is None or history is None or call.seen is None or call.seen.writes or call.seen.streams.extras:
            return None
        streams, given = call.seen.streams, call.arguments
        if not history.fits(streams, given):
            return None
        tokens = torch.cat([_rows_of_tokens(given[name]) for name in _alike(history.names, given)], dim=1)
        if tokens.shape[-1] != router.inner.in_features:
            return None
        step, rows = call.moment.step, len(tokens)
        said = conditions(
            step,
            call.moment.steps,
            history.since(step).float(),
            history.change(given[history.names[0]]),
            self.prices(rows, tokens.device),
        )
        call.spend(router.flops(rows, tokens.shape[1]))
        return router(tokens, said), history

    def block(self, call: SiteCall, decision: Decision, history: BlockHistory) -> Any:
        """The output of a block for which there is a decision."""
        assert call.seen is not None
        step, streams = call.moment.step, call.seen.streams
        run: Bool[Tensor, " r"] = (decision.run > 0) | (history.since(step) > self.reuse)
        chosen = decision.width.argmax(dim=1)
        if bool(run.all()):
            self.chosen[call.site.name] = (chosen, 1.0)
            return call.run()
        foretold = history.foretold(streams, call.arguments, step, self.settings.memory)
        resting = streams.pack(dict(foretold))
        if not bool(run.any()):
            return resting
        self.chosen[call.site.name] = (chosen[run], float(run.float().mean()))
        ran = call.run_rows(run)
        self.remember(call, run, ran)
        return join_rows(run, ran, resting)

    def remember(self, call: SiteCall, run: Bool[Tensor, " r"] | None, output: Any) -> None:
        """A block has run for these rows, or for all."""
        if (
            call.seen is None or call.moment.step == 0
        ):  # read anew, so that it is the same as when nothing was known yet
            streams = streams_of(call.site.module, call.arguments, output, {})
        else:
            streams = call.seen.streams
        history = self.histories.get(_key(call))
        if history is not None and history.fits(streams, call.arguments):
            rows = torch.arange(call.rows) if run is None else run.nonzero().squeeze(1)
            names = history.names
            device = call.arguments[names[0]].device
            rows = rows.to(device)
            given = {name: call.arguments[name] if run is None else call.arguments[name][rows] for name in names}
            history.add(rows, streams, given, output, call.moment.step)
        elif run is None and streams.streams and all(call.arguments[one.argument].ndim > 2 for one in streams.streams):
            self.histories[_key(call)] = BlockHistory(streams, call.arguments, output, call.moment.step)

    def feed_forward(self, call: SiteCall) -> Any:
        """A feed-forward part, for each row as wide as the router of its block said."""
        module, shape = self.parts[call.site.name]
        chosen, share = self.chosen.get(self.owners[call.site.name], (None, 1.0))
        args = [*call.args, *call.kwargs.values()]
        simple = len(args) == 1 and isinstance(args[0], Tensor) and args[0].ndim > 2
        full = len(WIDTHS) - 1
        if chosen is None or not simple or len(args[0]) != len(chosen) or bool((chosen == full).all()):
            return call.run()
        if any(one.device.type == "meta" for one in module.parameters()):  # offloaded, and fetched within its call
            return call.run()
        tokens, spent, made = args[0], 0.0, []
        groups = [(option, (chosen == option).nonzero().squeeze(1)) for option in sorted(set(chosen.tolist()))]
        for option, rows in groups:
            kept = round(WIDTHS[option] * shape.hidden)
            store, routers = self.settings.store, self.settings.routers
            part = module if option == full else store.get(call.site.name, module, shape, kept, routers)
            made.append(type(part).forward(part, tokens[rows]))
            spent += WIDTHS[option] * len(rows) / len(tokens)
        assert call.seen is not None
        call.save(-share * spent * call.seen.flops * call.moment.samples)  # what does not run counts as spared whole
        order = torch.cat([rows for _, rows in groups])
        return torch.cat(made)[order.argsort()]


def _key(call: SiteCall) -> Hashable:
    return call.site.name, call.repeat


def _alike(names: Sequence[str], given: dict[str, Any]) -> list[str]:
    """The streams whose tokens are as wide as those of the first."""
    return [name for name in names if given[name].shape[-1] == given[names[0]].shape[-1]]


def _rows_of_tokens(stream: Tensor) -> Float[Tensor, "r n d"]:
    return stream.flatten(1, -2)
