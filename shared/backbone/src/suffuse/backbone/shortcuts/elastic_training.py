"""Training and calibrating the routers of elastic routing (`elastic_routing.py`), on a frozen denoiser.

In training each decision is drawn, and a gradient passes through as if it were its probability (straight-through,
E-DiT's loss code, where the noise of the draw is commented out):

    run:   g = [s > 0] + p - stop(p),  s = logit + logistic noise,  p = sigmoid(s)
    width: one-hot by Gumbel noise (Jang et al. 2017, arXiv 1611.01144), as prefix masks over the sorted neurons
    block: y = foretold + g (ran - foretold)

The objective for each row is log(1 + error / price) + work, where error is the squared error of the model's output as a
share of its square and work the share of a full step that was spent. E-DiT holds the mean probability at a target that
rises along the timesteps; with a price for work, routers may spend where it helps most.

Dimensions: r rows, w widths, h hidden neurons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.report import Report
from suffuse.backbone.engine.shortcut import Moment, Player, SiteCall
from suffuse.backbone.shortcuts.elastic_routers import WIDTHS, Decision, Routers
from suffuse.backbone.shortcuts.elastic_routing import BlockHistory, ElasticPlayer, ElasticRouting
from suffuse.backbone.shortcuts.elastic_width import masked_hidden
from suffuse.backbone.sites import Backbone, Profile
from suffuse.backbone.sites.streams import unpack

REUSES = (1, 2, 4)


@dataclass(frozen=True, kw_only=True, eq=False)
class RelaxedRouting(ElasticRouting):
    """Elastic routing through which gradients reach the routers. Everything is computed, nothing saved.

    Attributes:
        row_prices: A price for each row.
        players: Those that were made, one for each generation and branch.
    """

    saves: ClassVar[bool] = False

    row_prices: Tensor
    players: list["RelaxedPlayer"] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Never."""
        return False

    def player(self, backbone: Backbone) -> Player:
        """A player that is remembered in `players`."""
        self.players.append(RelaxedPlayer(self, backbone))
        return self.players[-1]


class RelaxedPlayer(ElasticPlayer):
    """Draws decisions, and adds up what they cost.

    Attributes:
        work: Share of a full step's work that each row spent in the last call, with gradients.
    """

    def __init__(self, settings: RelaxedRouting, backbone: Backbone) -> None:
        super().__init__(settings, backbone)
        self._row_prices = settings.row_prices
        self._masks: dict[str, Float[Tensor, "r h"]] = {}
        self._shares: dict[str, float] = {}
        self._quiet = False
        self.work: Tensor = torch.zeros_like(self._row_prices)
        self._price = 1.0  # rows have their own

    def begin(self, moment: Moment, profile: Profile | None) -> None:
        """Begin to add up."""
        super().begin(moment, profile)
        self._masks = {}
        if profile is not None:
            self._shares = {seen.site.name: seen.flops / profile.flops for seen in profile.seen}
            blocks = sum(self._shares[seen.site.name] for seen in profile.of_kind("block"))
            self.work = torch.full_like(self._row_prices, 1 - blocks)

    def prices(self, rows: int, device: torch.device) -> Float[Tensor, " r"]:
        """The price for each row."""
        return self._row_prices.to(device).repeat_interleave(rows // len(self._row_prices))

    def watch(self, call: SiteCall, output: Any) -> None:
        """A block has run for all rows, if not on trial."""
        if not self._quiet:
            super().watch(call, output)

    def decide(self, call: SiteCall) -> tuple[Decision, BlockHistory] | None:
        """What the router says of a block. Without gradients all blocks run, to be remembered."""
        return super().decide(call) if torch.is_grad_enabled() else None

    def block(self, call: SiteCall, decision: Decision, history: BlockHistory) -> Any:
        """The output of a block, part ran and part foretold."""
        assert call.seen is not None
        step, streams = call.moment.step, call.seen.streams
        noise = torch.rand_like(decision.run).clamp(1e-6, 1 - 1e-6)
        probability = torch.sigmoid(decision.run + noise.logit())
        forced = history.since(step) > self.reuse
        hard = (probability > 0.5) | forced
        gate = torch.where(forced, 1.0, hard.float() + probability - probability.detach())
        part = next((name for name, owner in self.owners.items() if owner == call.site.name), None)
        cost = torch.full_like(gate, self._shares[call.site.name])
        if part is not None:
            onehot = F.gumbel_softmax(decision.width, hard=True)
            cost = cost - self._shares[part] * (1 - onehot @ onehot.new_tensor(WIDTHS))
            self._masks[part] = onehot @ self._prefixes(part).to(onehot)
        self.work = self.work + gate * cost
        self._quiet = True
        ran = call.run()
        self._quiet = False
        foretold = history.foretold(streams, call.arguments, step, self.settings.memory)
        rows = hard.nonzero().squeeze(1)
        if len(rows):
            given = {name: call.arguments[name][rows] for name in history.names}
            values = {place: value[rows] for place, value in enumerate(unpack(ran)) if place in foretold}
            history.add(rows, streams, given, streams.pack(dict(values)), step)
        outputs = unpack(ran)
        weight = {place: gate.view(-1, *[1] * (value.ndim - 1)) for place, value in foretold.items()}
        return streams.pack(
            {place: value + weight[place] * (outputs[place] - value) for place, value in foretold.items()}
        )

    def feed_forward(self, call: SiteCall) -> Any:
        """A feed-forward part with some of its neurons held at their means."""
        mask = self._masks.get(call.site.name)
        if mask is None:
            return call.run()
        module, shape = self.parts[call.site.name]
        mean = self.settings.routers.neurons(call.site.name).mean
        with masked_hidden(shape.outer_of(module), mask, mean):
            return call.run()

    def _prefixes(self, part: str) -> Float[Tensor, "w h"]:
        order = self.settings.routers.neurons(part).order
        table = torch.zeros(len(WIDTHS), len(order))
        for option, share in enumerate(WIDTHS):
            table[option, order[: round(share * len(order))].cpu()] = 1.0
        return table


def routing_loss(
    found: Tensor, target: Tensor, work: Float[Tensor, " r"], prices: Float[Tensor, " r"]
) -> dict[str, Float[Tensor, ""]]:
    """The objective, and the means of error and work; `found` and `target` are the model's outputs, by row."""
    error = (found - target).square().flatten(1).mean(dim=1) / target.square().flatten(1).mean(dim=1)
    return {
        "loss": (torch.log1p(error / prices) + work).mean(),
        "error": error.detach().mean(),
        "work": work.detach().mean(),
    }


def set_prices(
    routers: nn.Module,
    generate: Callable[[ElasticRouting], Report],
    *,
    prices: Sequence[float],
    reuses: Sequence[int] = REUSES,
) -> None:
    """Calibrate routers: find what light steps take at each of several prices, and remember it in `routers.prices`.

    Args:
        routers: Trained `Routers`.
        generate: Samples with the shortcut that it is given, and returns the report of its session.
        prices: All above 0.
        reuses: How many steps in a row blocks may be skipped, each with all prices.

    Raises ShortcutError if generations have no light steps.
    """
    assert isinstance(routers, Routers)
    found: dict[int, tuple[tuple[float, float], ...]] = {}
    for reuse in reuses:
        tried = []
        for price in sorted(prices):
            report = generate(ElasticRouting(routers=routers, price=price, reuse=reuse))
            tried.append((price, _light_share(report)))
        found[reuse] = tuple(tried)
    routers.prices = found


def _light_share(report: Report) -> float:
    """What the steps between the first and the last took, as a share of their full work."""
    light = [row for row in report.steps if row.name not in ("step 0", f"step {len(report.steps) - 1}")]
    if not light:
        raise ShortcutError(f"a generation of {len(report.steps)} steps has no light ones to calibrate on; take 3")
    return sum(row.flops_run for row in light) / sum(row.flops_full for row in light)
