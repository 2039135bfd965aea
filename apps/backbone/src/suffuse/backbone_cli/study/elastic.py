"""Training the routers of elastic routing on a frozen model of the study.

A batch of real images is noised to a step of the sampler, from which the model takes a full step and then a few in
which routers decide, drawn at random in training. Each of these is compared with the full velocity at the same place.
"""

from contextvars import Context
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from suffuse.backbone import accelerate
from suffuse.backbone.engine import Report
from suffuse.backbone.shortcuts import (
    ElasticRouting,
    RelaxedRouting,
    Routers,
    elastic_parts,
    routing_loss,
    set_prices,
    sort_neurons,
)
from suffuse.backbone.sites import Backbone
from suffuse.backbone.train import TrainConfig, TrainResult, train
from suffuse.backbone_cli.study.fashion import Fashion
from suffuse.backbone_cli.study.flow import NO_CLASS, sample, scaled, start, velocity
from suffuse.backbone_cli.study.scene import GUIDANCE, STEPS
from suffuse.backbone_cli.study.training import FashionBatches

BATCH = 8
HIDDEN = 16
"""Width of the routers: they take a hundredth of a block's work."""

LIGHT = 4
"""Steps in a row in which routers decide."""

PRICES = (1e-5, 1e-1)
"""Between these, evenly on a logarithmic scale, lie the prices that routers are trained for."""

CALIBRATED = 7
"""Prices that are tried when training is over."""

SAMPLES = 10
"""Samples for sorting neurons and for calibration."""

SEED = 2_000
"""Of their noise, which is neither measured nor tuned on."""

CONFIG = TrainConfig(
    steps=500,
    learning_rate=1e-2,
    warmup_steps=50,
    ema_decay=0.99,
    checkpoint_every_steps=100,
    checkpoint_every_seconds=120.0,
    log_every=20,
)


def train_routers(model: nn.Module, training: Fashion, directory: Path, *, updates: int | None = None) -> TrainResult:
    """Train `Routers` for a frozen model in `directory`, going on with the run that is there, and calibrate them."""
    config = (
        CONFIG if updates is None else replace(CONFIG, steps=updates, warmup_steps=min(CONFIG.warmup_steps, updates))
    )
    torch.manual_seed(config.seed)
    neurons = sort_neurons(elastic_parts(Backbone(model)), lambda: _sampled(model))

    def loss(routers: nn.Module, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        told = torch.rand(BATCH, generator=generator) < 0.5  # guidance asks both with classes and without
        labels = torch.where(told, batch["labels"], NO_CLASS)
        return rollout_loss(model, routers, scaled(batch["images"]), labels, generator)

    result = train(
        model=Routers(model, HIDDEN, neurons),
        loss=loss,
        batches=FashionBatches(training, BATCH, config.seed),
        config=config,
        directory=directory,
        resume=True,
    )
    calibrate_routers(model, result.model)
    return result


def rollout_loss(
    model: nn.Module, routers: nn.Module, clean: Tensor, labels: Tensor, generator: torch.Generator
) -> dict[str, Float[Tensor, ""]]:
    """The objective of routing, mean over a few steps that follow a full one."""
    assert isinstance(routers, Routers)
    low, high = (torch.tensor(price).log() for price in PRICES)
    prices = torch.lerp(low, high, torch.rand(len(clean), generator=generator)).exp()
    first = int(torch.randint(0, STEPS - 1 - LIGHT, (), generator=generator))
    x = torch.lerp(clean, torch.randn(clean.shape, generator=generator), 1 - first / STEPS)
    routing = RelaxedRouting(routers=routers, row_prices=prices)
    sums: dict[str, Tensor] = {}
    with accelerate(model, routing, steps=STEPS) as session:
        session.step(first)
        with torch.no_grad():
            x = x - velocity(model, x, _time(x, first), labels) / STEPS
        for step in range(first + 1, first + 1 + LIGHT):
            session.step(step)
            found = velocity(model, x, _time(x, step), labels)
            target = Context().run(_full, model, x, _time(x, step), labels)  # sessions hold for a context
            for name, value in routing_loss(found, target, routing.players[-1].work, prices).items():
                sums[name] = sums.get(name, torch.zeros(())) + value / LIGHT
            x = x - found.detach() / STEPS
    return sums


def calibrate_routers(model: nn.Module, routers: nn.Module) -> None:
    """Find what light steps take at prices all over the range, with guidance."""

    def generate(shortcut: ElasticRouting) -> Report:
        with accelerate(model, shortcut, steps=STEPS) as session:
            _sampled(model)
        return session.report()

    low, high = (torch.tensor(price).log10() for price in PRICES)
    set_prices(routers, generate, prices=torch.logspace(float(low), float(high), CALIBRATED).tolist())


@torch.no_grad()
def _full(model: nn.Module, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    return velocity(model, x, t, labels)


def _sampled(model: nn.Module) -> Tensor:
    labels = torch.arange(SAMPLES) % NO_CLASS
    return sample(model, labels, start(labels, SEED), steps=STEPS, guidance=GUIDANCE)


def _time(x: Tensor, step: int) -> Float[Tensor, " b"]:
    return torch.full((len(x),), 1 - step / STEPS)
