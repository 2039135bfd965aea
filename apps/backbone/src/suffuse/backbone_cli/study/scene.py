"""What is measured on: a study model, its noise and labels, and the samples of a fine sampler as the truth."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from suffuse.backbone.sites import FlopCounter
from suffuse.backbone_cli.study.fashion import CLASSES
from suffuse.backbone_cli.study.flow import sample, start

GUIDANCE = 2.5
"""Scale of classifier-free guidance."""

STEPS = 30
"""Steps of a full generation."""

TRUTH_STEPS = 200
TUNING_SEED = 1_000
"""Settings are tuned on noise of this seed, which is none of those that are measured."""

Prepare = Callable[[nn.Module], Callable[[int], None] | None]


class TooMuchWorkError(Exception):
    """A run took more operations than it may."""


@dataclass(frozen=True)
class Run:
    """Samples, the operations that they took, and the CPU seconds."""

    images: Tensor
    flops: float
    cpu_s: float


@dataclass
class Scene:
    """One seed of a study.

    Attributes:
        model: The study model, left as it is.
        seed: Of the noise.
        count: Number of samples; their classes go round.
        guidance: Scale of classifier-free guidance.
        batch: Samples in a batch.
    """

    model: nn.Module
    seed: int
    count: int
    guidance: float
    batch: int = 64
    _kept: dict[int, Run] = field(default_factory=dict)
    _most: float = float("inf")

    @property
    def labels(self) -> Tensor:
        """The classes wanted."""
        return torch.arange(self.count) % len(CLASSES)

    def run(self, model: nn.Module, steps: int, before: Callable[[int], None] | None = None) -> Run:
        """Sample with a model that may have been made cheaper; operations are counted from outside.

        Raises TooMuchWorkError if they are more than `at_most` allows.
        """
        labels, noise = self.labels, start(self.labels, self.seed)
        images, counter, begun = [], FlopCounter(), time.process_time()

        def watched(step: int) -> None:
            if counter.total > self._most:
                raise TooMuchWorkError
            if before is not None:
                before(step)

        with counter:
            for low in range(0, self.count, self.batch):
                rows = slice(low, low + self.batch)
                images.append(
                    sample(model, labels[rows], noise[rows], steps=steps, guidance=self.guidance, before=watched)
                )
        return Run(torch.cat(images), float(counter.total), time.process_time() - begun)

    @contextmanager
    def at_most(self, flops: float) -> Iterator[None]:
        """Runs within it are given up once they took this many operations; one that ends before is not."""
        self._most = flops
        try:
            yield
        finally:
            self._most = float("inf")

    def full(self, steps: int = STEPS) -> Run:
        """The model as it is, in `steps` steps; kept."""
        if steps not in self._kept:
            self._kept[steps] = self.run(self.model, steps)
        return self._kept[steps]

    @property
    def truth(self) -> Tensor:
        """The samples of 200 steps."""
        return self.full(TRUTH_STEPS).images
