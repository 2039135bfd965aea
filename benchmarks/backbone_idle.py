"""What a session costs that leaves nothing out: steps of a DiT of 12 layers, width 384, 256 tokens, as a table.

    python benchmarks/backbone_idle.py

Three minutes of one idle core; threads are pinned to one. Times are CPU time of the thread. Each round runs a step of
every kind, in an order drawn anew, so that whatever else the machine does falls on all alike; differences are taken
within a round, and their median has a 95 % interval by bootstrap over rounds. The bare model, the bare model once more
and the session at rest are steps of one and the same model, so that its place in memory is the same; what the second of
them says is the error of the measurement. What a session adds does not depend on how wide the model is: on one so
narrow that a step takes next to nothing it is seen without the noise, in microseconds.
"""

import argparse
import random
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from statistics import median
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiTTransformer2DModel
from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache
from diffusers.hooks.hooks import CacheContext, _set_cache_context
from machine import describe  # type: ignore[import-not-found]
from torch import Tensor, nn

from suffuse.backbone import accelerate
from suffuse.backbone.engine import Player, Scope, Shortcut
from suffuse.backbone.shortcuts import DeltaCache
from suffuse.backbone.sites import Backbone, FlopCounter, Site

STEPS = 1_000_000  # of a generation: more than are run, so that none is the last, in which everything runs anyhow


@dataclass(frozen=True, kw_only=True, eq=False)
class LetRun(Shortcut):
    """Is asked at each block, and lets it run."""

    name: ClassVar[str] = "let-run"
    scope: ClassVar[Scope] = "block"
    saves: ClassVar[bool] = False

    def sites(self, backbone: Backbone) -> tuple[Site, ...]:
        """All blocks."""
        return backbone.of_kind("block")

    def player(self, backbone: Backbone) -> Player:
        """The player that does nothing."""
        return Player()


def make(head: int, size: int) -> nn.Module:
    """A DiT of 12 layers, the same every time, in memory of its own."""
    torch.manual_seed(0)
    model = DiTTransformer2DModel(
        num_attention_heads=6, attention_head_dim=head, num_layers=12, sample_size=size, patch_size=2, out_channels=4,
        norm_num_groups=4,
    )  # fmt: skip
    nn.init.normal_(model.proj_out_2.weight, std=0.02)  # begins at 0, and then all outputs would be alike
    return model.eval().requires_grad_(False)


def hooked(model: nn.Module) -> nn.Module:
    """With diffusers' FirstBlockCache, at a threshold that nothing falls below."""
    apply_first_block_cache(model, FirstBlockCacheConfig(threshold=0.0))
    _set_cache_context(model, CacheContext("all"))
    return model


@dataclass
class Kind:
    """A way to run a step, and what was measured of it."""

    name: str
    model: nn.Module
    around: AbstractContextManager[Any] = field(default_factory=nullcontext)
    flops: int = 0
    error: float = 0.0
    times: list[tuple[float, float]] = field(default_factory=list)

    def step(self, sample: Tensor) -> Tensor:
        """One step; the CPU and wall seconds it takes are noted, without those to enter and leave the session."""
        timestep, label = torch.tensor([500]), torch.tensor([1])
        with self.around:
            wall, cpu = time.perf_counter(), time.thread_time()
            output: Tensor = self.model(sample, timestep, label).sample
            self.times.append((time.thread_time() - cpu, time.perf_counter() - wall))
        return output


def measured(head: int, size: int, rounds: int) -> list[Kind]:
    """All kinds on models of one width and number of tokens, the bare one first."""
    bare, asked, first = (make(head, size) for _ in range(3))
    kinds = [
        Kind("bare", bare),
        Kind("bare, once more", bare),
        Kind("session at rest (budget 1)", bare, accelerate(bare, DeltaCache(budget=1.0), steps=STEPS)),
        Kind("session that is asked at 12 blocks and lets all run", asked),
        Kind("diffusers FirstBlockCache, threshold 0", hooked(first)),
    ]
    order, shuffle, generator = list(kinds), random.Random(0), torch.Generator().manual_seed(0)
    with accelerate(asked, LetRun(), steps=STEPS):  # left, it would begin anew, and a first step is never asked about
        for kind in kinds:
            for _ in range(3):  # the first calls in a session are measured
                with FlopCounter() as counter:
                    kind.step(torch.randn(1, 4, size, size, generator=generator))
            kind.flops, kind.times = counter.total, []
        for _ in range(rounds):
            shuffle.shuffle(order)
            sample = torch.randn(1, 4, size, size, generator=generator)
            outputs = {kind.name: kind.step(sample) for kind in order}
            for kind in kinds:
                kind.error = max(kind.error, float((outputs[kind.name] - outputs["bare"]).abs().max()))
    return kinds


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=120)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    wide, narrow = measured(64, 32, rounds), measured(2, 4, 10 * rounds)
    print(f"{rounds} rounds; {describe()}\n")
    base_ms = 1000 * median(pair[0] for pair in wide[0].times)
    print(
        "| step | GFLOP | CPU ms | CPU over bare | of a narrow model, µs over bare | which is of the wide one | error |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind, small in zip(wide, narrow, strict=True):
        over = [100 * (mine[0] / base[0] - 1) for mine, base in zip(kind.times, wide[0].times, strict=True)]
        added = [1e6 * (mine[0] - base[0]) for mine, base in zip(small.times, narrow[0].times, strict=True)]
        cpu = 1000 * median(pair[0] for pair in kind.times)
        (low, high), (least, most) = interval(over), interval(added)
        print(
            f"| {kind.name} | {kind.flops / 1e9:.2f} | {cpu:.1f} | {median(over):+.2f} % ({low:+.2f} to {high:+.2f}) "
            f"| {median(added):+.0f} ({least:+.0f} to {most:+.0f}) "
            f"| {median(added) / base_ms / 10:+.3f} % ({least / base_ms / 10:+.3f} to {most / base_ms / 10:+.3f}) "
            f"| {kind.error:g} |"
        )


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median, by bootstrap."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (2000, len(values))), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
