"""Centroid attention beside torch's dense kernel: its speed on 4,096 tokens, and its error on trained attention.

    python benchmarks/backbone_attention.py

Two minutes of one idle core; threads are pinned to one. For speed, rounds are interleaved: a step of every kind, in an
order drawn anew. Tokens lie around common centres and drift a little from step to step, as those of a sampler do;
clusters are renewed every third step. For errors, queries, keys and values are those of all layers and heads of the
study's DiT in some steps of sampling; of 16 clusters of queries and 32 of keys.
"""

import argparse
import random
import time
from collections.abc import Callable
from statistics import fmean
from typing import Any

import torch
from machine import describe  # type: ignore[import-not-found]
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from suffuse.backbone.shortcuts import CentroidAttention, Centroids, clustered_attention
from suffuse.backbone_cli.study.flow import sample, start
from suffuse.backbone_cli.study.measures import interval
from suffuse.backbone_cli.study.recipes import recipe
from suffuse.backbone_cli.study.scene import GUIDANCE, STEPS
from suffuse.backbone_cli.study.shipped import load_study

TOKENS, FEATURES, CENTRES = 4096, 64, 60
WATCHED = (3, 10, 20, 27)
WAYS: dict[str, dict[str, Any]] = {
    "by error, centroids": {"routing": "error"},
    "by score, centroids": {"routing": "score"},
    "by score, dropped": {"routing": "score", "compensate": False},
}


class Walk:
    """Tokens that drift: queries, keys and values of one head."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)
        label = torch.randint(CENTRES, (TOKENS,), generator=self._generator)
        self._now = [self._noise(CENTRES)[label] + self._noise(TOKENS) / 2 for _ in range(3)]

    def step(self) -> list[Tensor]:
        """The next three tensors, of one group."""
        self._now = [(tokens + 0.1 * self._noise(TOKENS)) / 1.01**0.5 for tokens in self._now]
        return [tokens[None] for tokens in self._now]

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, FEATURES, generator=self._generator)


def speed(rounds: int) -> None:
    """Print the table of times."""
    settings, walk, scale = CentroidAttention(density=0.3), Walk(), FEATURES**-0.5
    clusters = (TOKENS // settings.query_tokens, TOKENS // settings.key_tokens)
    found: dict[float, Centroids] = {}
    seen: dict[str, list[tuple[float, float, float, float]]] = {}
    dense_work = 4.0 * TOKENS**2 * FEATURES
    order, shuffle = [0.1, 0.2, 0.3, 0.5, 1.0], random.Random(0)
    for number in range(rounds + 1):
        query, key, value = walk.step()
        shuffle.shuffle(order)
        outputs: dict[float, Tensor] = {}
        taken: dict[float, tuple[float, float, float]] = {}

        def exact(query: Tensor = query, key: Tensor = key, value: Tensor = value) -> tuple[Tensor, float]:
            return F.scaled_dot_product_attention(query[None], key[None], value[None], scale=scale)[0], dense_work

        def ours(
            density: float, query: Tensor = query, key: Tensor = key, value: Tensor = value, number: int = number
        ) -> tuple[Tensor, float]:
            output, found[density], work = clustered_attention(
                query, key, value, density=density, clusters=clusters, scale=scale, iterations=settings.iterations,
                start=found.get(density), keep=number % settings.refresh > 0,
            )  # fmt: skip
            return output, work.attention + work.overhead

        for density in order:
            outputs[density], *rest = timed(exact if density == 1 else lambda density=density: ours(density))
            taken[density] = (rest[0], rest[1], rest[2])
        if number:  # the first is for warming up
            for density in order:
                error = float((outputs[density] - outputs[1.0]).norm() / outputs[1.0].norm())
                name = "dense" if density == 1 else f"density {density:g}"
                seen.setdefault(name, []).append((*taken[density], error))
    print("| one head, 4,096 tokens, 64 features | operations | CPU ms | wall ms | times as fast (CPU) | error |")
    print("|---|---|---|---|---|---|")
    for name, rows in sorted(seen.items()):
        cpu, wall, work, error = (fmean(row[axis] for row in rows) for axis in range(4))
        faster = fmean(row[0] for row in seen["dense"]) / cpu
        print(f"| {name} | {work / dense_work:.3f} | {1e3 * cpu:.1f} | {1e3 * wall:.1f} | {faster:.2f} | {error:.3f} |")


def timed(call: Callable[[], tuple[Tensor, float]]) -> tuple[Tensor, float, float, float]:
    """What a call gave, its CPU and wall seconds, and its operations."""
    wall, cpu = time.perf_counter(), time.process_time()
    output, work = call()
    return output, time.process_time() - cpu, time.perf_counter() - wall, work


class Listener(TorchFunctionMode):
    """Keeps what torch's attention is given, while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.on = False
        self.given: list[tuple[Tensor, Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention and self.on:
            given = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
            self.given.append((given["query"], given["key"], given["value"]))
        return func(*args, **(kwargs or {}))


def errors() -> None:
    """Print the table of errors."""
    labels, listener = torch.tensor([0, 3, 7, 8]), Listener()

    def before(step: int) -> None:
        listener.on = step in WATCHED

    with listener:
        sample(load_study(recipe("dit")), labels, start(labels, 5), steps=STEPS, guidance=GUIDANCE, before=before)
    print("| density | routing, the rest | exact pairs | operations | error |\n|---|---|---|---|---|")
    for density in (0.1, 0.2, 0.3, 0.5):
        for name, way in WAYS.items():
            off, pairs, spent, every, full = [], 0.0, 0.0, 0, 0.0
            for given in listener.given:
                query, key, value = (part.flatten(0, 1) for part in given)
                scale = query.shape[-1] ** -0.5
                truth = F.scaled_dot_product_attention(query[None], key[None], value[None], scale=scale)[0]
                output, _, work = clustered_attention(
                    query, key, value, density=density, clusters=(16, 32), scale=scale, **way
                )
                off.append((output - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1))
                pairs, every = pairs + work.pairs, every + len(query) * query.shape[1] ** 2
                spent += work.attention + work.overhead
                full += 4.0 * len(query) * query.shape[1] ** 2 * query.shape[2]
            mean, around = interval(torch.cat(off))
            print(f"| {density:g} | {name} | {pairs / every:.3f} | {spent / full:.2f} | {mean:.4f} ± {around:.4f} |")


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"{rounds} rounds; {describe()}\n")
    speed(rounds)
    print()
    errors()


if __name__ == "__main__":
    main()
